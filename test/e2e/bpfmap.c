/*
 * e2e: args: hash array frozen percpu two queue
 * e2e: refuse for queue: bpf, objects of the kernel
 *
 * Holds: maps of bpf(2): hash: with some entries; array: with contents; frozen: which nobody may write any
 *        more; percpu: with a value for each processor; two: two descriptors of one map; queue: of a kind
 *        that is not saved.
 * Shows: "bpf maps: restored where the kernel lets anyone, else refused by name".
 */
#include "fds.h"
#include <linux/bpf.h>

#define ENTRIES 100

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int make(unsigned type, unsigned key, unsigned value)
{
	union bpf_attr attr = {.map_type = type,
		.key_size = key,
		.value_size = value,
		.max_entries = ENTRIES,
		.map_name = "victim"};
	int fd = (int)bpf(BPF_MAP_CREATE, &attr);

	if (fd < 0)
		SKIP("no such map here: %s", strerror(errno));
	return fd;
}

static long put(int fd, uint32_t key, const void *value)
{
	union bpf_attr attr = {.map_fd = fd, .key = (uintptr_t)&key, .value = (uintptr_t)value};

	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static long get(int fd, uint32_t key, void *value)
{
	union bpf_attr attr = {.map_fd = fd, .key = (uintptr_t)&key, .value = (uintptr_t)value};

	return bpf(BPF_MAP_LOOKUP_ELEM, &attr);
}

static void handshake(int fd)
{
	struct fds_view was;

	fds_view(fd, &was);
	victim_ready();
	victim_wait();
	fds_expect(fd, &was, false, "map");
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	bool percpu = !strcmp(what, "percpu"), array = !strcmp(what, "array");
	union bpf_attr attr = {0};
	uint64_t v[1024] = {0};
	bool second =
		percpu && sysconf(_SC_NPROCESSORS_CONF) > 1; /* a processor that has a value */
	int fd, other = -1;

	victim_init(argc, argv);
	if (!strcmp(what, "queue")) {
		make(BPF_MAP_TYPE_QUEUE, 0, 8);
		victim_ready();
		victim_wait();
		return 0;
	}
	fd = make(percpu  ? BPF_MAP_TYPE_PERCPU_HASH
		  : array ? BPF_MAP_TYPE_ARRAY
			  : BPF_MAP_TYPE_HASH,
		4, 8);
	for (uint32_t i = 0; i < ENTRIES; i += 3) {
		v[0] = 1000 + i;
		v[1] = 2000 + i;
		MUST(put(fd, i, v));
	}
	if (!strcmp(what, "two"))
		other = MUST(dup(fd));
	if (!strcmp(what, "frozen")) {
		attr.map_fd = fd;
		if (bpf(BPF_MAP_FREEZE, &attr) < 0)
			SKIP("no frozen maps here: %s", strerror(errno));
	}
	handshake(fd);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		memset(v, 0, sizeof(v));
		if (get(fd, i, v) == 0)
			CHECK(v[0] == (i % 3 ? 0 : 1000 + i) &&
					(!second || i % 3 || v[1] == 2000 + i),
				"entry %u: got %ld, %ld", i, (long)v[0], (long)v[1]);
		else
			CHECK(i % 3 && !array && errno == ENOENT, "entry %u: %s", i,
				strerror(errno));
	}
	if (!strcmp(what, "frozen")) {
		CHECK(put(fd, 1, v) == -1 && errno == EPERM, "it can be written");
	} else {
		v[0] = 77;
		MUST(put(fd, 1, v));
		v[0] = 0;
		MUST(get(other < 0 ? fd : other, 1, v));
		CHECK(v[0] == 77, "what was written: %ld", (long)v[0]);
	}
	return 0;
}
