/*
 * e2e: args: named gone unlinked full waiting sending notify notify-none notify-held thread
 * e2e: gone for gone: yes
 * e2e: refuse for notify-held: message queue, next one
 * e2e: refuse for thread: message queue
 *
 * Holds: a POSIX message queue: with a name and messages; gone: with a name, but not there any more at
 * the restore; unlinked: without a name, with messages of several priorities, and three descriptors of
 * two descriptions; full: it holds as much as it can; waiting: a thread waits for a message; sending: one
 * waits to send to a full one; notify: a signal is to come for the next message. Refused: a signal is to
 * come, and messages that could only be read by receiving them are there; a thread is
 * to be started.
 * Shows: Memory: "POSIX message queues with notification".
 */
#include "fds.h"
#include <mqueue.h>
#include <sys/stat.h>

#define MAX  6
#define SIZE 100

static const struct {
	unsigned priority, len;
} messages[] = {{3, 10}, {0, 0}, {3, SIZE}, {31, 1}, {0, 77}, {7, 5}}, /* as they are sent */
	order[] = {{31, 1}, {7, 5}, {3, 10}, {3, SIZE}, {0, 0}, {0, 77}};

static const char *what;
static char name[64];
static mqd_t q;

static bool is(const char *word)
{
	return !strcmp(what, word);
}

static long capacity(void)
{
	return is("full") ? MAX : is("sending") ? MAX - 1 : MAX + 1;
}

/* Every length is there once, so it tells which message it is. */
static void fill(char *text, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		text[i] = fds_byte(len, i);
}

static void send_all(mqd_t to)
{
	char text[SIZE];

	for (int i = 0; i < MAX; i++) {
		fill(text, messages[i].len);
		MUST(mq_send(to, text, messages[i].len, messages[i].priority));
	}
}

static void expect_all(mqd_t from)
{
	static const struct timespec long_ago;
	char got[SIZE], want[SIZE];
	unsigned priority;
	ssize_t n;

	for (int i = 0; i < MAX; i++) {
		n = mq_timedreceive(from, got, SIZE, &priority, &long_ago);
		CHECK(n == (ssize_t)order[i].len && priority == order[i].priority,
			"message %d: expected %u bytes of priority %u, got %zd of %u (%s)", i,
			order[i].len, order[i].priority, n, priority, strerror(errno));
		fill(want, n);
		CHECK(!memcmp(got, want, n), "message %d: another text", i);
	}
	n = mq_timedreceive(from, got, SIZE, &priority, &long_ago);
	CHECK(n < 0 && (errno == ETIMEDOUT || errno == EAGAIN), "there are more messages: %zd", n);
}

static int gone(void)
{
	char text[64];

	victim_slurp("name", text, sizeof(text));
	MUST(mq_unlink(text));
	return 0;
}

