/*
 * e2e: args: moved absent foreign
 * e2e: no cycle for foreign: the old code is ordinary memory afterwards, beside a vdso of the kernel's
 *
 * Holds: moved: the vdso and its data pages (however many mappings they are) moved elsewhere;
 *        absent: all of them unmapped;
 *        foreign: a byte of the code changed, so that it is none of the running kernel's; a thread
 *        that does nothing but read clocks through it.
 * Shows: Memory: "vdso and vvar moved, absent, and, on another kernel, patched": a moved vdso still
 * tells the time where it is, an absent one stays absent, the old code of another kernel leads to
 * the new. The libc's own clock functions are not used: they know only the old place.
 */
#include "mm.h"
#include <elf.h>
#include <sys/auxv.h>

/* Its name, and how the jump begins that is put there: ldr x17, 8 bytes on; jmp *0(%rip) */
#ifdef __aarch64__
#define VDSO_CLOCK "__kernel_clock_gettime"
#define VDSO_JUMP  0x51, 0x00, 0x00, 0x58
#else
#define VDSO_CLOCK "__vdso_clock_gettime"
#define VDSO_JUMP  0xff, 0x25
#endif

#define PARTS 8

struct part {
	unsigned long start, end;
	char name[32];
};

static size_t vdso_parts(struct part *ret)
{
	struct mm_lines l = {.fd = MUST(open("/proc/self/maps", O_RDONLY | O_CLOEXEC))};
	char line[512];
	struct mm_vma v;
	size_t n = 0;

	while (mm_line(&l, line, sizeof(line))) {
		if (!mm_vma_head(line, &v) ||
			(strncmp(v.name, "[vvar", 5) && strcmp(v.name, "[vdso]")))
			continue;
		CHECK(n < PARTS, "more than %d parts of a vdso", PARTS);
		ret[n].start = v.start;
		ret[n].end = v.end;
		snprintf(ret[n++].name, sizeof(ret->name), "%.31s", v.name);
	}
	close(l.fd);
	return n;
}

/* The address of a function of the vdso, from its dynamic symbols. */
static void *vdso_symbol(char *base, const char *name)
{
	Elf64_Ehdr *eh = (Elf64_Ehdr *)base;
	Elf64_Phdr *ph = (Elf64_Phdr *)(base + eh->e_phoff);
	Elf64_Dyn *dyn = NULL;
	Elf64_Sym *sym = NULL;
	char *str = NULL;

	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (Elf64_Dyn *)(base + ph[i].p_offset);
	CHECK(dyn, "the vdso has no dynamic section");
	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			sym = (Elf64_Sym *)(base + dyn->d_un.d_ptr);
		if (dyn->d_tag == DT_STRTAB)
			str = base + dyn->d_un.d_ptr;
	}
	CHECK(sym && str && (char *)sym < str, "the vdso has no symbols");
	for (; (char *)(sym + 1) <= str; sym++)
		if (sym->st_value && !strcmp(str + sym->st_name, name))
			return base + sym->st_value;
	CHECK(0, "the vdso has no %s", name);
	return NULL;
}

/* Moves all parts by one distance, to a place that is free for sure. */
static long vdso_move(const struct part *part, size_t n)
{
	unsigned long len = part[n - 1].end - part[0].start;
	char *to = mm_map(len, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
	long delta = (unsigned long)to - part[0].start;

	for (size_t i = 0; i < n; i++)
		MUST(mremap((void *)part[i].start, part[i].end - part[i].start,
			part[i].end - part[i].start, MREMAP_MAYMOVE | MREMAP_FIXED,
			(void *)(part[i].start + delta)));
	return delta;
}

static void vdso_expect_parts(const struct part *part, size_t n, long delta)
{
	struct part now[PARTS];
	size_t have = vdso_parts(now);

	CHECK(have == n, "expected %zu parts of a vdso, got %zu", n, have);
	for (size_t i = 0; i < n; i++)
		CHECK(now[i].start == part[i].start + delta && now[i].end == part[i].end + delta &&
				!strcmp(now[i].name, part[i].name),
			"part %zu: expected %s at %lx, got %s at %lx", i, part[i].name,
			part[i].start + delta, now[i].name, now[i].start);
}

static volatile int vdso_stop;
static int (*vdso_clock)(clockid_t, struct timespec *);

/* The clock may never run backwards, wherever in the code this thread is stopped. */
static void *vdso_reader(void *arg)
{
	struct timespec a = {0}, b;

	(void)arg;
	while (!vdso_stop) {
		CHECK(vdso_clock(CLOCK_MONOTONIC, &b) == 0, "the vdso does not work");
		CHECK(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec),
			"the clock went back: %ld.%09ld, then %ld.%09ld", (long)a.tv_sec, a.tv_nsec,
			(long)b.tv_sec, b.tv_nsec);
		a = b;
	}
	return NULL;
}

