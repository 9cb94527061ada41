/*
 * e2e: args: tree gone changed named empty waiting
 * e2e: options: --sysvipc
 * e2e: options for named: --sysvipc=sem:0,@key
 * e2e: gone for gone,changed,empty: yes
 * e2e: no pidns for tree,named,changed,waiting: its users were of the outer pid namespace, and are 0 there
 *
 * Holds: a System V message queue with messages of several types and lengths, the empty one too, and
 * with a size of its own. gone, empty: it is not there any more at the restore; changed: somebody has
 * received and sent meanwhile; waiting: a thread waits for a type that is not there.
 * Shows: Memory: "System V message queues with their messages where the caller asks": id, key, mode,
 * owner, size, order, types, texts, and who sent and received last.
 * e2e: exec: yes
 */
#include "victim.h"
#include <stdbool.h>
#include <sys/msg.h>

#define TEXT 3000

struct message {
	long type;
	char text[TEXT];
};

static const struct {
	long type;
	size_t len;
} messages[] = {{5, 10}, {1, 0}, {5, TEXT}, {0x7fffffffffffffffL, 1}, {1, 2000}};

#define N (sizeof(messages) / sizeof(messages[0]))

static const char *what;
static int id;
static struct msqid_ds was;

static bool is(const char *word)
{
	return !strcmp(what, word);
}

static char byte(size_t message, size_t at)
{
	return 'a' + (message * 7 + at * 3 + at / 26) % 26;
}

static int gone(void)
{
	struct message m;
	char text[32], word[16];

	victim_slurp("msqid", text, sizeof(text));
	CHECK(sscanf(text, "%d %15s", &id, word) == 2, "msqid: '%s'", text);
	if (strcmp(word, "changed")) {
		MUST(msgctl(id, IPC_RMID, NULL));
		return 0;
	}
	MUST(msgrcv(id, &m, TEXT, 1, IPC_NOWAIT));
	m.type = 9;
	MUST(msgsnd(id, &m, 5, IPC_NOWAIT));
	return 0;
}

static void put(const char *file, const char *text)
{
	int fd = MUST(open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", file,
		strerror(errno));
	close(fd);
}

static void remember(key_t key)
{
	char text[32];

	snprintf(text, sizeof(text), "%d %s", id, what);
	put("msqid", text);
	snprintf(text, sizeof(text), "0x%x", key);
	put("key", text);
}

static void send_all(void)
{
	struct message m = {.type = 1};

	if (is("changed")) { /* else nobody was the last to receive, which can't be set */
		MUST(msgsnd(id, &m, 0, 0));
		MUST(msgrcv(id, &m, TEXT, 0, 0));
	}
	for (size_t i = 0; i < N; i++) {
		m.type = messages[i].type;
		for (size_t k = 0; k < messages[i].len; k++)
			m.text[k] = byte(i, k);
		MUST(msgsnd(id, &m, messages[i].len, 0));
	}
	if (!is("empty"))
		return;
	for (size_t i = 0; i < N; i++)
		MUST(msgrcv(id, &m, TEXT, 0, 0));
}

static void expect_all(void)
{
	struct message m;

	for (size_t i = 0; i < N && !is("empty"); i++) {
		ssize_t n = msgrcv(id, &m, TEXT, 0, IPC_NOWAIT);

		CHECK(n == (ssize_t)messages[i].len && m.type == messages[i].type,
			"message %zu: expected type %ld and %zu bytes, got %ld and %zd (%s)", i,
			messages[i].type, messages[i].len, m.type, n, strerror(errno));
		for (size_t k = 0; k < messages[i].len; k++)
			CHECK(m.text[k] == byte(i, k), "message %zu: byte %zu: expected %c, got %c",
				i, k, byte(i, k), m.text[k]);
	}
	CHECK(msgrcv(id, &m, TEXT, 0, IPC_NOWAIT) < 0 && errno == ENOMSG,
		"there are more messages");
}

static void expect_queue(void)
{
	struct msqid_ds now;

	MUST(msgctl(id, IPC_STAT, &now));
	CHECK(now.msg_perm.__key == was.msg_perm.__key, "key: expected %x, got %x",
		was.msg_perm.__key, now.msg_perm.__key);
	CHECK(now.msg_perm.mode == was.msg_perm.mode && now.msg_perm.uid == 1234 &&
			now.msg_perm.gid == 5678 && now.msg_perm.cuid == was.msg_perm.cuid,
		"mode and owner: %o of %u:%u, made by %u", now.msg_perm.mode, now.msg_perm.uid,
		now.msg_perm.gid, now.msg_perm.cuid);
	CHECK(now.msg_qbytes == 12000, "size: expected 12000, got %lu", now.msg_qbytes);
	CHECK(now.msg_qnum == was.msg_qnum && now.__msg_cbytes == was.__msg_cbytes,
		"expected %lu messages of %lu bytes, got %lu of %lu", was.msg_qnum,
		was.__msg_cbytes, now.msg_qnum, now.__msg_cbytes);
	CHECK(victim_was_or_is(now.msg_lspid, was.msg_lspid), "sender: expected %d, got %d",
		was.msg_lspid, now.msg_lspid);
	CHECK(victim_was_or_is(now.msg_lrpid, was.msg_lrpid), "receiver: expected %d, got %d",
		was.msg_lrpid, now.msg_lrpid);
}

static void *wait_for_it(void *arg)
{
	struct message m;

	CHECK(msgrcv(id, &m, TEXT, 77, 0) == 3, "the awaited message: %s", strerror(errno));
	return arg;
}

int main(int argc, char **argv)
{
	key_t key;
	struct msqid_ds ds;
	struct message m = {.type = 77};
	pthread_t thread = 0;

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: sysvmsg KIND");
	what = argv[1];
	if (is("gone") && !access("msqid", F_OK)) /* the driver, when the victim is dead */
		return gone();
	key = 0x0f000000 | (getpid() & 0xffffff);
	id = MUST(msgget(key, IPC_CREAT | IPC_EXCL | 0600));
	MUST(msgctl(id, IPC_STAT, &ds));
	ds.msg_perm.uid = 1234;
	ds.msg_perm.gid = 5678;
	ds.msg_perm.mode = 0642;
	ds.msg_qbytes = 12000;
	MUST(msgctl(id, IPC_SET, &ds));
	remember(key);
	send_all();
	if (is("waiting")) {
		thread = victim_thread(wait_for_it, NULL);
		usleep(20000);
	}
	MUST(msgctl(id, IPC_STAT, &was));
	victim_ready();
	victim_wait();
	expect_queue();
	if (is("waiting")) {
		MUST(msgsnd(id, &m, 3, 0));
		CHECK(pthread_join(thread, NULL) == 0, "the thread still waits");
	}
	expect_all();
	MUST(msgctl(id, IPC_RMID, NULL));
	return 0;
}
