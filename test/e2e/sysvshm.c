/*
 * e2e: args: private first key gone changed removed removed-key
 * e2e: args: readonly exec twice part protected locked huge shared
 * e2e: gone for gone,changed: yes
 * e2e: no pidns for private,key,changed,readonly,exec,twice,part,protected,locked,huge,shared: its users were of the outer pid namespace, and are 0 there
 * e2e: no cycle,faults for shared: a stranger is there, and changes it
 *
 * Holds: a segment of System V shared memory, attached in one of many ways; its size is no multiple of
 * a page. private, key: it outlives the process; first: its id is 0; gone: it is not there any more at
 * the restore; changed: somebody has written to it meanwhile; shared: a stranger has it attached too, and
 * changes it while the process is dead.
 * Shows: Memory: "System V shared memory": contents, id, key, mode, owner, creator, attachments.
 */
#include "mm.h"
#include <sys/shm.h>
#include <sys/wait.h>

#define LEN  (7 * MM_PAGE + 300)
#define FULL (8 * MM_PAGE)
#define HUGE (2ul << 20)
#define SEED 0x5e9
#define KEY  ((key_t)(0x0c000000 | (getpid() & 0xffffff)))

#ifndef SHM_DEST
#define SHM_DEST   01000
#define SHM_LOCKED 02000
#endif

static const char *what;
static int id;
static struct shmid_ds was;

static bool is(const char *word)
{
	return !strcmp(what, word);
}

static char *attach(void *at, int flags)
{
	return (char *)MUST((long)shmat(id, at, flags));
}

/* What becomes of the segment that a dead victim has left in this directory. */
static int gone(void)
{
	char text[32], word[16];

	victim_slurp("shmid", text, sizeof(text));
	CHECK(sscanf(text, "%d %15s", &id, word) == 2, "shmid: '%s'", text);
	if (!strcmp(word, "changed"))
		memset(attach(NULL, 0), 0xff, FULL);
	else
		MUST(shmctl(id, IPC_RMID, NULL));
	return 0;
}

