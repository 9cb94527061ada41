/*
 * preflight_ipc.c - System V semaphores and message queues, which stay in the kernel unless they are asked
 * for. They are looked for in depth only: it costs some calls for each that there is on the machine.
 */
#include "dump/preflight_look.h"

#include "kernel/sysvipc.h"
#include "util/vec.h"

#define STAYS "it stays in the kernel and is found again there; it is not in the image"
#define ASK   "'ckpt dump --sysvipc' saves it"

static const struct {
	enum sysvipc_kind kind;
	const char *name;
	struct look_kind look;
} kinds[] = {
	{SYSVIPC_SEM, "System V semaphores", {"sysvsem", CKPT_WARNED, STAYS, ASK}},
	{SYSVIPC_MSG, "System V message queue", {"sysvmsg", CKPT_WARNED, STAYS, ASK}},
};

int look_ipc(struct look *l)
{
	int r = 0;

	for (size_t i = 0; l->report->deep && i < ARRAY_SIZE(kinds); i++) {
		int place = 0, id;

		while (r == 0 && (id = sysvipc_next(kinds[i].kind, &place)) >= 0)
			if (sysvipc_used_by(kinds[i].kind, id, l->pid))
				r = look_found(l, &kinds[i].look, "%s %d", kinds[i].name, id);
	}
	return r;
}