static void make(void)
{
	struct mq_attr attr = {.mq_maxmsg = capacity(), .mq_msgsize = SIZE};
	int fd;

	snprintf(name, sizeof(name), "/ckpt-e2e-%d", getpid());
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (q < 0)
		SKIP("no message queues here: %s", strerror(errno));
	MUST(fchmod(q, 0624));
	MUST(fchown(q, 1234, 5678));
	fd = MUST(open("name", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	CHECK(write(fd, name, strlen(name)) == (ssize_t)strlen(name), "name: %s", strerror(errno));
	close(fd);
}

static void expect_queue(long held)
{
	struct mq_attr attr;
	struct stat st;
	char link[128] = "", path[64], want[96];

	MUST(mq_getattr(q, &attr));
	CHECK(attr.mq_maxmsg == capacity() && attr.mq_msgsize == SIZE,
		"size: %ld messages of %ld bytes", attr.mq_maxmsg, attr.mq_msgsize);
	CHECK(attr.mq_curmsgs == held, "expected %ld messages, got %ld", held, attr.mq_curmsgs);
	MUST(fstat(q, &st));
	CHECK((st.st_mode & 07777) == 0624 && st.st_uid == 1234 && st.st_gid == 5678,
		"mode and owner: %o of %u:%u", st.st_mode, st.st_uid, st.st_gid);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", q);
	MUST(readlink(path, link, sizeof(link) - 1));
	snprintf(want, sizeof(want), "%s%s", name, st.st_nlink ? "" : " (deleted)");
	CHECK(!strcmp(link, want), "expected '%s', got '%s'", want, link);
	CHECK(st.st_nlink == (is("named") || is("gone") || is("notify")), "links: %lu",
		(long)st.st_nlink);
}

static void run_named(void)
{
	if (is("named"))
		send_all(q);
	victim_ready();
	victim_wait();
	expect_queue(is("named") ? MAX : 0);
	if (is("named"))
		expect_all(q);
	MUST(mq_unlink(name));
}

static void run_unlinked(void)
{
	int reads = MUST(mq_open(name, O_RDONLY | O_NONBLOCK)), again = MUST(dup(q));
	struct fds_view was_q, was_reads;

	MUST(mq_unlink(name));
	send_all(q);
	fds_view(q, &was_q);
	fds_view(reads, &was_reads);
	victim_ready();
	victim_wait();
	expect_queue(MAX);
	fds_expect(q, &was_q, false, "the queue");
	fds_expect(reads, &was_reads, false, "the reader");
	CHECK(fds_same(q, again) && !fds_same(q, reads), "what descriptors share is different");
	expect_all(reads);
	MUST(mq_send(again, "x", 1, 0));
	CHECK(mq_receive(reads, (char[SIZE]){0}, SIZE, NULL) == 1, "they are of two queues");
	CHECK(mq_send(reads, "x", 1, 0) < 0 && errno == EBADF, "the reader may send");
}

static void *receive_one(void *arg)
{
	char text[SIZE];

	CHECK(mq_receive(q, text, SIZE, NULL) == 4, "mq_receive: %s", strerror(errno));
	return arg;
}

static void *send_last(void *arg)
{
	char text[SIZE];

	fill(text, messages[MAX - 1].len);
	CHECK(mq_send(q, text, messages[MAX - 1].len, messages[MAX - 1].priority) == 0,
		"mq_send: %s", strerror(errno));
	return arg;
}

static void run_waiting(void)
{
	pthread_t t = victim_thread(receive_one, NULL);

	MUST(mq_unlink(name));
	usleep(20000);
	victim_ready();
	victim_wait();
	expect_queue(0);
	MUST(mq_send(q, "test", 4, 1));
	pthread_join(t, NULL);
}

/* The queue has room for all but the last message, which a thread waits to send. */
static void run_sending(void)
{
	char text[SIZE], want[SIZE];
	pthread_t t;

	MUST(mq_unlink(name));
	for (int i = 0; i < MAX - 1; i++) {
		fill(text, messages[i].len);
		MUST(mq_send(q, text, messages[i].len, messages[i].priority));
	}
	t = victim_thread(send_last, NULL);
	usleep(20000);
	victim_ready();
	victim_wait();
	expect_queue(MAX - 1);
	CHECK(mq_receive(q, text, SIZE, NULL) == 1, "the first message is another one");
	fill(want, 1);
	CHECK(text[0] == want[0], "the first message has another text");
	pthread_join(t, NULL);
	expect_queue(MAX - 1);
	CHECK(mq_receive(q, text, SIZE, NULL) == 5, "the thread's message did not arrive");
}

static void run_notify(int how)
{
	struct sigevent ev = {.sigev_notify = how, .sigev_signo = SIGUSR2};
	struct timespec none = {0};
	char text[256], want[64];
	siginfo_t si;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	if (how == SIGEV_NONE || is("notify-held"))
		MUST(mq_unlink(name));
	if (is("notify-held"))
		send_all(q);
	MUST(mq_notify(q, &ev));
	victim_ready();
	victim_wait();
	text[MUST(pread(q, text, sizeof(text) - 1, 0))] = 0;
	snprintf(want, sizeof(want), "NOTIFY_PID:%d ", getpid());
	CHECK(strstr(text, want), "expected %s, got '%s'", want, text);
	CHECK(sigtimedwait(&set, &si, &none) < 0, "the signal has come already");
	if (is("notify-held"))
		return;
	expect_queue(0);
	MUST(mq_send(q, "test", 4, 1));
	if (how == SIGEV_SIGNAL) {
		none.tv_sec = 5;
		CHECK(sigtimedwait(&set, &si, &none) == SIGUSR2 && si.si_code == SI_MESGQ,
			"the signal did not come");
		MUST(mq_unlink(name));
	} else {
		CHECK(sigtimedwait(&set, &si, &none) < 0, "a signal came");
	}
	text[MUST(pread(q, text, sizeof(text) - 1, 0))] = 0;
	CHECK(!strstr(text, want), "it is still to be told: '%s'", text);
}

static void on_message(union sigval v)
{
	(void)v;
}

static void run_thread(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_message};

	MUST(mq_unlink(name));
	MUST(mq_notify(q, &ev));
	victim_ready();
	victim_wait();
}

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	CHECK(argc == 2, "usage: mqueue KIND");
	what = argv[1];
	if (is("gone") && !access("name", F_OK)) /* the driver, when the victim is dead */
		return gone();
	make();
	if (is("named") || is("gone"))
		run_named();
	else if (is("unlinked") || is("full"))
		run_unlinked();
	else if (is("waiting"))
		run_waiting();
	else if (is("sending"))
		run_sending();
	else if (is("thread"))
		run_thread();
	else
		run_notify(is("notify-none") ? SIGEV_NONE : SIGEV_SIGNAL);
	return 0;
}
