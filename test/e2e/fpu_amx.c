/*
 * Holds: the permission to use AMX tiles (ARCH_REQ_XCOMP_PERM), a property of the process. `idle`: no
 * tile is in use at the dump, but after it; `live`: a thread spins with a tile configuration and two
 * tiles of known contents.
 * Shows: Threads: "FPU and all xsave registers"; what is not saved is refused by name.
 * e2e: args: idle live
 * e2e: refuse for live: AMX
 * e2e: isa: x86_64
 */
#include "victim.h"

#define AMX_GET_PERM 0x1022
#define AMX_REQ_PERM 0x1023
#define AMX_TILEDATA 18

static const struct {
	uint8_t palette, start_row, pad[14];
	uint16_t colsb[16];
	uint8_t rows[16];
} amx_config __attribute__((aligned(64))) = {.palette = 1, .colsb = {64, 32}, .rows = {16, 8}};

volatile int amx_stop;
static volatile int amx_up;
static uint8_t amx_in[2][1024], amx_out[2][1024], amx_config_out[64];

static void amx_spin(void)
{
	__asm__ volatile("	ldtilecfg (%[cfg])\n"
			 "	tileloadd (%[in0],%[stride]), %%tmm0\n"
			 "	tileloadd (%[in1],%[stride]), %%tmm1\n"
			 "	movl $1, %[up]\n"
			 "1:	pause\n"
			 "	mov amx_stop(%%rip), %%ecx\n"
			 "	jrcxz 1b\n"
			 "	tilestored %%tmm0, (%[out0],%[stride])\n"
			 "	tilestored %%tmm1, (%[out1],%[stride])\n"
			 "	sttilecfg (%[cfgout])\n"
			 "	tilerelease\n"
			 : [up] "=m"(amx_up)
			 : [cfg] "r"(&amx_config), [in0] "r"(amx_in[0]), [in1] "r"(amx_in[1]),
			 [out0] "r"(amx_out[0]), [out1] "r"(amx_out[1]),
			 [cfgout] "r"(amx_config_out), [stride] "r"(64L)
			 : "rcx", "memory");
}

static void *amx_thread(void *arg)
{
	amx_spin();
	for (int i = 0; i < 1024; i++)
		CHECK(amx_out[0][i] == amx_in[0][i], "tmm0 byte %d: expected %#x, got %#x", i,
			amx_in[0][i], amx_out[0][i]);
	for (int row = 0; row < 8; row++)
		for (int i = row * 64; i < row * 64 + 32; i++)
			CHECK(amx_out[1][i] == amx_in[1][i], "tmm1 byte %d: expected %#x, got %#x",
				i, amx_in[1][i], amx_out[1][i]);
	CHECK(memcmp(amx_config_out, &amx_config, 64) == 0, "the tile configuration differs");
	return arg;
}

int main(int argc, char **argv)
{
	unsigned long before = 0, after = 0;
	pthread_t t;

	victim_init(argc, argv);
	if (syscall(SYS_arch_prctl, AMX_REQ_PERM, AMX_TILEDATA) != 0)
		SKIP("no AMX here: %s", strerror(errno));
	MUST(syscall(SYS_arch_prctl, AMX_GET_PERM, &before));
	for (int i = 0; i < 1024; i++) {
		amx_in[0][i] = (uint8_t)(i * 7 + 1);
		amx_in[1][i] = (uint8_t)(i * 11 + 3);
	}
	if (argc > 1 && strcmp(argv[1], "idle") == 0) {
		amx_stop = 1;
		amx_thread(NULL);
		victim_ready();
		victim_wait();
		amx_thread(NULL);
	} else {
		t = victim_thread(amx_thread, NULL);
		while (!amx_up)
			usleep(1000);
		victim_ready();
		victim_wait();
		amx_stop = 1;
		pthread_join(t, NULL);
	}
	MUST(syscall(SYS_arch_prctl, AMX_GET_PERM, &after));
	CHECK(after == before, "permission: expected %#lx, got %#lx", before, after);
	return 0;
}
