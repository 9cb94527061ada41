/*
 * Damaged images of every kind: each must be refused with a reason, none may crash the reader.
 *
 * No byte of manifest and records is without meaning, so not one flipped bit may pass.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <xxhash.h>

#include "image/frame.h"
#include "image/manifest.h"

#include "fixture.h"

TestSuite(damage, .init = fixture_init, .fini = fixture_done);

static void refused(const char *part)
{
	char dir[80];
	struct image *img = NULL;

	snprintf(dir, sizeof(dir), "%s/img", s.dir);
	cr_assert_lt(image_open(&op, dir, &img), 0, "accepted; expected: %s", part);
	cr_assert_null(img);
	failed_with(&op, CKPT_E_IMAGE, part);
	op_done(&op, NULL);
	op_init(&op, NULL);
}

static void accepted(void)
{
	struct image *img = NULL;

	cr_assert_eq(image_open(&op, in(&s, "img"), &img), 0, "%s", op.first.object);
	image_close(img);
}

static void every_flip(const char *name)
{
	static const uint8_t flips[] = {0x01, 0x80, 0xff};
	size_t len;
	char *data;

	small_image(in(&s, "img"), TEST_CRID, false);
	data = file_get(in(&s, name), &len);
	cr_assert_gt(len, 24);
	for (size_t i = 0; i < len; i++) {
		for (size_t k = 0; k < sizeof(flips); k++) {
			data[i] ^= (char)flips[k];
			file_put(in(&s, name), data, len);
			refused("image");
			data[i] ^= (char)flips[k];
		}
	}
	file_put(in(&s, name), data, len);
	accepted();
	free(data);
}

Test(damage, every_byte_of_the_manifest)
{
	every_flip("img/manifest");
}

Test(damage, every_byte_of_the_records)
{
	every_flip("img/records");
}

/* Every shorter length, and one byte more. */
static void every_length(const char *name)
{
	size_t len;
	char *data;

	small_image(in(&s, "img"), TEST_CRID, false);
	data = file_get(in(&s, name), &len);
	for (size_t i = 0; i < len; i++) {
		file_put(in(&s, name), data, i);
		refused("image");
	}
	file_put(in(&s, name), data, len + 1);
	refused("image");
	file_put(in(&s, name), data, len);
	accepted();
	free(data);
}

Test(damage, every_length_of_the_manifest)
{
	every_length("img/manifest");
}

Test(damage, every_length_of_the_records)
{
	every_length("img/records");
}

Test(damage, page_file_of_another_length)
{
	small_image(in(&s, "img"), TEST_CRID, false);
	cr_assert_eq(truncate(in(&s, "img/pages-1"), 8191), 0);
	refused("pages-1: it has 8191 bytes, the manifest says 8192");
	cr_assert_eq(truncate(in(&s, "img/pages-1"), 8193), 0);
	refused("8193");
	cr_assert_eq(truncate(in(&s, "img/pages-1"), 8192), 0);
	accepted();
}

Test(damage, missing_files)
{
	small_image(in(&s, "img"), TEST_CRID, false);
	cr_assert_eq(unlink(in(&s, "img/pages-1")), 0);
	refused("pages-1: the file is missing");
	cr_assert_eq(unlink(in(&s, "img/records")), 0);
	refused("missing");
	cr_assert_eq(unlink(in(&s, "img/manifest")), 0);
	refused("not an image");
	cr_assert_eq(rmdir(in(&s, "img")), 0);
	refused("No such file or directory");
	file_put(in(&s, "img"), "x", 1);
	refused("Not a directory");
}

/* Nothing that is no plain file is opened for long: a fifo would hang, a link leads elsewhere. */
Test(damage, files_of_another_kind)
{
	small_image(in(&s, "img"), TEST_CRID, false);
	cr_assert_eq(rename(in(&s, "img/records"), in(&s, "moved")), 0);
	cr_assert_eq(mkfifo(in(&s, "img/records"), 0600), 0);
	refused("records: it is not a regular file");
	cr_assert_eq(unlink(in(&s, "img/records")), 0);
	cr_assert_eq(mkdir(in(&s, "img/records"), 0700), 0);
	refused("records: it is not a regular file");
	cr_assert_eq(rmdir(in(&s, "img/records")), 0);
	cr_assert_eq(rename(in(&s, "moved"), in(&s, "img/records")), 0);
	accepted();
	cr_assert_eq(unlink(in(&s, "img/manifest")), 0);
	cr_assert_eq(mkfifo(in(&s, "img/manifest"), 0600), 0);
	refused("not a manifest");
	cr_assert_eq(unlink(in(&s, "img/manifest")), 0);
	cr_assert_eq(symlink("records", in(&s, "img/manifest")), 0);
	refused("symbolic link");
}

