/*
 * Holds: a program title written over argv, and whatever /proc says about how the program was started.
 * Shows: Memory: "exe link, argv, environ, auxv, brk bounds (PR_SET_MM_MAP)".
 */
#include "mm.h"

static const char *const files[] = {"cmdline", "environ", "auxv", "comm", "coredump_filter"};
#define FILES (sizeof(files) / sizeof(files[0]))

struct proc_view {
	char text[FILES][8192], exe[4096], stat[10][40];
	size_t len[FILES];
};

static void proc_view(struct proc_view *v)
{
	/* startcode endcode startstack; start_data end_data start_brk arg_start/end env_start/end */
	static const int fields[] = {26, 27, 28, 45, 46, 47, 48, 49, 50, 51};
	char path[64], line[2048], *word;

	memset(v, 0, sizeof(*v));
	for (size_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", files[i]);
		v->len[i] = victim_slurp(path, v->text[i], sizeof(v->text[i]));
	}
	MUST(readlink("/proc/self/exe", v->exe, sizeof(v->exe) - 1));
	victim_slurp("/proc/self/stat", line, sizeof(line));
	word = strrchr(line, ')') + 2;
	for (int field = 3, n = 0; word; field++) {
		char *one = strsep(&word, " \n");

		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (fields[i] == field)
				snprintf(v->stat[n++], sizeof(v->stat[0]), "%d:%.24s", field, one);
	}
}

int main(int argc, char **argv)
{
	static struct proc_view was, now;

	victim_init(argc, argv);
	snprintf(argv[0], strlen(argv[0]) + 1, "mm_proc: a title");
	MUST(setenv("E2E", "changed in the libc's copy", 1));
	MUST(prctl(PR_SET_NAME, "a (new) name"));
	proc_view(&was);
	CHECK(!strncmp(was.text[0], "mm_proc: a title", 16), "the test is broken");
	CHECK(was.len[1] > 0 && was.len[2] > 0, "the test is broken");
	CHECK(strncmp(was.stat[9], "51:", 3) == 0 && atol(was.stat[9] + 3), "the test is broken");
	victim_ready();
	victim_wait();
	proc_view(&now);
	for (size_t i = 0; i < FILES; i++)
		CHECK(was.len[i] == now.len[i] && !memcmp(was.text[i], now.text[i], was.len[i]),
			"/proc/self/%s differs: was '%.60s' (%zu bytes), is '%.60s' (%zu bytes)",
			files[i], was.text[i], was.len[i], now.text[i], now.len[i]);
	CHECK(!strcmp(was.exe, now.exe), "/proc/self/exe: expected %s, got %s", was.exe, now.exe);
	for (size_t i = 0; i < 10; i++)
		CHECK(!strcmp(was.stat[i], now.stat[i]),
			"/proc/self/stat: expected field %s, got %s", was.stat[i], now.stat[i]);
	CHECK(!strcmp(getenv("E2E"), "changed in the libc's copy"), "the environment has changed");
	return 0;
}
