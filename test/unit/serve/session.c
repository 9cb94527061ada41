/*
 * session.c - the seeds of the fuzzer (test/fuzz/session), and some thousand of their neighbours, against a session.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>

#include "../../fuzz/session_input.h"
#include "util/clock.h"

#define NEIGHBOURS_NS 300000000ULL

static uint8_t input[INPUT_LONGEST];
static uint32_t state = 1;

/* Of Marsaglia's generators the simplest: the same inputs in every run. */
static uint32_t next(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static size_t read_seed(const char *name)
{
	char path[300];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "test/fuzz/session/%s", name);
	f = fopen(path, "re");
	cr_assert(f, "%s: %m", path);
	n = fread(input, 1, sizeof(input), f);
	fclose(f);
	return n;
}

/* How many are left with something to do: who waits for a process that is there, or for nobody. */
Test(session, seeds)
{
	static const struct {
		const char *name;
		size_t left;
	} seeds[] = {{"local", 0}, {"batch", 0}, {"restore", 0}, {"restore_lost", 0}, {"error", 0},
		{"header", 0}, {"command", 0}, {"all", 0}, {"nested", 0}, {"wrong", 0}};

	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		size_t n = read_seed(seeds[i].name);

		cr_expect_eq(session_input(input, n), seeds[i].left, "%s", seeds[i].name);
	}
}

static int worker_ends[2];

static pid_t pretend_worker(struct worker_job *job, int *ret_pipe)
{
	cr_assert_eq(pipe2(worker_ends, O_CLOEXEC), 0);
	*ret_pipe = worker_ends[0];
	return NO_SUCH_PID;
}

static void say(enum report what, const char *text)
{
	struct report_head h = {.what = what, .len = (uint32_t)strlen(text)};

	cr_assert_eq(write(worker_ends[1], &h, sizeof(h)), (ssize_t)sizeof(h));
	cr_assert_eq(write(worker_ends[1], text, h.len), (ssize_t)h.len);
}

/* What the caller has been told since the last time. */
static const char *told(struct session *s, int peer)
{
	static char text[4096];
	ssize_t n;

	conn_flush(&s->conn);
	n = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void ask(struct session *s, const char *text)
{
	session_message(s, text, strlen(text));
	tasks_start(s);
}

/* Its worker has told of the end of a tree, and has not ended itself yet: who asks now is told as well. */
Test(session, wait_between_the_end_of_a_tree_and_of_its_worker)
{
	struct session s = {.start = pretend_worker};
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	conn_init(&s.conn, ends[0]);
	ask(&s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"restore\",\"params\":{\"dir\":\"/x\"}}");
	cr_assert_eq(s.n, 1);
	say(REPORT_STARTED, "{\"pid\":77}");
	say(REPORT_EXIT, "{\"pid\":77,\"exit_status\":5}");
	task_hear(&s, s.tasks[0]);
	cr_expect(strstr(told(&s, ends[1]), "\"exit\""));
	ask(&s, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"wait\",\"params\":{\"pid\":77}}");
	cr_expect(strstr(told(&s, ends[1]), "\"exit_status\":5"));
	close(worker_ends[1]);
	task_hear(&s, s.tasks[0]);
	cr_expect_eq(s.n, 0);
	free(s.tasks);
	conn_done(&s.conn);
	close(ends[1]);
}

Test(session, neighbours_of_the_seeds, .timeout = 60)
{
	uint64_t until = now_ns() + NEIGHBOURS_NS;
	DIR *d = opendir("test/fuzz/session");
	struct dirent *e;

	cr_assert(d);
	while (now_ns() < until) {
		size_t n;

		e = readdir(d);
		if (!e) {
			rewinddir(d);
			continue;
		}
		if (*e->d_name == '.')
			continue;
		n = read_seed(e->d_name);
		for (uint32_t k = next() % 8 + 1; n && k > 0; k--)
			input[next() % n] = (uint8_t)next();
		session_input(input, n);
	}
	closedir(d);
}
