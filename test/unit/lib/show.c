/*
 * show.c - show, verify and diff of an image that the test has made: two threads, four mappings,
 * two descriptors.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <unistd.h>
#include <xxhash.h>

#include "ckpt.h"
#include "image/image.h"
#include "lib/load.h"
#include "model/store.h"
#include "proto/core.pb-c.h"
#include "proto/fdtable.pb-c.h"
#include "proto/mm.pb-c.h"
#include "proto/pages.pb-c.h"
#include "proto/regfile.pb-c.h"
#include "proto/regs.pb-c.h"
#include "proto/task.pb-c.h"
#include "proto/threadname.pb-c.h"

#define PID 4321

static char pages_text[8192];

/* Messages on the stack are packed, never freed: the model is emptied by hand. */
static void save(struct ckpt_op *op, struct image_writer *w, const char *type, uint64_t owner,
	const void *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	uint8_t *payload = malloc(len + 1);

	protobuf_c_message_pack(msg, payload);
	cr_assert(load_type(type), "%s", type);
	cr_assert_eq(image_add(op, w, type, owner, payload, len), 0);
	free(payload);
}

static void save_thread(struct ckpt_op *op, struct image_writer *w, uint64_t tid, const char *name,
	uint64_t ip, int64_t call)
{
	Ckpt__Regs regs = CKPT__REGS__INIT;
	Ckpt__ThreadName comm = CKPT__THREAD_NAME__INIT;
	struct user_regs_struct general = {.r15 = 0x15,
		.rbx = 0xb,
		.rax = 0xa,
		.rip = 0x400123,
		.rsp = 0x7fff0000beef,
		.fs_base = 0xf5,
		.gs = 0x65};

	regs.general.data = (uint8_t *)&general;
	regs.general.len = sizeof(general);
	regs.ip = ip;
	regs.sp = 0x7fff0000beef;
	regs.syscall = call;
	comm.comm.data = (uint8_t *)name;
	comm.comm.len = strlen(name);
	save(op, w, "regs", tid, &regs);
	save(op, w, "threadname", tid, &comm);
}

static void save_memory(struct ckpt_op *op, struct image_writer *w)
{
	Ckpt__Vma vma[4] = {CKPT__VMA__INIT, CKPT__VMA__INIT, CKPT__VMA__INIT, CKPT__VMA__INIT};
	Ckpt__Vma *vmas[4] = {&vma[0], &vma[1], &vma[2], &vma[3]};
	Ckpt__Mm mm = CKPT__MM__INIT;
	Ckpt__PageRun run[2] = {CKPT__PAGE_RUN__INIT, CKPT__PAGE_RUN__INIT};
	Ckpt__PageRun *runs[2] = {&run[0], &run[1]};
	Ckpt__Pages pages = CKPT__PAGES__INIT;

	vma[0].kind = CKPT__VMA__KIND__FILE;
	vma[0].start = 0x400000;
	vma[0].end = 0x402000;
	vma[0].prot = PROT_READ | PROT_EXEC;
	vma[0].name = "/bin/prog\nram";
	vma[1].start = 0x600000;
	vma[1].end = 0x610000;
	vma[1].prot = PROT_READ | PROT_WRITE;
	vma[2].start = 0x700000;
	vma[2].end = 0x701000;
	vma[2].shared = true;
	vma[3].start = 0x7fff00000000;
	vma[3].end = 0x7fff00021000;
	vma[3].prot = PROT_READ | PROT_WRITE;
	vma[3].growsdown = true;
	mm.vmas = vmas;
	mm.n_vmas = 4;
	mm.start_brk = 0x600000;
	mm.brk = 0x60f123;
	/* Two pages with contents in the heap; zeros on the stack, which take no room. */
	run[0].start = 0x601000;
	run[0].pages = 2;
	run[0].xxh3 = XXH3_64bits(pages_text, sizeof(pages_text));
	run[1].kind = CKPT__PAGE_RUN__KIND__ZERO;
	run[1].start = 0x7fff00020000;
	run[1].pages = 1;
	pages.runs = runs;
	pages.n_runs = 2;
	save(op, w, "mm", PID, &mm);
	save(op, w, "pages", PID, &pages);
}

static void save_files(struct ckpt_op *op, struct image_writer *w)
{
	Ckpt__Fd fd[2] = {CKPT__FD__INIT, CKPT__FD__INIT}, *fds[2] = {&fd[0], &fd[1]};
	Ckpt__FdTable table = CKPT__FD_TABLE__INIT;
	Ckpt__File file = CKPT__FILE__INIT;
	Ckpt__RegFile reg = CKPT__REG_FILE__INIT;

	fd[0].fd = 0;
	fd[0].file = 1;
	fd[1].fd = 777;
	fd[1].file = 1;
	fd[1].cloexec = true;
	table.fds = fds;
	table.n_fds = 2;
	file.flags = O_RDWR | O_APPEND;
	file.pos = 123456;
	reg.path = "/var/log/prog.log";
	save(op, w, "fdtable", PID, &table);
	save(op, w, "file", 1, &file);
	save(op, w, "regfile", 1, &reg);
}

