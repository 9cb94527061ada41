/*
 * xstate.c - the registers of a thread beside the general ones (aarch64): those of floating point and
 * vectors, of thread-local storage, and the keys of pointer authentication.
 *
 * Each is a register set of the kernel's. They are kept one behind the other, each with its type and
 * its length in front. NT_ARM_SVE tells the vector length, too, and holds the whole vectors only where
 * the thread has used them since its last system call, which forgets all but their lower 128 bits.
 *
 * Not kept: streaming mode and ZA (SME), and a guarded control stack, which are refused by name.
 * Source: Linux arch/arm64/kernel/ptrace.c, Documentation/arch/arm64/{sve,sme,gcs}.rst.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arch/arch.h"
#include "kernel/ptrace.h"

/* Later than the headers of Debian 12. */
#define SET_TLS         0x401
#define SET_SVE         0x405
#define SET_PACA_KEYS   0x407 /* CONFIG_CHECKPOINT_RESTORE, as the next */
#define SET_PACG_KEYS   0x408
#define SET_TAGGED_ADDR 0x409
#define SET_PAC_ENABLED 0x40a
#define SET_SSVE        0x40b
#define SET_ZA          0x40c
#define SET_FPMR        0x40e
#define SET_POE         0x40f
#define SET_GCS         0x410
#define ALIGN           8
#define UNIT_MAX        16
#define VECTOR_IS_WHOLE 1 /* flags of struct user_sve_header: SVE_PT_REGS_SVE */
#define GCS_ENABLED     1 /* PR_SHADOW_STACK_ENABLE */

struct set {
	uint32_t type, len; /* of what follows, padded to 8 */
};

struct vector_header { /* struct user_sve_header, struct user_za_header */
	uint32_t size, max_size;
	uint16_t vl, max_vl, flags, reserved;
};

/* In the order in which they are put: the vector length before what depends on it. */
static const uint32_t kept[] = {SET_TLS, SET_TAGGED_ADDR, SET_PAC_ENABLED, SET_PACA_KEYS,
	SET_PACG_KEYS, SET_SVE, NT_PRFPREG, SET_FPMR, SET_POE};

/* Append one set; the kernel takes lengths only in units of the set. Return: 0, also where this machine has none such; -E2BIG; -errno of ptrace(2) */
static int append(pid_t tid, uint32_t type, uint8_t *buf, size_t cap, size_t *len)
{
	struct set s = {.type = type};
	size_t room, n;
	int r;

	if (cap - *len <= sizeof(s) + UNIT_MAX)
		return -E2BIG;
	room = (cap - *len - sizeof(s)) / UNIT_MAX * UNIT_MAX;
	r = ptrace_getregset(tid, type, buf + *len + sizeof(s), room, &n);
	if (r == -EINVAL || r == -ENODEV || r == -EIO)
		return 0;
	if (r < 0)
		return r;
	if (type == SET_SVE) { /* what the kernel tells is the longest that it could be */
		struct vector_header h;

		memcpy(&h, buf + *len + sizeof(s), sizeof(h));
		if (h.size > n)
			return -E2BIG;
		n = h.size;
	}
	if (n > room - ALIGN)
		return -E2BIG;
	s.len = (uint32_t)n;
	memcpy(buf + *len, &s, sizeof(s));
	memset(buf + *len + sizeof(s) + n, 0, -n % ALIGN);
	*len += sizeof(s) + n + -n % ALIGN;
	return 0;
}

static bool header_get(pid_t tid, uint32_t type, struct vector_header *ret)
{
	size_t n;

	return ptrace_getregset(tid, type, ret, sizeof(*ret), &n) == 0 && n == sizeof(*ret);
}

/* What is not kept is named by an empty set, so that arch_xstate_stuck() can tell it. */
static int append_not_kept(pid_t tid, uint8_t *buf, size_t cap, size_t *len)
{
	struct vector_header h;
	struct set s = {0};
	uint64_t gcs[3];
	size_t n;

	if (header_get(tid, SET_SSVE, &h) && (h.flags & VECTOR_IS_WHOLE))
		s.type = SET_SSVE;
	else if (header_get(tid, SET_ZA, &h) && h.size > sizeof(h))
		s.type = SET_ZA;
	else if (ptrace_getregset(tid, SET_GCS, gcs, sizeof(gcs), &n) == 0 &&
		 (gcs[0] & GCS_ENABLED))
		s.type = SET_GCS;
	if (!s.type)
		return 0;
	if (cap - *len < sizeof(s))
		return -E2BIG;
	memcpy(buf + *len, &s, sizeof(s));
	*len += sizeof(s);
	return 0;
}

int arch_xstate_get(pid_t tid, uint8_t *buf, size_t cap, size_t *ret_len)
{
	size_t len = 0;
	bool has_sve = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(kept) / sizeof(kept[0]); i++) {
		size_t before = len;

		if (kept[i] == NT_PRFPREG && has_sve)
			continue;
		r = append(tid, kept[i], buf, cap, &len);
		has_sve |= kept[i] == SET_SVE && len > before;
	}
	if (r == 0)
		r = append_not_kept(tid, buf, cap, &len);
	if (r == 0)
		*ret_len = len;
	return r;
}

static bool set_next(const uint8_t *data, size_t len, size_t *pos, struct set *ret)
{
	size_t at = *pos;

	if (len - at < sizeof(*ret))
		return false;
	memcpy(ret, data + at, sizeof(*ret));
	if (ret->len > len - at - sizeof(*ret))
		return false;
	*pos = at + sizeof(*ret) + ret->len + -(size_t)ret->len % ALIGN;
	if (*pos > len)
		*pos = len;
	return true;
}

int arch_xstate_set(pid_t tid, const uint8_t *data, size_t len)
{
	struct set s;
	size_t pos = 0, at = 0;
	int r = 0;

	for (; r == 0 && set_next(data, len, &pos, &s); at = pos) {
		bool known = false;

		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			known |= kept[i] == s.type;
		if (!known)
			return -EINVAL;
		r = ptrace_setregset(tid, s.type, data + at + sizeof(s), s.len);
	}
	return r < 0 ? r : pos == len ? 0 : -EINVAL;
}

void arch_xstate_plain(uint8_t *xstate, size_t len)
{
}

size_t arch_xstate_used(const uint8_t *xstate, size_t len)
{
	return len;
}

const char *arch_xstate_stuck(const uint8_t *xstate, size_t len)
{
	struct set s;
	size_t pos = 0;

	while (set_next(xstate, len, &pos, &s)) {
		if (s.type == SET_SSVE)
			return "SME streaming mode";
		if (s.type == SET_ZA)
			return "SME's ZA";
		if (s.type == SET_GCS)
			return "a guarded control stack";
	}
	return NULL;
}

uint64_t arch_xstate_features(const uint8_t *xstate, size_t len)
{
	return 0;
}

/* A system call ends streaming mode, and forgets the upper parts of whole vectors. */
const char *arch_xstate_fragile(pid_t tid)
{
	struct vector_header h;

	if (header_get(tid, SET_SSVE, &h) && (h.flags & VECTOR_IS_WHOLE))
		return "SME streaming mode";
	if (header_get(tid, SET_SVE, &h) && (h.flags & VECTOR_IS_WHOLE))
		return "SVE registers";
	return NULL;
}
