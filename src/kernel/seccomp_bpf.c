/*
 * seccomp_bpf.c - see seccomp_bpf.h. The opcodes are those that seccomp allows.
 */
#include "kernel/seccomp_bpf.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct machine {
	uint32_t a, x, mem[BPF_MEMWORDS];
};

static int load(const struct seccomp_data *data, uint32_t off, uint32_t *ret)
{
	if (off % sizeof(*ret) || off > sizeof(*data) - sizeof(*ret))
		return -EINVAL;
	memcpy(ret, (const uint8_t *)data + off, sizeof(*ret));
	return 0;
}

static int load_any(struct machine *m, const struct sock_filter *f, const struct seccomp_data *data,
	uint32_t *to)
{
	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
		return load(data, f->k, to);
	case BPF_IMM:
		*to = f->k;
		return 0;
	case BPF_LEN:
		*to = sizeof(*data);
		return 0;
	case BPF_MEM:
		if (f->k >= BPF_MEMWORDS)
			return -EINVAL;
		*to = m->mem[f->k];
		return 0;
	}
	return -EINVAL;
}

static int compute(struct machine *m, const struct sock_filter *f)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;

	switch (BPF_OP(f->code)) {
	case BPF_ADD:
		m->a += v;
		return 0;
	case BPF_SUB:
		m->a -= v;
		return 0;
	case BPF_MUL:
		m->a *= v;
		return 0;
	case BPF_DIV:
		m->a = v ? m->a / v : 0;
		return 0;
	case BPF_AND:
		m->a &= v;
		return 0;
	case BPF_OR:
		m->a |= v;
		return 0;
	case BPF_XOR:
		m->a ^= v;
		return 0;
	case BPF_LSH:
		m->a <<= v & 31;
		return 0;
	case BPF_RSH:
		m->a >>= v & 31;
		return 0;
	case BPF_NEG:
		m->a = -m->a;
		return 0;
	}
	return -EINVAL;
}

static int jump(const struct machine *m, const struct sock_filter *f, size_t *ret_skip)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	bool taken;

	switch (BPF_OP(f->code)) {
	case BPF_JA:
		*ret_skip = f->k;
		return 0;
	case BPF_JEQ:
		taken = m->a == v;
		break;
	case BPF_JGT:
		taken = m->a > v;
		break;
	case BPF_JGE:
		taken = m->a >= v;
		break;
	case BPF_JSET:
		taken = m->a & v;
		break;
	default:
		return -EINVAL;
	}
	*ret_skip = taken ? f->jt : f->jf;
	return 0;
}

static int store(struct machine *m, const struct sock_filter *f)
{
	if (f->k >= BPF_MEMWORDS)
		return -EINVAL;
	m->mem[f->k] = BPF_CLASS(f->code) == BPF_ST ? m->a : m->x;
	return 0;
}

int seccomp_bpf_run(
	const struct sock_filter *filter, size_t n, const struct seccomp_data *data, uint32_t *ret)
{
	struct machine m = {0};

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *f = &filter[pc];
		size_t skip = 0;
		int r = 0;

		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
			r = load_any(&m, f, data, &m.a);
			break;
		case BPF_LDX:
			r = load_any(&m, f, data, &m.x);
			break;
		case BPF_ST:
		case BPF_STX:
			r = store(&m, f);
			break;
		case BPF_ALU:
			r = compute(&m, f);
			break;
		case BPF_JMP:
			r = jump(&m, f, &skip);
			break;
		case BPF_MISC:
			if (BPF_MISCOP(f->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		case BPF_RET:
			*ret = BPF_RVAL(f->code) == BPF_A ? m.a : f->k;
			return 0;
		}
		if (r < 0)
			return r;
		pc += skip;
	}
	return -EINVAL;
}

/* Among stacked filters the smallest action as a signed number counts; of equal ones the newest. */
uint32_t seccomp_bpf_stricter(uint32_t a, uint32_t b)
{
	return (int32_t)(b & SECCOMP_RET_ACTION_FULL) < (int32_t)(a & SECCOMP_RET_ACTION_FULL) ? b
											       : a;
}
