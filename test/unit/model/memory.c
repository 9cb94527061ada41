/*
 * Runs of pages: their check, the verification of contents, and the comparison of two images.
 */
#include <errno.h>
#include <inttypes.h>
#include <xxhash.h>

#include "model/diff.h"
#include "model/pages.h"
#include "model/store.h"
#include "model/verify.h"
#include "test/unit/model/memory.pb-c.h"
#include "util/str.h"

#include "../image/fixture.h"

#define PAGE 4096

static const struct model_type memory = {.name = "memory", .desc = &test__memory__descriptor};
static const struct model_type *const types[] = {&memory, NULL};

TestSuite(memory, .init = fixture_init, .fini = fixture_done);

/*
 * An image of one task's memory. @runs: one character per page from address 0x10000 on: a letter
 * is a page full of it, '0' a page of zeros, '.' none; '|' cuts a run. All contents lie in page
 * file @shard, @gap bytes from each other.
 */
struct maker {
	struct image_writer *w;
	Test__Memory msg;
	Ckpt__PageRun runs[64], *ptrs[64];
	unsigned shard;
	uint64_t addr, at, gap;
	XXH3_state_t *hash;
};

static void close_run(struct maker *mk)
{
	Ckpt__PageRun *run = &mk->runs[mk->msg.n_runs];

	if (!run->pages)
		return;
	if (run->kind == CKPT__PAGE_RUN__KIND__SHARD)
		run->xxh3 = XXH3_64bits_digest(mk->hash);
	XXH3_64bits_reset(mk->hash);
	mk->ptrs[mk->msg.n_runs++] = run;
	mk->at += mk->gap;
}

static void add_page(struct maker *mk, char c)
{
	Ckpt__PageRun *run = &mk->runs[mk->msg.n_runs];
	Ckpt__PageRun__Kind kind =
		c == '0' ? CKPT__PAGE_RUN__KIND__ZERO : CKPT__PAGE_RUN__KIND__SHARD;
	char page[PAGE];

	if (run->pages && run->kind != kind)
		close_run(mk);
	run = &mk->runs[mk->msg.n_runs];
	if (!run->pages) {
		ckpt__page_run__init(run);
		run->kind = kind;
		run->start = mk->addr;
		run->shard = kind == CKPT__PAGE_RUN__KIND__SHARD ? mk->shard : 0;
		run->offset = kind == CKPT__PAGE_RUN__KIND__SHARD ? mk->at : 0;
	}
	run->pages++;
	if (c == '0')
		return;
	memset(page, c == 'z' ? 0 : c, PAGE);
	XXH3_64bits_update(mk->hash, page, PAGE);
	cr_assert_eq(pwrite_full(image_shard_fd(mk->w, mk->shard), page, PAGE, (off_t)mk->at), 0);
	mk->at += PAGE;
}

static void finish(struct maker *mk)
{
	_cleanup_free_ uint8_t *buf = NULL;
	size_t len;

	mk->msg.runs = mk->ptrs;
	len = protobuf_c_message_get_packed_size(&mk->msg.base);
	buf = malloc(len + 1);
	protobuf_c_message_pack(&mk->msg.base, buf);
	cr_assert_eq(image_add(&op, mk->w, "memory", 5, buf, len), 0);
	cr_assert_eq(commit_as(&op, mk->w, TEST_CRID), 0, "%s", op.first.object);
	XXH3_freeState(mk->hash);
}

static void start(
	struct maker *mk, const char *name, const char *text, unsigned shard, uint64_t gap)
{
	*mk = (struct maker){.shard = shard, .gap = gap, .addr = 0x10000};
	mk->w = writer_open(&op, in(&s, name), false);
	mk->hash = XXH3_createState();
	XXH3_64bits_reset(mk->hash);
	test__memory__init(&mk->msg);
	for (; *text; text++) {
		if (*text == '|' || *text == '.')
			close_run(mk);
		if (*text != '|' && *text != '.')
			add_page(mk, *text);
		mk->addr += *text == '|' ? 0 : PAGE;
	}
	close_run(mk);
}