static void remember(void)
{
	char text[32];
	int fd = MUST(open("shmid", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	int n = snprintf(text, sizeof(text), "%d %s", id, what);

	CHECK(write(fd, text, n) == n, "shmid: %s", strerror(errno));
	close(fd);
}

static void make(void)
{
	size_t len = is("huge") ? 2 * HUGE : LEN;
	bool keyed = is("key") || is("gone") || is("removed-key");
	int flags = IPC_CREAT | IPC_EXCL | 0640 | (is("huge") ? SHM_HUGETLB : 0);
	struct shmid_ds ds;

	if (is("first")) {
		int fd = open("/proc/sys/kernel/shm_next_id", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0", 1) != 1)
			SKIP("ids can't be chosen here: %s", strerror(errno));
		close(fd);
	}
	id = shmget(keyed ? KEY : IPC_PRIVATE, len, flags);
	if (id < 0 && is("huge"))
		SKIP("no huge pages: %s", strerror(errno));
	CHECK(id >= 0, "shmget: %s", strerror(errno));
	if (is("first") && id != 0) {
		MUST(shmctl(id, IPC_RMID, NULL));
		SKIP("the id 0 is taken");
	}
	MUST(shmctl(id, IPC_STAT, &ds));
	ds.shm_perm.uid = 1234;
	ds.shm_perm.gid = 5678;
	ds.shm_perm.mode = 0604;
	MUST(shmctl(id, IPC_SET, &ds));
	if (is("locked") && shmctl(id, SHM_LOCK, NULL) < 0)
		SKIP("SHM_LOCK: %s", strerror(errno));
	remember();
}

static void expect_segment(const char *when)
{
	struct shmid_ds ds;

	MUST(shmctl(id, IPC_STAT, &ds));
	CHECK(ds.shm_perm.__key == was.shm_perm.__key, "%s: key: expected %x, got %x", when,
		was.shm_perm.__key, ds.shm_perm.__key);
	CHECK(ds.shm_segsz == was.shm_segsz, "%s: size: expected %zu, got %zu", when, was.shm_segsz,
		ds.shm_segsz);
	CHECK(ds.shm_perm.mode == was.shm_perm.mode, "%s: mode: expected %o, got %o", when,
		was.shm_perm.mode, ds.shm_perm.mode);
	CHECK(ds.shm_perm.uid == was.shm_perm.uid && ds.shm_perm.gid == was.shm_perm.gid,
		"%s: owner: expected %u:%u, got %u:%u", when, was.shm_perm.uid, was.shm_perm.gid,
		ds.shm_perm.uid, ds.shm_perm.gid);
	CHECK(ds.shm_perm.cuid == was.shm_perm.cuid && victim_was_or_is(ds.shm_cpid, was.shm_cpid),
		"%s: creator: expected pid %d of %u, got %d of %u", when, was.shm_cpid,
		was.shm_perm.cuid, ds.shm_cpid, ds.shm_perm.cuid);
	CHECK(ds.shm_nattch == was.shm_nattch, "%s: expected %lu attachments, got %lu", when,
		(unsigned long)was.shm_nattch, (unsigned long)ds.shm_nattch);
}

/* One mapping and its neighbours: all that smaps tells of them. */
static struct mm_vma vmas[8];
static int n_vmas;

static void note(char *at)
{
	vmas[n_vmas++] = mm_vma(at);
}

/* Somebody else, who is no child of ours: attaches, says so, and writes when we are dead. */
static void stranger(void)
{
	pid_t me = getpid();
	int ready[2];
	char c;

	MUST(pipe(ready));
	if (!MUST(fork())) {
		if (MUST(fork()))
			_exit(0);
		char *p = attach(NULL, 0);

		MUST(setsid());
		MUST(shmctl(id, IPC_RMID, NULL)); /* nothing is left behind, whatever happens */
		close(ready[0]);
		CHECK(write(ready[1], "r", 1) == 1, "pipe: %s", strerror(errno));
		for (int fd = 0; fd < 64; fd++)
			close(fd);
		/* a dead one is still a zombie of the driver's, or is reaped, and is back later */
		for (int i = 0; i < 6000 && p[MM_PAGE] != 'e'; i++) {
			char path[64], text[512], *state;
			int fd;
			ssize_t n;

			snprintf(path, sizeof(path), "/proc/%d/stat", me);
			fd = open(path, O_RDONLY);
			n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
			close(fd);
			text[n > 0 ? n : 0] = 0;
			state = strrchr(text, ')');
			if (!state || state[2] == 'Z' || state[2] == 'X')
				p[0] = 's';
			usleep(500);
		}
		_exit(0);
	}
	MUST(wait(NULL));
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1, "the stranger does not come");
	close(ready[0]);
}

static void setup_shared(void)
{
	char *p = attach(NULL, 0);

	p[0] = 'v';
	stranger();
	MUST(shmctl(id, IPC_STAT, &was));
	victim_ready();
	victim_wait();
	expect_segment("shared");
	/* Only the stranger's write can have made it so, and only death brought it about. */
	CHECK(p[0] == (victim_dead_s() > 0 ? 's' : 'v'), "the first byte is '%c'", p[0]);
	p[MM_PAGE] = 'e';
	MUST(shmdt(p));
}

static void fill_expect(const char *p, size_t len)
{
	mm_expect(p, len, SEED, "contents");
}

int main(int argc, char **argv)
{
	size_t len = FULL;
	char *p, *q = NULL;

	victim_init(argc, argv);
	what = argc == 2 ? argv[1] : "private";
	if (is("gone") && !access("shmid", F_OK)) /* the driver, when the victim is dead */
		return gone();
	make();
	if (is("shared")) {
		setup_shared();
		return 0;
	}
	if (is("huge"))
		len = 2 * HUGE;
	p = attach(NULL, is("exec") ? SHM_EXEC : 0);
	mm_fill(p, len, SEED);
	if (is("changed"))
		memset(p + 3 * MM_PAGE, 0, MM_PAGE);
	if (is("twice"))
		q = attach(NULL, SHM_RDONLY);
	if (is("readonly")) {
		q = attach(NULL, SHM_RDONLY);
		MUST(shmdt(p));
		p = q;
	}
	if (is("removed") || is("removed-key"))
		MUST(shmctl(id, IPC_RMID, NULL));
	if (is("part")) {
		/* the first page goes, and one in the middle where something else is then */
		MUST(munmap(p, MM_PAGE));
		MUST(mmap(p + 3 * MM_PAGE, MM_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		mm_fill(p + 3 * MM_PAGE, MM_PAGE, SEED + 1);
		note(p + 3 * MM_PAGE);
		note(p + 4 * MM_PAGE);
		note(p + MM_PAGE);
	} else if (is("protected")) {
		MUST(mprotect(p + 2 * MM_PAGE, 2 * MM_PAGE, PROT_READ));
		MUST(mprotect(p + 4 * MM_PAGE, MM_PAGE, PROT_NONE));
		note(p);
		note(p + 2 * MM_PAGE);
		note(p + 4 * MM_PAGE);
		note(p + 5 * MM_PAGE);
	} else {
		note(p);
	}
	if (q)
		note(q);
	MUST(shmctl(id, IPC_STAT, &was));
	victim_ready();
	victim_wait();
	expect_segment(what);
	for (int i = 0; i < n_vmas; i++)
		mm_expect_same(&vmas[i], "mapping");
	if (is("part")) {
		mm_expect(p + 3 * MM_PAGE, MM_PAGE, SEED + 1, "in the hole");
		CHECK(!memcmp(&(uint64_t){mm_word(SEED, MM_PAGE / 8)}, p + MM_PAGE, 8),
			"the second page holds something else");
		MUST(shmdt(p));
		CHECK(shmctl(id, IPC_STAT, &was) == 0 && was.shm_nattch == 0,
			"shmdt: %lu attachments are left", (unsigned long)was.shm_nattch);
	} else if (is("changed")) {
		mm_expect(p, 3 * MM_PAGE, SEED, "contents");
		mm_expect_zero(p + 3 * MM_PAGE, MM_PAGE, "a page of zeros");
	} else if (is("protected")) {
		MUST(mprotect(p, len, PROT_READ | PROT_WRITE));
		fill_expect(p, len);
	} else {
		fill_expect(p, len);
	}
	if (is("twice")) {
		fill_expect(q, len);
		p[5] = 'x';
		CHECK(q[5] == 'x', "the two attachments are not of one segment");
	}
	CHECK(!(is("readonly") || is("twice")) || mm_touch(q, MM_WRITE) == SIGSEGV,
		"a read-only attachment can be written to");
	CHECK(!is("readonly") || mprotect(p, len, PROT_READ | PROT_WRITE) < 0,
		"a read-only attachment can be made writable");
	CHECK(is("part") || !shmdt(p), "shmdt: %s", strerror(errno));
	CHECK(!is("twice") || !shmdt(q), "shmdt: %s", strerror(errno));
	if (is("removed") || is("removed-key"))
		CHECK(shmctl(id, IPC_STAT, &was) < 0 && errno == EINVAL,
			"it was to go with its last attachment, and is there");
	else
		MUST(shmctl(id, IPC_RMID, NULL));
	return 0;
}
