/*
 * e2e: args: shm shm-removed shm-gone sem undo undo-two msg mqueue mqueue-notify
 * e2e: options: --sysvipc
 * e2e: gone for shm-gone: yes
 * e2e: no pidns for sem,undo,undo-two,msg: its users were of the outer pid namespace, and are 0 there
 * e2e: no cycle for undo-two: what two have to undo is lost, as the README says
 *
 * Holds: a root and three children that share an object of IPC: a segment of System V shared memory, by
 * inheritance and attached by themselves, also read-only and in parts (removed: marked for removal; gone:
 * it is not there any more at the restore); semaphores that each child waits for (undo: the second child
 * holds one that is to be released at its end; undo-two: so does the first, which can't be told apart);
 * a queue that one child has sent to; a POSIX message queue without a name (notify: the second child is
 * to be told of the next message).
 * Shows: Memory: "System V shared memory attached by several", semaphores with undo, message queues.
 */
#include "mm.h"
#include "tree.h"
#include <mqueue.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define CHILDREN 3
#define LEN      (4 * MM_PAGE)

static const char *what;
static int id;
static mqd_t q;
static char *shared;

static bool is(const char *word)
{
	return !strcmp(what, word);
}

static bool begins(const char *word)
{
	return !strncmp(what, word, strlen(word));
}

/* Every process of the tree has its page, and sees the others'. */
static void expect_pages(const char *p, const char *who)
{
	for (int i = 0; i <= CHILDREN; i++)
		CHECK(p[i * MM_PAGE] == 'a' + i, "%s: page %d: expected %c, got %c", who, i,
			'a' + i, p[i * MM_PAGE]);
}

/* The first has what it inherited, the second another one too, the third a part, and only to read. */
static int shm_child(int n)
{
	char *p = shared;

	shared[n * MM_PAGE] = 'a' + n;
	if (n == 2)
		p = (char *)MUST((long)shmat(id, NULL, 0));
	if (n == 3) {
		p = (char *)MUST((long)shmat(id, NULL, SHM_RDONLY));
		MUST(munmap(p, MM_PAGE));
		MUST(shmdt(shared));
	}
	tree_report();
	tree_pass();
	if (n == 3)
		CHECK(p[MM_PAGE] == 'b' && p[3 * MM_PAGE] == 'd' &&
				mm_touch(p + MM_PAGE, MM_WRITE) == SIGSEGV,
			"the third child's part is another one");
	else
		expect_pages(p, "a child");
	if (n == 1)
		p[MM_PAGE + 9] = 'w';
	for (int i = 0; i < 5000 && ((volatile char *)p)[MM_PAGE + 9] != 'w'; i++)
		usleep(1000);
	CHECK(p[MM_PAGE + 9] == 'w', "what a child writes another one does not see");
	return 0;
}

static int sem_child(int n)
{
	struct sembuf wait = {n, -1, 0}, hold = {0, -2, SEM_UNDO};

	if ((begins("undo") && n == 2) || (is("undo-two") && n == 1))
		MUST(semop(id, &hold, 1));
	tree_report();
	while (semop(id, &wait, 1) < 0) /* a dump that is killed may leave one EINTR */
		CHECK(errno == EINTR, "semop: %s", strerror(errno));
	return 0;
}

static int msg_child(int n)
{
	struct {
		long type;
		int n;
	} m = {n, n * 1000};

	if (n == 2)
		MUST(msgsnd(id, &m, sizeof(m.n), 0));
	tree_report();
	tree_pass();
	if (n == 3) {
		CHECK(msgrcv(id, &m, sizeof(m.n), 2, IPC_NOWAIT) == sizeof(m.n), "msgrcv: %s",
			strerror(errno));
		CHECK(m.n == 2000, "the second child's message: expected 2000, got %d", m.n);
	}
	return 0;
}

static int mqueue_child(int n)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct timespec long_time = {10, 0};
	char got[8] = "";
	unsigned priority = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	if (is("mqueue") && n != 3)
		MUST(mq_send(q, n == 1 ? "one" : "two", 4, n));
	if (is("mqueue-notify") && n == 2)
		MUST(mq_notify(q, &ev));
	tree_report();
	if (is("mqueue-notify") && n == 2) {
		while (sigtimedwait(&set, NULL, &long_time) != SIGUSR2)
			CHECK(errno == EINTR, "it was not told: %s", strerror(errno));
		CHECK(mq_receive(q, got, 8, NULL) == 4 && !strcmp(got, "new"), "got '%s'", got);
	}
	tree_pass();
	if (is("mqueue") && n == 3) {
		CHECK(mq_receive(q, got, 8, &priority) == 4 && !strcmp(got, "two") && priority == 2,
			"first: got '%s' of priority %u", got, priority);
		CHECK(mq_receive(q, got, 8, &priority) == 4 && !strcmp(got, "one") && priority == 1,
			"then: got '%s' of priority %u", got, priority);
	}
	return 0;
}