/* An image in dir; the second thread's ip is what two of them differ in. */
static void make_image(const char *dir, uint64_t second_ip)
{
	struct image_writer_req req = {.dir = dir, .shards = 1};
	struct image_writer *w = NULL;
	Ckpt__Manifest manifest = CKPT__MANIFEST__INIT;
	Ckpt__Task task = CKPT__TASK__INIT, zombie = CKPT__TASK__INIT;
	int32_t tids[] = {PID, PID + 1};
	struct ckpt_op op;

	op_init(&op, NULL);
	cr_assert_eq(image_writer_open(&op, &req, &w), 0);
	memset(pages_text, 'p', sizeof(pages_text));
	cr_assert_eq(write(image_shard_fd(w, 0), pages_text, sizeof(pages_text)),
		(ssize_t)sizeof(pages_text));
	task.pid = PID;
	task.sid = 77;
	task.comm = "prog";
	task.tids = tids;
	task.n_tids = 2;
	save(&op, w, "task", PID, &task);
	zombie.pid = PID + 2;
	zombie.ppid = PID;
	zombie.comm = "gone";
	zombie.zombie = true;
	zombie.exit_status = 9; /* as wait(2) tells of SIGKILL */
	save(&op, w, "task", PID + 2, &zombie);
	save_thread(&op, w, PID, "prog", 0x400123, SYS_futex);
	save_thread(&op, w, PID + 1, "worker", second_ip, -1);
	save_memory(&op, w);
	save_files(&op, w);
	manifest.crid = 424242;
	manifest.hostname = "somewhere";
	manifest.kernel = "6.1.0";
	manifest.isa = "x86_64";
	manifest.tasks = 1;
	manifest.threads = 2;
	manifest.page_bytes = 8192;
	manifest.stopped_ns = 1500000;
	cr_assert_eq(image_commit(&op, w, &manifest, false, NULL), 0);
	op_done(&op, NULL);
}

static char dir_a[] = "/tmp/ckpt-unit-XXXXXX", dir_b[] = "/tmp/ckpt-unit-XXXXXX";

static void make_both(void)
{
	cr_assert(mkdtemp(dir_a) && mkdtemp(dir_b));
	/* An image that makes its directory names its files plainly. */
	cr_assert(!rmdir(dir_a) && !rmdir(dir_b));
	make_image(dir_a, 0x400456);
	make_image(dir_b, 0x400457);
}

static void remove_both(void)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s %s", dir_a, dir_b);
	cr_expect_eq(system(command), 0);
}

static char *show_level(bool json, enum ckpt_log_level level)
{
	struct ckpt_show_req req = {.common = {.log_level = level}, .dir = dir_a, .json = json};
	struct ckpt_error err = {};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	cr_assert_eq(ckpt_show(&req, f, &err), 0, "%s", err.object);
	fclose(f);
	return text;
}

static char *show(bool json)
{
	return show_level(json, CKPT_LOG_WARN);
}

/* The words of a register set by the names that the kernel's struct has for them. */
Test(show, registers, .init = make_both, .fini = remove_both)
{
	char *text = show(false), *more = show_level(false, CKPT_LOG_INFO), *json = show(true);
	static const char *const words[] = {"r15      0000000000000015",
		"rbx      000000000000000b", "rax      000000000000000a",
		"rip      0000000000400123", "rsp      00007fff0000beef",
		"fs_base  00000000000000f5", "gs       0000000000000065"};
	json_t *root = json_loads(json, 0, NULL), *first;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		cr_expect(strstr(more, words[i]), "no '%s' in\n%s", words[i], more);
		cr_expect(!strstr(text, words[i]));
	}
	first = json_array_get(json_object_get(root, "registers"), 0);
	cr_expect_eq(json_integer_value(json_object_get(first, "tid")), PID);
	cr_expect_str_eq(json_string_value(json_object_get(first, "rip")), "0x400123");
	cr_expect_str_eq(json_string_value(json_object_get(first, "gs")), "0x65");
	cr_expect_eq(json_object_size(first), 1 + sizeof(struct user_regs_struct) / 8);
	cr_expect_eq(json_array_size(json_object_get(root, "registers")), 2);
	json_decref(root);
	free(text);
	free(more);
	free(json);
}

