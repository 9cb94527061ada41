/*
 * Holds: a process, all threads alike, that has given up root: the argument says which way. `user`:
 * plain uid 1000 without capabilities; `ids`: real, effective and saved ids all different and groups;
 * `caps`: uid 1000 that keeps some capabilities, inheritable, ambient and bounding sets trimmed;
 * `bits`: root under locked securebits.
 * Shows: Process: "credentials (uids, gids, groups, five capability sets, securebits)".
 * e2e: args: user ids caps bits
 */
#include "victim.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/stat.h>

struct creds_all {
	char status[2048];
	long securebits, dumpable;
};

static void creds_get(struct creds_all *ret)
{
	static const char *const keys[] = {
		"Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
	char text[8192], *save = NULL;

	memset(ret, 0, sizeof(*ret));
	victim_slurp("/proc/thread-self/status", text, sizeof(text));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0) {
				strcat(ret->status, line);
				strcat(ret->status, "; ");
			}
	ret->securebits = MUST(prctl(PR_GET_SECUREBITS));
	ret->dumpable = MUST(prctl(PR_GET_DUMPABLE));
}

static void creds_caps(uint64_t inh, uint64_t prm, uint64_t eff)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].inheritable = (uint32_t)(inh >> 32 * i);
		data[i].permitted = (uint32_t)(prm >> 32 * i);
		data[i].effective = (uint32_t)(eff >> 32 * i);
	}
	MUST(syscall(SYS_capset, &head, data));
}

static void creds_setup(const char *how)
{
	const uint64_t some = 1ULL << CAP_NET_BIND_SERVICE | 1ULL << CAP_SYS_NICE;
	gid_t groups[] = {4, 24, 1000, 65000};

	if (strcmp(how, "user") == 0) {
		MUST(setgroups(1, groups + 2));
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
	} else if (strcmp(how, "ids") == 0) {
		MUST(setgroups(4, groups));
		MUST(setresgid(2001, 2002, 2003));
		MUST(setresuid(1001, 1002, 0));
	} else if (strcmp(how, "caps") == 0) {
		MUST(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE, 0, 0, 0));
		MUST(prctl(PR_SET_KEEPCAPS, 1));
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
		creds_caps(some, some | 1ULL << CAP_KILL, 1ULL << CAP_SYS_NICE);
		MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0));
	} else {
		MUST(prctl(PR_SET_SECUREBITS,
			SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
				SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE));
	}
}

static volatile int creds_go;
static struct creds_all creds_before;

static void creds_check(const char *who)
{
	struct creds_all got;

	creds_get(&got);
	CHECK(strcmp(got.status, creds_before.status) == 0, "%s: expected %s\n  got %s", who,
		creds_before.status, got.status);
	CHECK(got.securebits == creds_before.securebits, "%s: securebits: expected %#lx, got %#lx",
		who, creds_before.securebits, got.securebits);
	CHECK(got.dumpable == creds_before.dumpable, "%s: dumpable: expected %ld, got %ld", who,
		creds_before.dumpable, got.dumpable);
}

static void *creds_thread(void *arg)
{
	while (!creds_go)
		usleep(1000);
	creds_check("second thread");
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;
	int dir;

	victim_init(argc, argv);
	if (geteuid() != 0)
		SKIP("needs root");
	dir = MUST(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MUST(fchmod(dir, 0777));
	close(dir);
	creds_setup(argc > 1 ? argv[1] : "user");
	creds_get(&creds_before);
	t = victim_thread(creds_thread, NULL);
	victim_ready();
	victim_wait();
	creds_check("main thread");
	creds_go = 1;
	pthread_join(t, NULL);
	return 0;
}
