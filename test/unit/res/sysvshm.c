/*
 * sysvshm.c - which mapped files are segments of System V shared memory. The names are what
 * /proc/PID/map_files showed on Linux 6.18, with " (deleted)" cut off.
 */
#include <criterion/criterion.h>

#include "res/file/files.h"
#include "res/ipc/ipc.h"

static bool is_segment(const char *link, int target_fd, bool deleted, mode_t mode)
{
	struct file_look l = {
		.target_fd = target_fd, .link = link, .deleted = deleted, .st = {.st_mode = mode}};

	return sysvshm_is(&l);
}

Test(sysvshm, told_by_its_name)
{
	cr_expect(is_segment("/SYSV00000000", -1, true, S_IFREG | 0600));
	cr_expect(is_segment("/SYSVdeadbeef", -1, true, S_IFREG | 0600));
}

Test(sysvshm, files_that_are_called_alike)
{
	cr_expect_not(is_segment("/SYSV00000000", 3, true, S_IFREG | 0600), "an open file");
	cr_expect_not(is_segment("/SYSV00000000", -1, false, S_IFREG | 0600), "a file with a name");
	cr_expect_not(is_segment("/SYSV00000000", -1, true, S_IFCHR | 0600), "a device");
	cr_expect_not(is_segment("/SYSV000000001", -1, true, S_IFREG | 0600), "too long");
	cr_expect_not(is_segment("/SYSV0000000", -1, true, S_IFREG | 0600), "too short");
	cr_expect_not(is_segment("/SYSV0000000g", -1, true, S_IFREG | 0600), "no number");
	cr_expect_not(is_segment("/SYSV", -1, true, S_IFREG | 0600), "no key");
	cr_expect_not(is_segment("/tmp/SYSV00000000", -1, true, S_IFREG | 0600), "elsewhere");
}
