/* The part of the extended registers that goes into an image. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/arch.h"

#define WHOLE  11008 /* of a CPU with AMX */
#define HEADER 576   /* Intel SDM volume 1, 13.4: legacy region 512, header 64 */

Test(xstate, zeros_at_the_end_are_left_out)
{
	uint8_t x[WHOLE] = {0};

	x[832] = 1;
	cr_assert_eq(arch_xstate_used(x, WHOLE), 833);
	x[WHOLE - 1] = 1;
	cr_assert_eq(arch_xstate_used(x, WHOLE), WHOLE);
}

Test(xstate, the_header_stays)
{
	uint8_t x[WHOLE] = {0};

	cr_assert_eq(arch_xstate_used(x, WHOLE), HEADER);
	cr_assert_eq(arch_xstate_used(x, HEADER), HEADER);
	cr_assert_eq(arch_xstate_used(x, 100), 100);
}

#define MXCSR       24 /* Intel SDM volume 1, 10.2.3 and 10.5.1.1 */
#define MXCSR_INIT  0x1f80U
#define MXCSR_OTHER 0x7fa0U /* rounds to zero, has been inexact */
#define XMM         160
#define YMM         576

/* Exits with 0 if mxcsr has its initial value after the stop. */
static void have_another_mxcsr(void)
{
	unsigned mxcsr = MXCSR_OTHER;

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	kill(getpid(), SIGSTOP);
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	_exit(mxcsr == MXCSR_INIT ? 0 : mxcsr == MXCSR_OTHER ? 1 : 2);
}

Test(xstate, initial_values_are_set_where_there_were_others)
{
	static uint8_t x[ARCH_XSTATE_MAX];
	const unsigned init = MXCSR_INIT;
	pid_t pid = fork();
	size_t len;
	int status;

	if (pid == 0)
		have_another_mxcsr();
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSTOPPED(status));
	cr_assert_eq(arch_xstate_get(pid, x, sizeof(x), &len), 0);
	memcpy(x + MXCSR, &init, sizeof(init));
	memset(x + XMM, 0, 256);
	memset(x + YMM, 0, len >= YMM + 256 ? 256 : 0);
	arch_xstate_plain(x, len);
	cr_assert_eq(arch_xstate_set(pid, x, len), 0);
	cr_assert_eq(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "status %#x", (unsigned)status);
	cr_assert_eq(WEXITSTATUS(status), 0, "mxcsr: what it was: %d", WEXITSTATUS(status) == 1);
}
