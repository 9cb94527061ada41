/*
 * Holds: two threads between which numbered real-time signals fly all the time: one queues them to the
 * other, whose handler checks that each comes once and in order; a third gets ordinary kicks.
 * Shows: First, do no harm: "no lost or doubled signal".
 */
#include "victim.h"

static volatile int storm_stop, storm_next, storm_kicks, storm_bad_want, storm_bad_got;
static volatile int storm_up;

static void storm_number(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	if (info->si_value.sival_int != storm_next && !storm_bad_got) {
		storm_bad_want = storm_next;
		storm_bad_got = info->si_value.sival_int;
	}
	storm_next++;
}

static void storm_kick(int sig)
{
	(void)sig;
	storm_kicks++;
}

static void *storm_receiver(void *arg)
{
	uint64_t x = 1;

	storm_up = 1;
	/* Busy, so that the signals come between any two instructions; sometimes in a system call. */
	while (!storm_stop)
		for (int i = 0; i < 100000; i++)
			x = x * 3 + 1;
	return (void *)(x + (uintptr_t)arg);
}

int main(int argc, char **argv)
{
	struct sigaction number = {
		.sa_sigaction = storm_number, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction kick = {.sa_handler = storm_kick, .sa_flags = SA_RESTART};
	int sent = 0, kicked = 0, err;
	union sigval value;
	sigset_t pending;
	pthread_t t;

	victim_init(argc, argv);
	MUST(sigaction(SIGRTMIN, &number, NULL));
	MUST(sigaction(SIGUSR1, &kick, NULL));
	t = victim_thread(storm_receiver, NULL);
	while (!storm_up)
		usleep(1000);
	victim_ready();
	do {
		value.sival_int = sent;
		err = pthread_sigqueue(t, SIGRTMIN, value);
		if (err == 0)
			sent++;
		CHECK(err == 0 || err == EAGAIN, "pthread_sigqueue: %s", strerror(err));
		if (sent % 16 == 0 && storm_kicks == kicked && pthread_kill(t, SIGUSR1) == 0)
			kicked++;
		if (sent % 64 == 0)
			usleep(1000);
		sigpending(&pending);
	} while (!sigismember(&pending, VICTIM_GO));
	for (int i = 0; i < 2000 && (storm_next < sent || storm_kicks < kicked); i++)
		usleep(1000);
	CHECK(!storm_bad_got, "expected number %d, got %d", storm_bad_want, storm_bad_got);
	CHECK(storm_next == sent, "expected %d signals, got %d", sent, storm_next);
	CHECK(storm_kicks == kicked, "expected %d kicks, got %d", kicked, storm_kicks);
	storm_stop = 1;
	pthread_join(t, NULL);
	return 0;
}