static void make(const char *name, const char *text, unsigned shard, uint64_t gap)
{
	struct maker mk;

	start(&mk, name, text, shard, gap);
	finish(&mk);
}

/* ---- verify ---- */

static int verify(const char *name, struct verify_result *res)
{
	struct image *img = NULL;
	int r;

	cr_assert_eq(image_open(&op, in(&s, name), &img), 0, "%s", op.first.object);
	r = image_verify(&op, img, types, res);
	image_close(img);
	return r;
}

Test(memory, a_whole_image_is_verified)
{
	struct verify_result res = {};

	make("img", "aab0..c|d", 1, 0);
	cr_assert_eq(verify("img", &res), 0, "%s", op.first.object);
	cr_assert_eq(res.records, 1);
	cr_assert_eq(res.runs, 4); /* aab, 0, c, d */
	cr_assert_eq(res.page_bytes, 5 * PAGE);
}

Test(memory, every_damaged_page_is_found)
{
	/* a and b are one run, c is another */
	static const char *const found[] = {"byte 0,", "byte 0,", "byte 8192,"};
	char *data;
	size_t len;

	make("img", "ab|c", 0, 0);
	data = file_get(in(&s, "img/pages-0"), &len);
	cr_assert_eq(len, 3 * PAGE);
	for (size_t i = 0; i < 3; i++) {
		data[i * PAGE + 100] ^= 4;
		file_put(in(&s, "img/pages-0"), data, len);
		cr_assert_lt(verify("img", NULL), 0);
		failed_with(&op, CKPT_E_IMAGE, "checksum of the contents");
		cr_assert_not_null(strstr(op.first.object, "pages-0"));
		cr_assert_not_null(strstr(op.first.object, found[i]), "%s", op.first.object);
		op_done(&op, NULL);
		op_init(&op, NULL);
		data[i * PAGE + 100] ^= 4;
	}
	free(data);
}

static void bad_run(void (*spoil)(Ckpt__PageRun *runs), const char *part)
{
	struct maker mk;

	start(&mk, "img", "ab|cd", 1, 0);
	spoil(mk.runs);
	finish(&mk);
	cr_assert_lt(verify("img", NULL), 0, "accepted; expected: %s", part);
	failed_with(&op, CKPT_E_IMAGE, part);
	op_done(&op, NULL);
	op_init(&op, NULL);
	remove_tree(AT_FDCWD, in(&s, "img"));
}

static void empty(Ckpt__PageRun *r)
{
	r[1].pages = 0;
}

static void unaligned(Ckpt__PageRun *r)
{
	r[1].start += 8;
}

static void overlapping(Ckpt__PageRun *r)
{
	r[1].start = r[0].start + PAGE;
}

static void unsorted(Ckpt__PageRun *r)
{
	r[1].start = 0;
}

static void many_pages(Ckpt__PageRun *r)
{
	r[1].pages = (1ULL << 52) + 1;
}

static void at_the_end(Ckpt__PageRun *r)
{
	r[1].start = UINT64_MAX - PAGE + 1;
}

static void no_file(Ckpt__PageRun *r)
{
	r[1].shard = 0;
}

static void no_such_file(Ckpt__PageRun *r)
{
	r[1].shard = UINT32_MAX;
}

static void behind_the_file(Ckpt__PageRun *r)
{
	r[1].offset += 1;
}

static void offset_overflow(Ckpt__PageRun *r)
{
	r[1].offset = UINT64_MAX - PAGE;
}

static void kind(Ckpt__PageRun *r)
{
	r[1].kind = (Ckpt__PageRun__Kind)9;
}

static void wrong_sum(Ckpt__PageRun *r)
{
	r[1].xxh3 ^= 1;
}

