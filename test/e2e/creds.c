/*
 * Holds: a process, all threads alike, that has given up root: the argument says which way. `user`:
 * plain uid 1000 without capabilities; `ids`: real, effective and saved ids all different and groups;
 * `caps`: uid 1000 that keeps some capabilities, inheritable, ambient and bounding sets trimmed;
 * `bits`: root under locked securebits.
 * Shows: Process: "credentials (uids, gids, groups, five capability sets, securebits)".
 * e2e: args: user ids caps bits
 */
#include "creds.h"

#include <grp.h>
#include <linux/securebits.h>
#include <sys/stat.h>

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
static long creds_dumpable; /* of the process */

static void *creds_thread(void *arg)
{
	while (!creds_go)
		usleep(1000);
	creds_expect(&creds_before, "second thread");
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
	creds_dumpable = MUST(prctl(PR_GET_DUMPABLE));
	t = victim_thread(creds_thread, NULL);
	victim_ready();
	victim_wait();
	creds_expect(&creds_before, "main thread");
	CHECK(prctl(PR_GET_DUMPABLE) == creds_dumpable, "dumpable: expected %ld, got %d",
		creds_dumpable, prctl(PR_GET_DUMPABLE));
	creds_go = 1;
	pthread_join(t, NULL);
	return 0;
}