Test(damage, records_of_another_image)
{
	struct image_writer *w;

	small_image(in(&s, "img"), TEST_CRID, false);
	w = writer_open(&op, in(&s, "b"), false);
	/* Of the same length, and every frame is whole. */
	cr_assert_eq(image_add(&op, w, "one", 12, "PAYLOAD", 7), 0);
	cr_assert_eq(image_add(&op, w, "empty-1", UINT64_MAX, NULL, 0), 0);
	cr_assert_eq(commit_as(&op, w, TEST_CRID), 0);
	cr_assert_eq(rename(in(&s, "b/records"), in(&s, "img/records")), 0);
	refused("checksum differs");
}

/* ---- images that were made with intent: checksums are right, contents are not ---- */

/* "CKPTIMG1", u32 length, u32 zero, u64 xxh3 seeded with the length, payload. */
static void manifest_put(const uint8_t *payload, size_t len)
{
	uint8_t buf[4096] = "CKPTIMG1";
	uint32_t len32 = htole32((uint32_t)len);
	uint64_t sum = htole64(XXH3_64bits_withSeed(payload, len, len));

	memcpy(buf + 8, &len32, 4);
	memcpy(buf + 16, &sum, 8);
	memcpy(buf + 24, payload, len);
	file_put(in(&s, "img/manifest"), buf, 24 + len);
}

struct crafted {
	struct utsname host;
	Ckpt__Manifest m;
	Ckpt__ImageFile f[3], *ptrs[3];
};

/* As small_image() has it: records, pages-1. */
static void crafted_init(struct crafted *c)
{
	size_t len;
	char *records;

	small_image(in(&s, "img"), TEST_CRID, false);
	records = file_get(in(&s, "img/records"), &len);
	manifest_fill(&c->m, TEST_CRID, &c->host);
	for (int i = 0; i < 3; i++) {
		ckpt__image_file__init(&c->f[i]);
		c->ptrs[i] = &c->f[i];
	}
	c->f[0].name = "records";
	c->f[0].size_bytes = len;
	c->f[0].xxh3 = XXH3_64bits(records, len);
	c->f[1].name = "pages-1";
	c->f[1].size_bytes = 8192;
	c->m.version = 1;
	c->m.files = c->ptrs;
	c->m.n_files = 2;
	free(records);
}

static void crafted_put(const struct crafted *c)
{
	uint8_t buf[2048];

	cr_assert_lt(ckpt__manifest__get_packed_size(&c->m), sizeof(buf));
	manifest_put(buf, ckpt__manifest__pack(&c->m, buf));
}

Test(damage, crafted_manifest_is_as_good_as_a_real_one)
{
	struct crafted c;

	crafted_init(&c);
	crafted_put(&c);
	accepted();
}

Test(damage, version_isa_and_crid)
{
	struct crafted c;

	crafted_init(&c);
	c.m.version = 2;
	crafted_put(&c);
	refused("format version 2, this ckpt reads 1");
	c.m.version = 1;
	c.m.isa = "pdp11";
	crafted_put(&c);
	refused("'pdp11'");
	c.m.isa = c.host.machine;
	c.m.crid = 0;
	crafted_put(&c);
	refused("crid");
	c.m.crid = (uint64_t)INT64_MAX + 1;
	crafted_put(&c);
	refused("crid");
}

Test(damage, unknown_field_of_the_manifest)
{
	struct crafted c;
	uint8_t buf[2048];
	size_t len;

	crafted_init(&c);
	len = ckpt__manifest__pack(&c.m, buf);
	memcpy(buf + len, "\xc0\x3e\x01", 3); /* field 1000 (1000 << 3 | 0 as varint) = 1 */
	manifest_put(buf, len + 3);
	refused("field 1000");
	memcpy(buf + len, "\xc0\x3e", 2); /* cut in the middle */
	manifest_put(buf, len + 2);
	refused("fields are damaged");
}

Test(damage, names_that_no_image_may_list)
{
	static char *const names[] = {"", "/etc/passwd", "../img/records", "records/", "recordsX",
		"records-", "records-1x", "records-123456789012345678901", "manifest", "pages-",
		"pages-64", "pages-01", "pages-1-", "pages--1", "pages-4294967297", "pages-1/x",
		"pages-+1", "page-1"};
	struct crafted c;

	crafted_init(&c);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		c.f[1].name = names[i];
		crafted_put(&c);
		refused("whose name is not one of an image");
	}
	cr_assert_eq(manifest_file_kind("records-12345678901234567890"), MANIFEST_RECORDS);
	cr_assert_eq(manifest_file_kind("pages-0"), 0);
	cr_assert_eq(manifest_file_kind("pages-0-5"), 0);
	cr_assert_eq(manifest_file_kind("pages-63-17"), 63);
	cr_assert_eq(manifest_file_kind(NULL), -EINVAL);
}

