/*
 * real: build: gcc -O2 -o {build}/prefork {source}
 * real: run: {build}/prefork
 *
 * A preforking server without sockets: eight workers share the parent's table of 64 MiB as it was when
 * they were forked, take requests from one pipe, write into a page of their own now and then, and
 * answer into another pipe. A worker ends after some requests and is replaced. The parent changes its
 * table between forks, so that pages differ between relatives in every way.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 8
#define PAGES   16384
#define WORDS   512 /* of a page */
#define ENOUGH  40  /* requests in a worker's life */
#define BATCH   16

struct request {
	uint32_t page, ask;
};

struct answer {
	uint32_t page, ask;
	uint64_t word;
	int32_t pid, age;
};

static uint64_t (*table)[WORDS];
static int requests[2], answers[2];

static uint64_t word_at(uint32_t page, uint32_t i)
{
	uint64_t x = ((uint64_t)page << 32 | i) * 0x9e3779b97f4a7c15u;

	return x ^ x >> 29;
}

static void die(const char *what)
{
	printf("pid %d: %s: %s\n", getpid(), what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* Every request asks for a word that no process ever changes, and changes one of the worker's own. */
static void serve(void)
{
	struct request ask;
	uint64_t mine[PAGES / 64] = {0};
	ssize_t n = 1;

	for (int age = 0; age < ENOUGH; age++) {
		struct answer told = {.pid = getpid(), .age = age};

		n = read(requests[0], &ask, sizeof(ask));
		if (n == 0)
			break;
		if (n != sizeof(ask))
			die("a request");
		told.page = ask.page;
		told.ask = ask.ask;
		told.word = table[ask.page][1 + ask.ask % (WORDS - 1)];
		table[ask.page][0] = mine[ask.page / 64] = told.word + age;
		if (write(answers[1], &told, sizeof(told)) != sizeof(told))
			die("an answer");
		for (uint32_t page = 0; page < PAGES; page++)
			if (table[page][511] != word_at(page, 511))
				die("the table, in a worker");
	}
	for (uint32_t slot = 0; slot < PAGES / 64; slot++)
		for (uint32_t page = slot * 64; mine[slot] && page < slot * 64 + 64; page++)
			if (table[page][0] == mine[slot])
				mine[slot] = 0;
	for (uint32_t slot = 0; slot < PAGES / 64; slot++)
		if (mine[slot])
			die("a page of its own, in a worker");
	_exit(n ? 17 : 0);
}

static pid_t worker(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		close(requests[1]);
		serve();
	}
	return pid;
}

/* Replaces who has ended, with the table as it is now. */
static void look_after(pid_t pids[WORKERS], uint32_t row)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		int i = 0;

		while (i < WORKERS && pids[i] != pid)
			i++;
		if (i == WORKERS || !WIFEXITED(status) || WEXITSTATUS(status) != 17) {
			printf("worker %d (pid %d), status %x\n", i, pid, status);
			die("a worker's end");
		}
		table[(row * 97) % PAGES][0]++;
		pids[i] = worker();
	}
}

static void batch(pid_t pids[WORKERS], uint32_t row)
{
	struct answer told;
	uint8_t seen[BATCH] = {0};

	for (uint32_t i = 0; i < BATCH; i++) {
		struct request ask = {(row * 1009 + i * 257) % PAGES, row * BATCH + i};

		if (write(requests[1], &ask, sizeof(ask)) != sizeof(ask))
			die("asking");
	}
	for (uint32_t left = BATCH; left;) {
		struct pollfd some = {.fd = answers[0], .events = POLLIN};

		look_after(pids, row);
		if (poll(&some, 1, 20) <= 0)
			continue;
		if (read(answers[0], &told, sizeof(told)) != sizeof(told))
			die("an answer that came");
		uint32_t i = told.ask - row * BATCH;

		if (i >= BATCH || seen[i]++ || told.age >= ENOUGH ||
			told.page != (row * 1009 + i * 257) % PAGES ||
			told.word != word_at(told.page, 1 + told.ask % (WORDS - 1)))
			die("a wrong answer");
		left--;
	}
}

int main(void)
{
	pid_t pids[WORKERS];
	uint64_t x = 0;
	uint32_t row = 0;
	int status;

	table = mmap(NULL, PAGES * sizeof(*table), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (table == MAP_FAILED || pipe(requests) || pipe(answers))
		die("setup");
	for (uint32_t page = 0; page < PAGES; page++)
		for (uint32_t i = 0; i < WORDS; i++)
			table[page][i] = word_at(page, i);
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker();
	for (; access("stop", F_OK); row++) {
		batch(pids, row);
		x = x * 6364136223846793005u + 1442695040888963407u + row;
		printf("%u 0 %u %016llx\n", row, row, (unsigned long long)x);
		fflush(stdout);
		usleep(5000);
	}
	close(requests[1]);
	for (int i = 0; i < WORKERS; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] ||
			(status != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 17)))
			die("a worker's end at the end");
	for (uint32_t page = 0; page < PAGES; page++)
		for (uint32_t i = 1; i < WORDS; i++)
			if (table[page][i] != word_at(page, i))
				die("the table at the end");
	printf("end %u %016llx\n", row, (unsigned long long)x);
	return 0;
}
