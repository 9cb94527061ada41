/*
 * fdinfo on captured text of each shape of line, and the descriptors of this process.
 */
#include "kernel/fdinfo.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/proc.h"
#include "util/cleanup.h"
#include "util/str.h"

/* "key=value;" of each line handed over. */
static int collect(char *key, char *value, void *arg)
{
	return strbuf_addf(arg, "%s=%s;", key, value);
}

static void expect(const char *captured, const char *lines, const struct fdinfo *want)
{
	_cleanup_free_ char *text = strdup(captured);
	_cleanup_strbuf_ struct strbuf sb = {};
	struct fdinfo info;

	strbuf_add(&sb, "");
	cr_assert_eq(fdinfo_parse(text, &info, collect, &sb), 0);
	cr_assert_str_eq(sb.s, lines);
	cr_assert_eq(info.pos, want->pos);
	cr_assert_eq(info.flags, want->flags);
	cr_assert_eq(info.mnt_id, want->mnt_id);
	cr_assert_eq(info.ino, want->ino);
}

/* The texts were captured on Linux 6.18. */
Test(fdinfo, file_with_lock)
{
	expect("pos:\t5\nflags:\t02102002\nmnt_id:\t27\nino:\t10953976\n"
	       "lock:\t1: FLOCK  ADVISORY  WRITE 865 fe:00:10953976 0 EOF\n",
		"lock=1: FLOCK  ADVISORY  WRITE 865 fe:00:10953976 0 EOF;",
		&(struct fdinfo){5, O_RDWR | O_APPEND | O_CLOEXEC | 0100000, 27, 10953976});
}

Test(fdinfo, timerfd_keys_with_blanks)
{
	expect("pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1038\nclockid: 1\nticks: 1\n"
	       "settime flags: 01\nit_value: (0, 0)\nit_interval: (0, 5)\n",
		"clockid=1;ticks=1;settime flags=01;it_value=(0, 0);it_interval=(0, 5);",
		&(struct fdinfo){0, O_RDWR, 17, 1038});
}

Test(fdinfo, inotify_and_epoll_and_io_uring)
{
	expect("pos:\t0\nflags:\t00\nmnt_id:\t17\nino:\t1038\n"
	       "inotify wd:1 ino:3c51a sdev:fe00000 mask:2 fhandle-bytes:8\n"
	       "tfd:        3 events:       19 data:               4d  pos:0 ino:40e sdev:10\n"
	       "UserFiles:\t1\n    0: /a: b\n\nNoValue:\n",
		"inotify=wd:1 ino:3c51a sdev:fe00000 mask:2 fhandle-bytes:8;"
		"tfd=3 events:       19 data:               4d  pos:0 ino:40e sdev:10;"
		"UserFiles=1;0=/a: b;NoValue=;",
		&(struct fdinfo){0, 0, 17, 1038});
}

Test(fdinfo, old_kernel_and_large_values)
{
	expect("pos:\t9223372036854775807\nflags:\t0100000", "",
		&(struct fdinfo){INT64_MAX, 0100000, -1, 0});
}

Test(fdinfo, a_kinds_own_flags_line_is_its_own)
{
	expect("pos:\t1\nflags:\t02\nx: 1\nflags:\t0777\nino:\t5\n", "x=1;flags=0777;ino=5;",
		&(struct fdinfo){1, 2, -1, 0});
}

static int refuse(char *key, char *value, void *arg)
{
	(void)value;
	(void)arg;
	return str_eq(key, "b") ? -EPROTO : 0;
}

Test(fdinfo, callers_error_comes_back)
{
	char text[] = "pos:\t0\nflags:\t02\na: 1\nb: 2\n";
	struct fdinfo info;

	cr_assert_eq(fdinfo_parse(text, &info, refuse, NULL), -EPROTO);
}

Test(fdinfo, malformed_text_is_refused)
{
	static const char *const bad[] = {
		"",
		"pos:\t0\n",
		"flags:\t02\n",
		"pos:\tx\nflags:\t02\n",
		"pos:\t0\nflags:\t09\n",
		"pos:\t0\nflags:\t02\nmnt_id:\t99999999999\n",
		"pos:\t0\nflags:\t02\nino:\t-1\n",
	};
	struct fdinfo info;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_free_ char *text = strdup(bad[i]);

		cr_assert_eq(fdinfo_parse(text, &info, NULL, NULL), -EBADMSG, "text %zu", i);
	}
}

Test(fdinfo, of_this_process)
{
	_cleanup_close_ int procfd = proc_open(0), event = eventfd(7, EFD_NONBLOCK);
	_cleanup_strbuf_ struct strbuf sb = {};
	_cleanup_free_ int *fds = NULL;
	struct fdinfo info;
	bool seen = false;
	size_t n = 0, i;

	cr_assert_eq(fdinfo_list(procfd, &fds, &n), 0);
	for (i = 0; i < n; i++) {
		seen |= fds[i] == event;
		cr_assert(i == 0 || fds[i - 1] < fds[i]);
	}
	cr_assert(seen);
	cr_assert_eq(fdinfo_read(procfd, event, &info, collect, &sb), 0);
	cr_assert_eq(info.flags, O_RDWR | O_NONBLOCK);
	cr_assert_not_null(strstr(sb.s, "eventfd-count=7;"));
	cr_assert_eq(fdinfo_read(procfd, 123456, &info, NULL, NULL), -ENOENT);
}

/* More text than one read is asked for: an epoll set has a line for each member. */
Test(fdinfo, long_text_is_read_whole)
{
	_cleanup_close_ int procfd = proc_open(0), set = epoll_create1(EPOLL_CLOEXEC);
	_cleanup_strbuf_ struct strbuf sb = {};
	struct fdinfo info;
	size_t found = 0;
	int fds[300];

	for (size_t i = 0; i < 300; i++) {
		struct epoll_event e = {.events = EPOLLIN};

		fds[i] = eventfd(0, EFD_CLOEXEC);
		cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &e), 0);
	}
	cr_assert_eq(fdinfo_read(procfd, set, &info, collect, &sb), 0);
	for (const char *p = sb.s; (p = strstr(p, "tfd=")); p++)
		found++;
	cr_assert_eq(found, 300);
	for (size_t i = 0; i < 300; i++)
		close(fds[i]);
}