static void make(void)
{
	struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 8};
	char name[64];

	if (begins("shm")) {
		id = MUST(shmget(IPC_PRIVATE, LEN, IPC_CREAT | 0600));
		shared = (char *)MUST((long)shmat(id, NULL, 0));
		shared[0] = 'a';
		int fd = MUST(open("shmid", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		dprintf(fd, "%d", id);
		close(fd);
	} else if (is("sem") || begins("undo")) {
		id = MUST(semget(IPC_PRIVATE, CHILDREN + 1, IPC_CREAT | 0600));
		MUST(semctl(id, 0, SETVAL, 5));
	} else if (is("msg")) {
		id = MUST(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
	} else {
		snprintf(name, sizeof(name), "/ckpt-e2e-tree-%d", getpid());
		q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
		if (q < 0)
			SKIP("no message queues here: %s", strerror(errno));
		MUST(mq_unlink(name));
	}
}

/* What the children wait for beside the gate. */
static void go(pid_t second)
{
	int value;

	if (is("sem") || begins("undo")) {
		value = MUST(semctl(id, 0, GETVAL));
		CHECK(value == (is("undo") ? 3 : is("undo-two") ? 1 : 5), "number 0 is %d", value);
		for (int i = 1; i <= CHILDREN; i++)
			MUST(semop(id, &(struct sembuf){i, 1, 0}, 1));
	} else if (is("msg")) {
		struct msqid_ds ds;

		MUST(msgctl(id, IPC_STAT, &ds));
		CHECK(ds.msg_lspid == second, "sender: expected %d, got %d", second, ds.msg_lspid);
	} else if (is("mqueue-notify")) {
		MUST(mq_send(q, "new", 4, 1));
	}
	if (!is("sem") && !begins("undo"))
		tree_open(CHILDREN);
}

static void end(void)
{
	if (is("shm-removed")) {
		MUST(shmdt(shared));
		CHECK(shmctl(id, IPC_STAT, &(struct shmid_ds){0}) < 0 && errno == EINVAL,
			"it was to go with its last attachment");
	} else if (begins("shm")) {
		MUST(shmctl(id, IPC_RMID, NULL));
	} else if (is("sem") || begins("undo")) {
		int want = is("undo-two") && victim_dead_s() > 0 ? 1 : 5;

		CHECK(semctl(id, 0, GETVAL) == want, "the end: expected %d, got %d", want,
			semctl(id, 0, GETVAL));
		MUST(semctl(id, 0, IPC_RMID));
	} else if (is("msg")) {
		MUST(msgctl(id, IPC_RMID, NULL));
	}
}

static int child(int n)
{
	if (begins("shm"))
		return shm_child(n);
	if (is("sem") || begins("undo"))
		return sem_child(n);
	return is("msg") ? msg_child(n) : mqueue_child(n);
}

int main(int argc, char **argv)
{
	unsigned long attached = 0;
	struct shmid_ds ds;
	pid_t pids[CHILDREN + 1];
	char text[32];

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: tree_ipc KIND");
	what = argv[1];
	if (is("gone")) { /* the driver, when the victim is dead */
		victim_slurp("shmid", text, sizeof(text));
		MUST(shmctl(atoi(text), IPC_RMID, NULL));
		return 0;
	}
	tree_init();
	make();
	for (int i = 1; i <= CHILDREN; i++)
		pids[i] = tree_fork(child, i);
	tree_expect(CHILDREN);
	if (is("shm-removed"))
		MUST(shmctl(id, IPC_RMID, NULL));
	if (begins("shm")) {
		MUST(shmctl(id, IPC_STAT, &ds));
		attached = ds.shm_nattch;
		CHECK(attached == 5, "the test is broken: %lu attachments", attached);
	}
	victim_ready();
	victim_wait();
	if (begins("shm")) {
		MUST(shmctl(id, IPC_STAT, &ds));
		CHECK(ds.shm_nattch == attached, "expected %lu attachments, got %lu", attached,
			(unsigned long)ds.shm_nattch);
		expect_pages(shared, "the root");
	}
	go(pids[2]);
	for (int i = 1; i <= CHILDREN; i++)
		tree_ends(pids[i], 0, "a child");
	tree_no_more();
	end();
	return 0;
}
