/*
 * /proc/PID/mountinfo on captured text.
 */
#include "kernel/mountinfo.h"

#include <criterion/criterion.h>
#include <errno.h>

/* Of Linux 6.18: a name with a blank and a newline, one with optional fields, one of a bind mount. */
static const char text[] =
	"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
	"31 22 0:27 / /mnt/a\\040b\\012c rw,nosuid shared:5 master:2 - tmpfs none rw,size=4k\n"
	"32 22 0:27 /sub/dir /mnt/bind rw - tmpfs none rw\n";

Test(mountinfo, parses)
{
	struct mount_list l;

	cr_assert_eq(mountinfo_parse(text, &l), 0);
	cr_assert_eq(l.n, 3);
	cr_expect_eq(l.v[0].id, 22);
	cr_expect(l.v[0].dev_major == 254 && l.v[0].dev_minor == 0);
	cr_expect_str_eq(l.v[0].root, "/");
	cr_expect_str_eq(l.v[1].point, "/mnt/a b\nc");
	cr_expect_str_eq(l.v[2].root, "/sub/dir");
	cr_expect_str_eq(l.v[2].point, "/mnt/bind");
	cr_expect_eq(l.v[2].dev_minor, 27);
	cr_expect_str_eq(l.v[0].type, "ext4");
	cr_expect_str_eq(l.v[0].options, "rw,discard");
	cr_expect_str_eq(l.v[1].type, "tmpfs");
	cr_expect_str_eq(l.v[1].options, "rw,size=4k");
	mount_list_done(&l);
}

Test(mountinfo, malformed)
{
	static const char *const bad[] = {
		"22 1 254:0 /\n", "x 1 254:0 / / rw\n", "22 1 254 / / rw\n"};
	struct mount_list l;

	for (int i = 0; i < 3; i++) {
		cr_expect_eq(mountinfo_parse(bad[i], &l), -EBADMSG, "%s", bad[i]);
		mount_list_done(&l);
	}
}

Test(mountinfo, reads_its_own)
{
	struct mount_list l;

	cr_assert_eq(mountinfo_read(&l), 0);
	cr_expect_gt(l.n, 0);
	mount_list_done(&l);
}
