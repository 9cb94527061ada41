/*
 * e2e: args: tree gone changed named undo undo-threads waiting others
 * e2e: options: --sysvipc
 * e2e: options for named: --sysvipc=sem:@id
 * e2e: refuse for others: System V semaphores, uses them too
 * e2e: gone for gone,changed: yes
 * e2e: no pidns for tree,named,changed,undo,undo-threads,waiting: its users were of the outer pid namespace, and are 0 there
 *
 * Holds: a set of System V semaphores with different values, one of them never used. gone: it is not
 * there any more at the restore; changed: somebody has used it meanwhile; named: it is named by its id,
 * no process has used it; undo: a value that is to be undone at the end of the process; waiting: a thread
 * waits for a semaphore; others: a stranger has used it, and lives: it is refused.
 * Shows: Memory: "System V semaphores ... where the caller asks": id, key, mode, owner, values, who changed
 * them last, and what is to be undone.
 * e2e: exec: yes
 */
#include "victim.h"
#include <sched.h>
#include <stdbool.h>
#include <sys/sem.h>
#include <sys/wait.h>

#define N 5

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static const unsigned short values[N] = {7, 0, 32767, 1, 3};
static const char *what;
static int id;
static struct semid_ds was;
static int pids[N];

static bool is(const char *word)
{
	return !strcmp(what, word);
}

static int op(int num, int add, int flags)
{
	struct sembuf b = {num, add, flags};

	return semop(id, &b, 1);
}

static int gone(void)
{
	char text[32], word[16];

	victim_slurp("semid", text, sizeof(text));
	CHECK(sscanf(text, "%d %15s", &id, word) == 2, "semid: '%s'", text);
	if (!strcmp(word, "changed"))
		MUST(op(0, -2, 0));
	else
		MUST(semctl(id, 0, IPC_RMID));
	return 0;
}

static void put(const char *file, const char *text)
{
	int fd = MUST(open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", file,
		strerror(errno));
	close(fd);
}

static void remember(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%d %s", id, what);
	put("semid", text);
	snprintf(text, sizeof(text), "%d", id);
	put("id", text);
}

/* What a child sets has its pid on it; it is dead then. */
static void set(int num, int value, bool by_child)
{
	if (by_child) {
		if (MUST(fork())) {
			MUST(wait(NULL));
			return;
		}
		MUST(semctl(id, num, SETVAL, (union semun){.val = value}));
		_exit(0);
	}
	MUST(semctl(id, num, SETVAL, (union semun){.val = value}));
}

static void make(void)
{
	key_t key = 0x0e000000 | (getpid() & 0xffffff);
	struct semid_ds ds;

	id = MUST(semget(key, N, IPC_CREAT | IPC_EXCL | 0600));
	MUST(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}));
	ds.sem_perm.uid = 1234;
	ds.sem_perm.gid = 5678;
	ds.sem_perm.mode = 0640;
	MUST(semctl(id, 0, IPC_SET, (union semun){.buf = &ds}));
	for (int i = 0; i < N; i++)
		if (i != 1)
			set(i, values[i], is("named") || i == 3);
	remember();
}

static void expect(void)
{
	unsigned short now[N];
	struct semid_ds ds;

	MUST(semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}));
	CHECK(ds.sem_perm.__key == was.sem_perm.__key && ds.sem_nsems == N,
		"expected key %x and %d semaphores, got %x and %lu", was.sem_perm.__key, N,
		ds.sem_perm.__key, (unsigned long)ds.sem_nsems);
	CHECK(ds.sem_perm.mode == was.sem_perm.mode && ds.sem_perm.uid == 1234 &&
			ds.sem_perm.gid == 5678 && ds.sem_perm.cuid == was.sem_perm.cuid,
		"mode and owner: %o of %u:%u, made by %u", ds.sem_perm.mode, ds.sem_perm.uid,
		ds.sem_perm.gid, ds.sem_perm.cuid);
	MUST(semctl(id, 0, GETALL, (union semun){.array = now}));
	for (int i = 0; i < N; i++) {
		int pid = MUST(semctl(id, i, GETPID));

		CHECK(now[i] == values[i], "semaphore %d: expected %d, got %d", i, values[i],
			now[i]);
		CHECK(victim_was_or_is(pid, pids[i]), "semaphore %d: expected pid %d, got %d", i,
			pids[i], pid);
	}
}

static void *wait_for_it(void *arg)
{
	(void)arg;
	/* a dump that is killed may leave one EINTR */
	while (op(1, -1, 0) < 0)
		CHECK(errno == EINTR, "semop: %s", strerror(errno));
	return NULL;
}

/* Somebody who is no child of ours, up to the end of the set. */
static void stranger(void)
{
	if (MUST(fork())) {
		MUST(wait(NULL));
		while (semctl(id, 1, GETNCNT) != 1)
			usleep(1000);
		return;
	}
	if (MUST(fork()))
		_exit(0);
	MUST(setsid());
	set(4, values[4], false);
	op(1, -1, 0);
	_exit(0);
}

static void *nothing(void *arg)
{
	return arg;
}

/* Number 4 is taken by one and given back by our end; number 0 the other way round. */
static void undo_setup(void)
{
	set(4, values[4] + 2, false);
	MUST(op(4, -2, SEM_UNDO));
	set(0, values[0] - 5, false);
	MUST(op(0, 5, SEM_UNDO));
}

/* To leave the list is to the kernel as an end: what was to be undone is undone. */
static void undo_verify(void)
{
	MUST(unshare(CLONE_SYSVSEM));
	CHECK(semctl(id, 4, GETVAL) == values[4] + 2, "number 4: expected %d undone, got %d",
		values[4] + 2, semctl(id, 4, GETVAL));
	CHECK(semctl(id, 0, GETVAL) == values[0] - 5, "number 0: expected %d undone, got %d",
		values[0] - 5, semctl(id, 0, GETVAL));
}

int main(int argc, char **argv)
{
	pthread_t thread = 0;

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: sysvsem KIND");
	what = argv[1];
	if (is("gone") && !access("semid", F_OK)) /* the driver, when the victim is dead */
		return gone();
	make();
	if (is("undo-threads"))
		pthread_join(victim_thread(nothing, NULL), NULL);
	if (!strncmp(what, "undo", 4))
		undo_setup();
	if (is("waiting")) {
		thread = victim_thread(wait_for_it, NULL);
		while (semctl(id, 1, GETNCNT) != 1)
			usleep(1000);
	}
	if (is("others"))
		stranger();
	MUST(semctl(id, 0, IPC_STAT, (union semun){.buf = &was}));
	for (int i = 0; i < N; i++)
		pids[i] = MUST(semctl(id, i, GETPID));
	victim_ready();
	victim_wait();
	expect();
	if (!strncmp(what, "undo", 4))
		undo_verify();
	if (is("waiting")) {
		MUST(op(1, 1, 0));
		CHECK(pthread_join(thread, NULL) == 0, "the thread still waits");
	}
	MUST(semctl(id, 0, IPC_RMID));
	return 0;
}