Test(memory, runs_that_cannot_be)
{
	bad_run(empty, "'memory' of 5: run 1 of 0 pages at 0x12000: it is empty");
	bad_run(unaligned, "does not begin at a page");
	bad_run(overlapping, "overlaps");
	bad_run(unsorted, "overlaps");
	bad_run(many_pages, "longer than the address space");
	bad_run(at_the_end, "longer than the address space");
	bad_run(no_file, "page file is not in the image");
	bad_run(no_such_file, "page file is not in the image");
	bad_run(behind_the_file, "outside of its page file");
	bad_run(offset_overflow, "outside of its page file");
	bad_run(kind, "kind is not known");
	bad_run(wrong_sum, "checksum of the contents");
}

/* ---- diff ---- */

static void collect(void *arg, const struct diff_item *item)
{
	struct strbuf *sb = arg;
	char *text = diff_text(item);

	strbuf_add(sb, text);
	strbuf_addc(sb, '\n');
	free(text);
}

static void expect(const char *a, const char *b, bool zero_is_absent, const char *want)
{
	_cleanup_strbuf_ struct strbuf sb = {};
	struct image *img_a = NULL, *img_b = NULL;
	struct model ma, mb;
	struct diff_pages_req req = {
		.a = &ma, .b = &mb, .fn = collect, .arg = &sb, .zero_is_absent = zero_is_absent};
	size_t n = 99, lines = 0;

	make("a", a, 0, 0);
	make("b", b, 1, 77); /* elsewhere, and not aligned */
	model_init(&ma);
	model_init(&mb);
	cr_assert_eq(image_open(&op, in(&s, "a"), &img_a), 0);
	cr_assert_eq(image_open(&op, in(&s, "b"), &img_b), 0);
	cr_assert_eq(model_load(&op, img_a, types, &ma), 0);
	cr_assert_eq(model_load(&op, img_b, types, &mb), 0);
	req.img_a = img_a;
	req.img_b = img_b;
	cr_assert_eq(diff_pages(&op, &req, &n), 0, "%s", op.first.object);
	for (const char *p = want; *p; p++)
		lines += *p == '\n';
	cr_assert_str_eq(
		sb.s ? sb.s : "", want, "\"%s\" and \"%s\" gave:\n%s", a, b, sb.s ? sb.s : "");
	cr_assert_eq(n, lines);
	/* The places of the contents differ, which is no difference. */
	cr_assert_eq(diff_models(&ma, &mb, collect, &sb, &n), 0);
	cr_assert_eq(n, 0);
	model_done(&ma);
	model_done(&mb);
	image_close(img_a);
	image_close(img_b);
	remove_tree(AT_FDCWD, in(&s, "a"));
	remove_tree(AT_FDCWD, in(&s, "b"));
}

Test(memory, equal_contents_however_they_are_cut)
{
	expect("abcd", "abcd", false, "");
	expect("abcd", "a|bc|d", false, "");
	expect("ab|cd", "abc|d", false, "");
	expect("a0b", "azb", false, ""); /* stored zeros are zeros */
	expect("", "", false, "");
}

Test(memory, contents_that_differ)
{
	expect("abcd", "aXYd", false, "memory 5 0x11000-0x13000: contents -> contents\n");
	expect("abcd", "aX|Yd", false, "memory 5 0x11000-0x13000: contents -> contents\n");
	expect("abc", "XbY", false,
		"memory 5 0x10000-0x11000: contents -> contents\n"
		"memory 5 0x12000-0x13000: contents -> contents\n");
	expect("ab", "a0", false, "memory 5 0x11000-0x12000: contents -> zeros\n");
	expect("ab", "a", false, "memory 5 0x11000-0x12000: contents -> absent\n");
	expect("..ab", "a..b", false,
		"memory 5 0x10000-0x11000: absent -> contents\n"
		"memory 5 0x12000-0x13000: contents -> absent\n");
}

Test(memory, zeros_and_nothing)
{
	expect("a0b", "a.b", false, "memory 5 0x11000-0x12000: zeros -> absent\n");
	expect("a0b", "a.b", true, "");
	expect("azb", "a.b", true, "");
	expect("azb", "a.b", false, "memory 5 0x11000-0x12000: contents -> absent\n");
	expect("axb", "a.b", true, "memory 5 0x11000-0x12000: contents -> absent\n");
}