Test(damage, files_listed_twice_or_not)
{
	struct crafted c;

	crafted_init(&c);
	c.m.n_files = 3;
	c.f[2] = c.f[1];
	crafted_put(&c);
	refused("pages-1: it is listed twice");
	c.f[2].name = "pages-1-7";
	crafted_put(&c);
	refused("listed twice");
	c.f[2] = c.f[0];
	crafted_put(&c);
	refused("listed twice");
	c.ptrs[0] = &c.f[1];
	c.m.n_files = 1;
	crafted_put(&c);
	refused("lists no records");
}

/* A size that no file has must not become an allocation. */
Test(damage, sizes_that_are_too_large)
{
	struct crafted c;

	crafted_init(&c);
	c.f[0].size_bytes = UINT64_MAX;
	crafted_put(&c);
	refused("the manifest says 18446744073709551615");
	c.f[0].size_bytes = 1ULL << 50;
	crafted_put(&c);
	refused("the manifest says");
}

/* ---- single frames ---- */

/* A frame in memory of exactly its size, so that every access outside is seen by ASan. */
static uint8_t *frame_new(const char *tag, const void *payload, size_t len, size_t *ret_size)
{
	struct image_rec rec = {.tag = tag, .owner = 9, .payload = payload, .len = len};
	uint8_t *buf;

	*ret_size = frame_size(strlen(tag), len);
	buf = malloc(*ret_size);
	cr_assert_not_null(buf);
	frame_put(buf, &rec);
	return buf;
}

static void frame_resum(uint8_t *buf, size_t body)
{
	uint64_t sum = htole64(XXH3_64bits_withSeed(buf + 24, body, XXH3_64bits(buf, 16)));

	memcpy(buf + 16, &sum, 8);
}

static void frame_refused(const uint8_t *buf, size_t avail, const char *part)
{
	struct image_rec rec;
	size_t size;
	const char *why = frame_get(buf, avail, &rec, &size);

	cr_assert_not_null(why, "accepted; expected: %s", part);
	cr_assert_not_null(strstr(why, part), "no \"%s\" in: %s", part, why);
}

Test(damage, a_frame_is_laid_out_as_documented)
{
	size_t size;
	uint8_t *buf = frame_new("mm", "\x01\x02\x03", 3, &size);
	static const uint8_t head[16] = {3, 0, 0, 0, 3, 0, 0, 0, 9};
	static const uint8_t body[8] = {'m', 'm', 0, 1, 2, 3, 0, 0};
	uint64_t sum;

	cr_assert_eq(size, 32);
	cr_assert_eq(memcmp(buf, head, 16), 0);
	cr_assert_eq(memcmp(buf + 24, body, 8), 0);
	memcpy(&sum, buf + 16, 8);
	cr_assert_eq(le64toh(sum), XXH3_64bits_withSeed(body, 6, XXH3_64bits(head, 16)));
	free(buf);
}

Test(damage, every_length_of_a_frame)
{
	size_t size, got;
	struct image_rec rec;
	uint8_t *buf = frame_new("mm", "0123456789", 10, &size), *cut;

	for (size_t n = 0; n < size; n++) {
		cut = malloc(n ? n : 1);
		cr_assert_not_null(cut);
		memcpy(cut, buf, n);
		frame_refused(cut, n, n < 24 ? "ends within" : "longer than the file");
		free(cut);
	}
	cr_assert_null(frame_get(buf, size, &rec, &got));
	cr_assert_eq(got, size);
	free(buf);
}

Test(damage, frames_made_with_intent)
{
	size_t size;
	uint8_t *buf = frame_new("mm", "0123456789", 10, &size);

	buf[0] = buf[1] = buf[2] = buf[3] = 0xff; /* payload length 2^32 - 1 */
	frame_refused(buf, size, "header");
	buf[3] = 0x7f; /* the longest permitted */
	frame_refused(buf, size, "longer than the file");
	memcpy(buf, "\x0a\0\0\0", 4);
	buf[4] = 1; /* an empty tag */
	frame_resum(buf, 11);
	frame_refused(buf, size, "header");
	buf[4] = 0;
	frame_refused(buf, size, "header");
	buf[4] = 3;
	buf[26] = 'x'; /* in the place of the NUL */
	frame_resum(buf, 13);
	frame_refused(buf, size, "not terminated");
	buf[26] = 0;
	buf[24] = 0; /* NUL within */
	frame_resum(buf, 13);
	frame_refused(buf, size, "not a name");
	buf[24] = '\n';
	frame_resum(buf, 13);
	frame_refused(buf, size, "not a name");
	buf[24] = 'm';
	buf[39] = 1; /* the padding, which no checksum covers */
	frame_resum(buf, 13);
	frame_refused(buf, size, "padding");
	free(buf);
}
