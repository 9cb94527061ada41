/*
 * Programs that are told of checkpoints by signals (--notify): whatever becomes of the dump, each question that
 * it has answered is followed by the news, and nothing is told twice.
 *
 * handler: by handlers, while it computes; wait: in sigwaitinfo, by another thread; fd: by a signalfd.
 *
 * e2e: args: handler wait fd
 * e2e: no cycle: it has not run, so what it is told by is one of its pending signals
 * e2e: options: --notify --notify-signals=RTMAX-5,RTMAX-4
 */
#include "victim.h"
#include <stdatomic.h>
#include <sys/signalfd.h>

#define CKPT (SIGRTMAX - 5)
#define THAW (SIGRTMAX - 4)

static atomic_int restarted, wrong;
static atomic_uint_fast64_t answered; /* the crid, 0: nothing */
static char kind;

/* Return: whether it is to be told of checkpoints from now on */
static bool hear(int sig, int what, uint64_t crid)
{
	if (sig == CKPT) {
		/* asked again after a second is asked once, as long as it has not answered */
		if (answered || what != 0)
			wrong = 1;
		signal(CKPT, SIG_IGN);
		answered = crid;
		return false;
	}
	if (what != 0 && what != ECANCELED && what != ERESTART)
		wrong = 2;
	/* who might have asked may have died before it did, or just after it had said all */
	if (!answered || (crid && crid != answered))
		return false;
	restarted += what == ERESTART;
	answered = 0;
	return true;
}

static void on_signal(int sig, siginfo_t *si, void *ctx);

/* Each blocks the other: of two that have come together that of CKPT is to run first. */
static void take(int sig)
{
	struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	sigaddset(&a.sa_mask, CKPT);
	sigaddset(&a.sa_mask, THAW);
	sigaction(sig, &a, NULL);
}

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
	(void)ctx;
	if (hear(sig, si->si_errno, (uintptr_t)si->si_ptr))
		take(CKPT);
}

static void *listen_to(void *arg)
{
	sigset_t *set = arg;
	int fd = kind == 'f' ? (int)MUST(signalfd(-1, set, SFD_CLOEXEC)) : -1;

	for (;;) {
		struct signalfd_siginfo info;
		siginfo_t si;
		bool again;

		if (fd >= 0) {
			MUST(read(fd, &info, sizeof(info)));
			again = hear((int)info.ssi_signo, info.ssi_errno, info.ssi_ptr);
		} else {
			if (sigwaitinfo(set, &si) < 0)
				continue;
			again = hear(si.si_signo, si.si_errno, (uintptr_t)si.si_ptr);
		}
		if (again)
			signal(CKPT, SIG_DFL);
	}
	return NULL;
}

static void *compute(void *arg)
{
	for (volatile unsigned long i = 0;; i++)
		if (i % 1000000 == 0)
			usleep(1000);
	return arg;
}

int main(int argc, char **argv)
{
	sigset_t set;

	victim_init(argc, argv);
	kind = argv[1][0];
	sigemptyset(&set);
	sigaddset(&set, CKPT);
	sigaddset(&set, THAW);
	if (kind == 'h') {
		take(THAW);
		take(CKPT);
	} else {
		pthread_sigmask(SIG_BLOCK, &set, NULL);
		victim_thread(listen_to, &set);
	}
	victim_thread(compute, NULL);
	victim_ready();
	victim_wait();
	for (int ms = 0; answered && ms < 5000;
		ms++) /* a ckpt that died: another process says so */
		usleep(1000);
	CHECK(!wrong, "told out of turn: %d", wrong);
	CHECK(!answered, "it is ready, and was not told what came of it");
	CHECK(victim_dead_s() == 0 || restarted,
		"it was dead for %g s, and was not told of a restart", victim_dead_s());
	return 0;
}