Test(show, text, .init = make_both, .fini = remove_both)
{
	static const char *const lines[] = {
		"checkpoint 424242 of ",
		"saved on somewhere, Linux 6.1.0 x86_64\n",
		"1 task, 2 threads, 8.0 KiB of memory; stopped for 1.5 ms\n",
		"process 4321 (prog): group 0, session 77, parent 0\n",
		"  4321  prog            0000000000400123  00007fff0000beef  futex\n",
		"  4322  worker          0000000000400456  00007fff0000beef  -\n",
		"  heap                         1    64.0 KiB     8.0 KiB\n",
		"  stack                        1   132.0 KiB         0 B\n",
		"  code of files                1     8.0 KiB         0 B\n",
		"  shared                       1     4.0 KiB         0 B\n",
		"  000000400000-000000402000 r-xp     8.0 KiB           -  /bin/prog?ram\n",
		"  000000600000-000000610000 rw-p    64.0 KiB     8.0 KiB  [heap]\n",
		"  7fff00000000-7fff00021000 rw-p   132.0 KiB           -  [stack]\n",
		"      0 ra         123456  regfile    /var/log/prog.log\n",
		"    777 ra         123456  regfile    /var/log/prog.log  (close on exec)\n",
		"process 4323 (gone): group 0, session 0, parent 4321, a zombie: ended by signal 9\n",
	};
	char *text = show(false), *at = text;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		at = strstr(at, lines[i]);
		cr_assert(at, "missing or out of order: %s in\n%s", lines[i], text);
	}
	cr_expect(!strstr(text, "anonymous"), "there is no such mapping");
	free(text);
}

Test(show, json, .init = make_both, .fini = remove_both)
{
	char *text = show(true);
	json_t *root = json_loads(text, 0, NULL);

	cr_assert(root);
	cr_expect_eq(json_integer_value(json_object_get(json_object_get(root, "manifest"), "crid")),
		424242);
	/* 2 tasks, 2 x (regs, name), mm, pages, fdtable, file, regfile */
	cr_expect_eq(json_array_size(json_object_get(root, "records")), 11);
	json_decref(root);
	free(text);
}

Test(show, no_image)
{
	struct ckpt_show_req req = {.dir = "/tmp/ckpt-unit-there-is-none"};
	struct ckpt_error err = {};

	cr_expect_eq(ckpt_show(&req, stdout, &err), -1);
	cr_expect_eq(err.kind, CKPT_E_IMAGE);
	ckpt_error_done(&err);
	req.dir = NULL;
	cr_expect_eq(ckpt_show(&req, stdout, &err), -1);
	cr_expect_eq(err.kind, CKPT_E_USAGE);
	ckpt_error_done(&err);
}

Test(show, diff, .init = make_both, .fini = remove_both)
{
	struct ckpt_diff_req req = {.dir_a = dir_a, .dir_b = dir_b};
	char *text = NULL;
	size_t len, n = 99;
	FILE *f = open_memstream(&text, &len);

	cr_assert_eq(ckpt_diff(&req, f, &n, NULL), 0);
	fclose(f);
	cr_expect_eq(n, 1);
	cr_expect_str_eq(text, "regs 4322 ip: 4195414 -> 4195415\n");
	free(text);
	req.dir_b = dir_a;
	f = open_memstream(&text, &len);
	cr_assert_eq(ckpt_diff(&req, f, &n, NULL), 0);
	fclose(f);
	cr_expect_eq(n, 0);
	cr_expect_str_eq(text, "");
	free(text);
}

Test(show, verify_finds_damage, .init = make_both, .fini = remove_both)
{
	struct ckpt_verify_req req = {.dir = dir_b};
	struct ckpt_verify_result result = {};
	struct ckpt_error err = {};
	char path[64];
	int fd;

	cr_assert_eq(ckpt_verify(&req, &result, &err), 0, "%s", err.object);
	cr_expect_eq(result.crid, 424242);
	cr_expect_eq(result.records, 11);
	cr_expect_eq(result.page_bytes, 8192);

	snprintf(path, sizeof(path), "%s/pages-0", dir_b);
	fd = open(path, O_WRONLY);
	cr_assert(fd >= 0);
	cr_assert_eq(pwrite(fd, "q", 1, 5000), 1);
	cr_expect_eq(ckpt_verify(&req, &result, &err), -1);
	cr_expect_eq(err.kind, CKPT_E_IMAGE);
	cr_expect(strstr(err.object, "checksum"));
	ckpt_error_done(&err);

	/* Shorter than the manifest says: seen before any contents are read. */
	cr_assert_eq(ftruncate(fd, 4096), 0);
	close(fd);
	cr_expect_eq(ckpt_verify(&req, &result, &err), -1);
	cr_expect_eq(err.kind, CKPT_E_IMAGE);
	cr_expect(strstr(err.object, "pages-0"));
	ckpt_error_done(&err);
}
