/*
 * mqueue.c - see mqueue.h.
 */
#include "kernel/mqueue.h"

#include <errno.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel/fork_raw.h"
#include "util/str.h"
#include "util/vec.h"

#define TOTAL_MAX (256UL << 20)
#define WAIT_MS   1000
#define NS_PER_MS 1000000L

/* ------------------------------------------------------------------ who is told */

static int number_after(const char *text, const char *key, uint64_t *ret)
{
	const char *at = strstr(text, key);

	if (!at || (at != text && at[-1] != ' '))
		return -EBADMSG;
	at += strlen(key);
	return str_u64(&at, 10, ret) < 0 ? -EBADMSG : 0;
}

int mqueue_notify_parse(const char *text, struct mqueue_notify *ret)
{
	uint64_t how, signal, pid;

	if (number_after(text, "QSIZE:", &ret->bytes) < 0 ||
		number_after(text, "NOTIFY:", &how) < 0 ||
		number_after(text, "SIGNO:", &signal) < 0 ||
		number_after(text, "NOTIFY_PID:", &pid) < 0)
		return -EBADMSG;
	ret->how = (int)how;
	ret->signal = (int)signal;
	ret->pid = (pid_t)pid;
	return 0;
}

int mqueue_notify_read(int fd, struct mqueue_notify *ret)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = 0;
	return mqueue_notify_parse(text, ret);
}

/* ------------------------------------------------------------------ messages */

/* At the beginning of the map, written by the child. */
struct copied {
	uint64_t received, sent;
};

static struct mqueue_message *slot(const struct mqueue_messages *m, size_t i)
{
	return (void *)((uint8_t *)m->map + sizeof(struct copied) + i * m->slot_bytes);
}

const struct mqueue_message *mqueue_message(const struct mqueue_messages *m, size_t i)
{
	return slot(m, i);
}

/*
 * Receive, and send again. Only the library's thin calls, in the copy of a process that may have had
 * threads. Sending waits where somebody else has filled the place: nothing is lost.
 */
static void take_and_give_back(int fd, size_t n, size_t max_bytes, const struct mqueue_messages *m)
{
	static const struct timespec long_ago;
	struct copied *c = m->map;

	for (; c->received < n; c->received++) {
		struct mqueue_message *x = slot(m, c->received);
		ssize_t len =
			mq_timedreceive(fd, (char *)x->text, max_bytes, &x->priority, &long_ago);

		if (len < 0)
			break;
		x->len = (uint32_t)len;
	}
	while (c->sent < c->received) {
		struct mqueue_message *x = slot(m, c->sent);

		if (mq_send(fd, (const char *)x->text, x->len, x->priority) == 0)
			c->sent++;
		else if (errno != EINTR && errno != ENOMEM)
			break;
	}
}

/* Return: 0; -EBUSY it has not ended in time, and goes on by itself. */
static int child_wait(pid_t pid)
{
	struct timespec ms = {0, NS_PER_MS};
	siginfo_t si = {0};

	for (int i = 0; i < WAIT_MS && si.si_pid == 0; i++) {
		if (i)
			nanosleep(&ms, NULL);
		if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | __WALL) < 0 && errno != EINTR)
			return -errno;
	}
	return si.si_pid ? 0 : -EBUSY;
}

/*
 * It must have ended before those whose tracer the parent is can go on, which they do when the parent
 * has died. So it does not begin if that has happened, and is not kept waiting by others then.
 */
static void begin(pid_t parent)
{
	struct sched_param urgent = {.sched_priority = 1};

	setsid();
	sched_setscheduler(0, SCHED_FIFO, &urgent); /* where it is allowed */
	if (getppid() != parent)
		_exit(0);
}

/* The child begins with every signal blocked; so does this thread, for a moment. */
static int copy_by_child(int fd, size_t n, size_t max_bytes, const struct mqueue_messages *m)
{
	sigset_t all, old;
	pid_t parent = getpid(), pid;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork_raw(0);
	if (pid == 0) {
		begin(parent);
		take_and_give_back(fd, n, max_bytes, m);
		_exit(0);
	}
	err = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid < 0 ? -err : child_wait(pid);
}

int mqueue_copy(int fd, size_t n, size_t max_bytes, struct mqueue_messages *ret)
{
	size_t slot_bytes = ALIGN_UP(sizeof(struct mqueue_message) + max_bytes, (size_t)16);
	struct mqueue_messages m = {.slot_bytes = slot_bytes, .n = n};
	const struct copied *c;
	int r;

	if (slot_bytes > TOTAL_MAX || n > TOTAL_MAX / slot_bytes)
		return -E2BIG;
	m.map_len = sizeof(struct copied) + n * slot_bytes;
	/* all of it now: the child must not fail for want of memory */
	m.map = mmap(NULL, m.map_len, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (m.map == MAP_FAILED)
		return -errno;
	r = copy_by_child(fd, n, max_bytes, &m);
	c = m.map;
	if (r == 0 && (c->received != n || c->sent != n))
		r = -EBUSY;
	if (r < 0)
		mqueue_messages_done(&m);
	else
		*ret = m;
	return r;
}

void mqueue_messages_done(struct mqueue_messages *m)
{
	if (m->map)
		munmap(m->map, m->map_len);
	*m = (struct mqueue_messages){0};
}