/* Another kernel's code, as far as anybody can tell: a byte of padding in its header is another. */
static void vdso_make_foreign(char *base)
{
	size_t len = mm_vma(base).end - mm_vma(base).start; /* it can't be split */

	MUST(mprotect(base, len, PROT_READ | PROT_WRITE | PROT_EXEC));
	base[EI_NIDENT - 1] ^= 1;
	MUST(mprotect(base, len, PROT_READ | PROT_EXEC));
}

/* After a restore the old code is where it was, and its functions begin with a jump. */
static void vdso_expect_sent_on(char *base)
{
	static const unsigned char jump[] = {VDSO_JUMP};
	const unsigned char *code = (void *)vdso_clock;

	CHECK(base[EI_NIDENT - 1] & 1, "the old code is not there any more");
	CHECK(memcmp(code, jump, sizeof(jump)) == 0, "the old clock_gettime begins with %02x %02x",
		code[0], code[1]);
	CHECK(strcmp(mm_vma(base).name, "[vdso]"), "the old code is still the kernel's");
}

static double vdso_seconds(const struct timespec *ts)
{
	return ts->tv_sec + ts->tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct part part[PARTS];
	size_t n = vdso_parts(part);
	char *base = (char *)getauxval(AT_SYSINFO_EHDR);
	int (*clock)(clockid_t, struct timespec *);
	struct timespec a, b;
	long delta = 0;
	bool foreign;
	pthread_t reader = 0;

	victim_init(argc, argv);
	CHECK(argc == 2, "usage: mm_vdso moved|absent|foreign");
	foreign = !strcmp(argv[1], "foreign");
	if (!n || !base)
		SKIP("this kernel gives no vdso");
	clock = vdso_symbol(base, VDSO_CLOCK);
	if (!strcmp(argv[1], "moved")) {
		delta = vdso_move(part, n);
		clock = (void *)((char *)clock + delta);
		CHECK(delta && clock(CLOCK_MONOTONIC, &a) == 0, "the moved vdso does not work");
	} else if (!foreign) {
		for (size_t i = 0; i < n; i++)
			MUST(munmap((void *)part[i].start, part[i].end - part[i].start));
		n = 0;
	}
	vdso_clock = clock;
	if (foreign) {
		vdso_make_foreign(base);
		reader = victim_thread(vdso_reader, NULL);
	}
	vdso_expect_parts(part, n, delta);
	victim_ready();
	victim_wait();
	if (foreign) {
		vdso_stop = 1;
		pthread_join(reader, NULL);
	}
	if (foreign && victim_dead_s() > 0)
		vdso_expect_sent_on(base);
	else
		vdso_expect_parts(part, n, delta);
	if (n) {
		CHECK(clock(CLOCK_MONOTONIC, &a) == 0, "the moved vdso does not work");
		MUST(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &b));
		CHECK(vdso_seconds(&b) >= vdso_seconds(&a) &&
				vdso_seconds(&b) < vdso_seconds(&a) + 1,
			"clock: vdso %f, system call %f", vdso_seconds(&a), vdso_seconds(&b));
	} else {
		CHECK(mm_touch(base, MM_READ) == SIGSEGV, "something is where the vdso was");
	}
	return 0;
}
