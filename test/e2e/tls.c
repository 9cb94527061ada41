/*
 * Holds: in four threads, thread-local values behind the fs base, and a gs base that points at a block
 * of the thread's own; one thread has both bases changed by arch_prctl and spins with them in use.
 * Shows: Threads: "fs/gs base and TLS".
 * e2e: isa: x86_64
 */
#include "victim.h"

#include <asm/prctl.h>

#define TLS_THREADS 4

static __thread uint64_t tls_value = 17;
static volatile int tls_up, tls_go;
static uint64_t tls_block[TLS_THREADS + 1][8];

static uint64_t tls_base(int which)
{
	uint64_t base;

	MUST(syscall(SYS_arch_prctl, which, &base));
	return base;
}

static uint64_t tls_gs_read(void)
{
	uint64_t value;

	__asm__ volatile("mov %%gs:16, %0" : "=r"(value));
	return value;
}

static void tls_check(int who, uint64_t fs)
{
	uint64_t gs = (uint64_t)tls_block[who], got;

	CHECK(tls_value == 100 + (uint64_t)who, "thread %d: TLS: expected %d, got %lu", who,
		100 + who, tls_value);
	got = tls_base(ARCH_GET_FS);
	CHECK(got == fs, "thread %d: fs base: expected %#lx, got %#lx", who, fs, got);
	got = tls_base(ARCH_GET_GS);
	CHECK(got == gs, "thread %d: gs base: expected %#lx, got %#lx", who, gs, got);
	CHECK(tls_gs_read() == 0xabcd0000u + who, "thread %d: gs:16: expected %#x, got %#lx", who,
		0xabcd0000u + who, tls_gs_read());
}

static uint64_t tls_setup(int who)
{
	tls_value = 100 + who;
	tls_block[who][2] = 0xabcd0000u + who;
	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, tls_block[who]));
	return tls_base(ARCH_GET_FS);
}

static void *tls_thread(void *arg)
{
	int who = (int)(intptr_t)arg;
	uint64_t fs = tls_setup(who);

	__atomic_add_fetch(&tls_up, 1, __ATOMIC_SEQ_CST);
	/* One sleeps, the others use their segments all the time. */
	while (!tls_go) {
		if (who)
			tls_check(who, fs);
		else
			usleep(1000);
	}
	tls_check(who, fs);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[TLS_THREADS];
	uint64_t fs;

	victim_init(argc, argv);
	fs = tls_setup(TLS_THREADS);
	for (int i = 0; i < TLS_THREADS; i++)
		t[i] = victim_thread(tls_thread, (void *)(intptr_t)i);
	while (tls_up < TLS_THREADS)
		usleep(1000);
	victim_ready();
	victim_wait();
	tls_check(TLS_THREADS, fs);
	tls_go = 1;
	for (int i = 0; i < TLS_THREADS; i++)
		pthread_join(t[i], NULL);
	return 0;
}
