/*
 * image_fuzz.c - libFuzzer over everything that reads an image.
 *
 * The first byte chooses. Even: the input is a manifest file and a records file as they are, which
 * exercises the checks of the reader. Odd: the input is a list of records (tag, owner, payload)
 * from which an image with right checksums is made, so that the fuzzer gets past them: to
 * unpacking, the check of page runs, verification, JSON and diff. What was loaded, saved and
 * loaded again must not differ from itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "image/image.h"
#include "model/diff.h"
#include "model/dump_json.h"
#include "model/pages.h"
#include "model/store.h"
#include "model/verify.h"
#include "proto/core.pb-c.h"
#include "res/registry.h"
#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char dir[64], again[64];
static int dir_fd;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "image_fuzz: %s\n", what);
	abort();
}

static void remove_all(void)
{
	unlink(again);
	rmdir(again);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	snprintf(dir, sizeof(dir), "/dev/shm/ckpt-fuzz-%d", (int)getpid());
	snprintf(again, sizeof(again), "%s-again", dir);
	must(mkdir(dir, 0700) == 0, dir);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	must(dir_fd >= 0, dir);
	atexit(remove_all);
	return 0;
}

static void put(const char *name, const uint8_t *data, size_t len)
{
	_cleanup_close_ int fd =
		openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && write_full(fd, data, len) == 0, name);
}

static void ignore(void *arg, const struct diff_item *item)
{
	char *text = diff_text(item);

	free(text);
	(*(size_t *)arg)++;
}

static void fill_manifest(Ckpt__Manifest *m, struct utsname *uts)
{
	uname(uts);
	ckpt__manifest__init(m);
	m->crid = 1;
	m->isa = uts->machine;
}

/* Remove an image by what its manifest lists. */
static void image_remove(const char *path)
{
	struct ckpt_op op;
	struct image *img;
	char name[128];

	op_init(&op, NULL);
	if (image_open(&op, path, &img) == 0) {
		const Ckpt__Manifest *m = image_manifest(img);

		for (size_t i = 0; i < m->n_files; i++) {
			snprintf(name, sizeof(name), "%s/%s", path, m->files[i]->name);
			unlink(name);
		}
		image_close(img);
	}
	op_done(&op, NULL);
	snprintf(name, sizeof(name), "%s/manifest", path);
	unlink(name);
}

/* Save the model into a second image, and load that: the two must be the same. */
static void save_again(struct ckpt_op *op, const struct model *m)
{
	struct image_writer_req req = {.dir = again, .shards = 1, .force = true};
	struct image_writer *w;
	struct utsname uts;
	Ckpt__Manifest man;
	struct image *img;
	struct model back;
	size_t n = 0, told = 0;

	fill_manifest(&man, &uts);
	must(image_writer_open(op, &req, &w) == 0, "the second image");
	must(model_save(op, m, w) == 0, "saving");
	must(image_commit(op, w, &man, false, NULL) == 0, "committing");
	must(image_open(op, again, &img) == 0, "opening what was written");
	model_init(&back);
	must(model_load(op, img, res_types(), &back) == 0, "loading what was saved");
	must(diff_models(m, &back, ignore, &told, &n) == 0, "comparing");
	must(n == 0 && told == 0, "what was saved differs");
	model_done(&back);
	image_close(img);
	image_remove(again);
	rmdir(again);
}

static void use(struct ckpt_op *op, const struct image *img)
{
	struct diff_pages_req req = {.img_a = img, .img_b = img, .fn = ignore};
	size_t n = 0, told = 0;
	struct model m;
	json_t *json;

	model_init(&m);
	if (model_load(op, img, res_types(), &m) == 0) {
		json = json_of_model(&m);
		must(!!json, "JSON");
		json_decref(json);
		req.a = req.b = &m;
		req.arg = &told;
		if (diff_pages(op, &req, &n) == 0)
			must(n == 0 && told == 0, "memory differs from itself");
		image_verify(op, img, res_types(), NULL);
		save_again(op, &m);
	}
	model_done(&m);
}

static void open_and_use(void)
{
	struct ckpt_op op;
	struct image *img;

	op_init(&op, NULL);
	if (image_open(&op, dir, &img) == 0) {
		use(&op, img);
		image_close(img);
	} else {
		must(op.failed, "a failure without an error");
	}
	op_done(&op, NULL);
}

static void as_it_is(const uint8_t *data, size_t len)
{
	size_t n = len < 2 ? 0 : (size_t)(data[0] | data[1] << 8);

	if (len < 2)
		return;
	data += 2;
	len -= 2;
	if (n > len)
		n = len;
	put("manifest", data, n);
	put("records", data + n, len - n);
	open_and_use();
	unlinkat(dir_fd, "manifest", 0);
	unlinkat(dir_fd, "records", 0);
}

/* {u8 type, u8 owner, u16 length, payload}... */
static void add_records(struct ckpt_op *op, struct image_writer *w, const uint8_t *data, size_t len)
{
	const struct model_type *const *types = res_types();
	size_t n_types = 0;

	while (types[n_types])
		n_types++;
	while (len >= 4) {
		size_t n = (size_t)(data[2] | data[3] << 8);

		if (n > len - 4)
			n = len - 4;
		must(image_add(op, w, types[data[0] % n_types]->name, data[1], data + 4, n) == 0,
			"adding");
		data += 4 + n;
		len -= 4 + n;
	}
}

static void with_checksums(const uint8_t *data, size_t len)
{
	struct image_writer_req req = {.dir = dir, .shards = 1, .force = true};
	static const uint8_t pages[8192];
	struct image_writer *w;
	struct utsname uts;
	Ckpt__Manifest man;
	struct ckpt_op op;

	op_init(&op, NULL);
	fill_manifest(&man, &uts);
	must(image_writer_open(&op, &req, &w) == 0, "opening a writer");
	add_records(&op, w, data, len);
	must(write_full(image_shard_fd(w, 0), pages, sizeof(pages)) == 0, "pages");
	must(image_commit(&op, w, &man, false, NULL) == 0, "committing");
	op_done(&op, NULL);
	open_and_use();
	image_remove(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	if (data[0] & 1)
		with_checksums(data + 1, len - 1);
	else
		as_it_is(data + 1, len - 1);
	return 0;
}
