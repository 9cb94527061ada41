/*
 * listen.c - a thread of the program that hears of checkpoints from outside, and calls its functions.
 *
 * It is a thread, not a signal handler: so they may do what any function may. It begins with the first
 * function that is registered, or the first section without a checkpoint; until then there is nothing of it.
 * It blocks all signals, and waits for one of its own: a real-time signal that the program does not use, sent
 * to this thread alone. notify_page.h says how it is found and what it answers.
 *
 * Whoever has asked may be killed before it says what came of it. So when nothing comes the thread looks now
 * and then whether the asker lives. After a restart that is another time's process: but then the signal was
 * there before the program ran.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "ckpt.h"
#include "dump/notify_page.h"
#include "lib/callbacks.h"

#define PAGE_BYTES   (1U << NOTIFY_PAGE_BITS)
#define ENTER_MS     20 /* so often it is looked whether it is still asked for */
#define ALIVE_S      1
#define SIGNALS_USED 3 /* from SIGRTMAX down: the two of --notify are among them */

static union {
	struct notify_page page;
	char bytes[PAGE_BYTES];
} shown __attribute__((aligned(PAGE_BYTES)));

/* A question, and by whom. */
struct question {
	pid_t asker;
	uint64_t crid;
	int ask; /* negative; what came of it is not */
};

static pthread_mutex_t beginning = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t forks = PTHREAD_ONCE_INIT;
static bool listening;       /* under beginning */
static struct question next; /* came while another one was under way; of the thread alone */

static void forked(void)
{
	pthread_mutex_init(&beginning, NULL);
	listening = false;
	next.ask = 0;
	shown.page = (struct notify_page){};
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forked);
}

/* ------------------------------------------------------------------ hearing */

/* Return: whether one came; -1 seconds: as long as it takes */
static bool hear(int seconds, struct question *ret)
{
	const struct timespec limit = {.tv_sec = seconds};
	sigset_t set;
	siginfo_t si;
	int r;

	sigemptyset(&set);
	sigaddset(&set, shown.page.signo);
	do
		r = sigtimedwait(&set, &si, seconds < 0 ? NULL : &limit);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return false;
	*ret = (struct question){
		si.si_pid, (uint64_t)(uintptr_t)si.si_value.sival_ptr, si.si_errno};
	return si.si_code == SI_QUEUE;
}

static bool lives(pid_t asker)
{
	return kill(asker, 0) == 0 || errno != ESRCH;
}

/*
 * What became of a question. Another one may come meanwhile: then who asked this one is dead, most likely, and
 * the other waits.
 * Return: si_errno; or -1: nothing yet
 */
static int outcome(const struct question *q, int seconds)
{
	struct question said;

	while (hear(seconds, &said)) {
		if (said.ask < 0) {
			next = said;
			return -1;
		}
		if (said.crid == q->crid)
			return said.ask;
		if (said.crid == next.crid)
			next.ask = 0;
	}
	return -1;
}

static int outcome_or_death(const struct question *q, int seconds)
{
	bool dead = !lives(q->asker);
	int r = outcome(q, dead ? 0 : seconds);

	return r < 0 && dead ? ECANCELED : r;
}

/* ------------------------------------------------------------------ answering */

static void doing(enum notify_doing what)
{
	__atomic_store_n(&shown.page.doing, what, __ATOMIC_RELEASE);
}

static void answer(const struct question *q, int err)
{
	doing(NOTIFY_IDLE);
	__atomic_store_n(&shown.page.answer_crid, 0, __ATOMIC_RELEASE);
	shown.page.answer = err;
	shown.page.answer_ask = (uint32_t)-q->ask;
	__atomic_store_n(&shown.page.answer_crid, q->crid, __ATOMIC_RELEASE);
}

/* Return: whether a checkpoint may come; false: nobody waits for it any more */
static bool enter(const struct question *q)
{
	while (callbacks_enter(ENTER_MS) < 0) {
		doing(NOTIFY_WAITS);
		if (outcome_or_death(q, 0) >= 0) {
			doing(NOTIFY_IDLE);
			return false;
		}
	}
	return true;
}

static void serve(const struct question *q)
{
	struct place then;
	int r;

	if (!enter(q))
		return;
	doing(NOTIFY_CALLS);
	r = callbacks_before();
	if (r < 0) {
		callbacks_leave();
		answer(q, -r);
		return;
	}
	place_read(&then);
	answer(q, 0);
	while ((r = outcome_or_death(q, ALIVE_S)) < 0)
		;
	if (r == ERESTART)
		callbacks_restarted(&then, q->crid);
	else
		callbacks_after(r ? -r : (int64_t)q->crid);
	callbacks_leave();
}

static void *listen_main(void *arg)
{
	struct question q;
	char name[32];

	snprintf(name, sizeof(name), NOTIFY_THREAD "%09lx",
		(unsigned long)((uintptr_t)&shown >> NOTIFY_PAGE_BITS));
	shown.page.tid = gettid();
	shown.page.magic = NOTIFY_MAGIC;
	prctl(PR_SET_NAME, name);
	sem_post(arg);
	for (;;) {
		if (next.ask < 0)
			q = next;
		else if (!hear(-1, &q))
			continue;
		next.ask = 0;
		if (q.ask < 0)
			serve(&q);
	}
	return NULL;
}

/* ------------------------------------------------------------------ beginning */

static void on_mark(int sig)
{
}

/* So that a dump sees at once that there may be such a thread. A handler of the program does as well. */
static void mark(void)
{
	struct sigaction was, mine = {.sa_handler = on_mark, .sa_flags = SA_RESTART};

	if (sigaction(NOTIFY_MARK, NULL, &was) == 0 && !(was.sa_flags & SA_SIGINFO) &&
		(was.sa_handler == SIG_DFL || was.sa_handler == SIG_IGN))
		sigaction(NOTIFY_MARK, &mine, NULL);
}

/* One that nobody in the program seems to use. */
static int free_signal(const sigset_t *blocked)
{
	struct sigaction was;

	for (int sig = SIGRTMAX - SIGNALS_USED; sig >= SIGRTMIN; sig--)
		if (sigaction(sig, NULL, &was) == 0 && was.sa_handler == SIG_DFL &&
			sigismember(blocked, sig) == 0)
			return sig;
	return SIGRTMAX - SIGNALS_USED;
}

static int begin(void)
{
	pthread_attr_t attr;
	sigset_t all, was;
	pthread_t thread;
	sem_t ready;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	shown.page = (struct notify_page){.version = NOTIFY_VERSION, .signo = free_signal(&was)};
	mark();
	sem_init(&ready, 0, 0);
	r = pthread_create(&thread, &attr, listen_main, &ready);
	while (r == 0 && sem_wait(&ready) < 0)
		;
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	sem_destroy(&ready);
	return -r;
}

int listen_begin(void)
{
	int r = 0;

	pthread_once(&forks, watch_forks);
	pthread_mutex_lock(&beginning);
	if (!listening)
		r = begin();
	listening = r == 0;
	pthread_mutex_unlock(&beginning);
	return r;
}

void listen_self(uint64_t crid)
{
	__atomic_store_n(&shown.page.self_crid, crid, __ATOMIC_RELEASE);
}
