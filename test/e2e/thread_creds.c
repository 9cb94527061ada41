/*
 * Holds: threads of one process that have different credentials: one as root, one with other user and
 * group ids (real, effective, saved, file system all different) and groups, one with fewer
 * capabilities of every set, and ambient ones; one with securebits.
 * Shows: Threads: "per-thread credentials".
 */
#include "creds.h"

#include <grp.h>
#include <linux/securebits.h>

enum { CREDS_N = 4 };

static volatile int creds_up, creds_go;

static void creds_setup(int who)
{
	gid_t groups[] = {5, 50, 500, 70000};

	if (who == 1) {
		/* Raw, so that libc does not carry it to the other threads. */
		MUST(syscall(SYS_setgroups, 4, groups));
		MUST(syscall(SYS_setresgid, 2001, 2002, 2003));
		syscall(SYS_setfsgid, 2001);
		MUST(syscall(SYS_setresuid, 1001, 1002, 1003));
		syscall(SYS_setfsuid, 1003);
	} else if (who == 2) {
		MUST(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0));
		creds_caps(1ULL << CAP_KILL | 1ULL << CAP_NET_RAW,
			1ULL << CAP_KILL | 1ULL << CAP_NET_RAW | 1ULL << CAP_CHOWN,
			1ULL << CAP_KILL);
		MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	} else if (who == 3) {
		MUST(prctl(PR_SET_SECUREBITS,
			SECBIT_NOROOT | SECBIT_KEEP_CAPS | SECBIT_NOROOT_LOCKED));
	}
}

static void *creds_thread(void *arg)
{
	int who = (int)(intptr_t)arg;
	struct creds_all before;
	char name[32];

	creds_setup(who);
	creds_get(&before);
	__atomic_add_fetch(&creds_up, 1, __ATOMIC_SEQ_CST);
	while (!creds_go)
		usleep(1000);
	snprintf(name, sizeof(name), "thread %d", who);
	creds_expect(&before, name);
	return NULL;
}

int main(int argc, char **argv)
{
	struct creds_all before;
	pthread_t t[CREDS_N];

	victim_init(argc, argv);
	if (geteuid() != 0)
		SKIP("needs root");
	for (int i = 1; i < CREDS_N; i++)
		t[i] = victim_thread(creds_thread, (void *)(intptr_t)i);
	while (creds_up < CREDS_N - 1)
		usleep(1000);
	creds_get(&before);
	victim_ready();
	victim_wait();
	creds_expect(&before, "thread 0");
	creds_go = 1;
	for (int i = 1; i < CREDS_N; i++)
		pthread_join(t[i], NULL);
	return 0;
}
