/*
 * What the victims of credentials share: what a thread's are, and how to lay down capabilities.
 */
#ifndef TEST_E2E_CREDS_H
#define TEST_E2E_CREDS_H

#include "victim.h"
#include <linux/capability.h>
#include <sys/prctl.h>

struct creds_all {
	char status[2048]; /* the lines of /proc/thread-self/status about credentials */
	long securebits;
};

static inline void creds_get(struct creds_all *ret)
{
	static const char *const keys[] = {"Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:",
		"CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:"};
	char text[8192], *save = NULL;

	memset(ret, 0, sizeof(*ret));
	victim_slurp("/proc/thread-self/status", text, sizeof(text));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0) {
				strcat(ret->status, line);
				strcat(ret->status, "; ");
			}
	ret->securebits = MUST(prctl(PR_GET_SECUREBITS));
}

static inline void creds_expect(const struct creds_all *want, const char *who)
{
	struct creds_all got;

	creds_get(&got);
	CHECK(strcmp(got.status, want->status) == 0, "%s: expected %s\n  got %s", who, want->status,
		got.status);
	CHECK(got.securebits == want->securebits, "%s: securebits: expected %#lx, got %#lx", who,
		want->securebits, got.securebits);
}

/* Of the calling thread alone. */
static inline void creds_caps(uint64_t inh, uint64_t prm, uint64_t eff)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].inheritable = (uint32_t)(inh >> 32 * i);
		data[i].permitted = (uint32_t)(prm >> 32 * i);
		data[i].effective = (uint32_t)(eff >> 32 * i);
	}
	MUST(syscall(SYS_capset, &head, data));
}

#endif
