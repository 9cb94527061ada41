"""Scenes of libckpt as others get it: installed, found by pkg-config, linked, with the symbols that are promised."""
import os
import subprocess

from harness import ROOT, Failure
from victims import BUILD  # of test/e2e

BUILD_WORD = "B=" + os.path.relpath(BUILD, ROOT)  # as it was built: other flags would build it all again

# Prints the outcome of what needs no privilege; the library itself must print nothing.
PROGRAM = r"""
#include <ckpt.h>
#include <string.h>
static void forget(void *arg, enum ckpt_log_level level, const char *line) { (void)arg; (void)level; (void)line; }
int main(void)
{
	struct ckpt_common common = {.log_level = CKPT_LOG_DEBUG, .log = forget};
	struct ckpt_dump_req dump = {.common = common, .pid = 4194304, .dir = "nowhere"};
	struct ckpt_show_req show = {.common = common, .dir = "nowhere"};
	struct ckpt_check_req check = {.common = common};
	struct ckpt_check_result result;
	struct ckpt_dump_result dumped;
	struct ckpt_error err;
	int n = 0;

	if (ckpt_dump(&dump, &dumped, &err) == 0 || err.kind != CKPT_E_TARGET)
		return 1;
	ckpt_error_done(&err);
	dump.common.log = NULL;
	if (ckpt_dump(&dump, &dumped, NULL) == 0)
		return 2;
	if (ckpt_show(&show, stdout, &err) == 0 || err.kind != CKPT_E_IMAGE || !strstr(err.object, "nowhere"))
		return 3;
	ckpt_error_done(&err);
	if (ckpt_check(&check, &result, &err) < 0)
		return 4;
	for (size_t i = 0; i < result.n; i++)
		n += strcmp(result.features[i].name, "ptrace") == 0;
	ckpt_check_result_done(&result);
	return n == 1 ? 77 : 5;
}
"""


def run(s, *words, want=0, **env):
    p = subprocess.run(words, cwd=s.dir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                       env=dict(os.environ, **env))
    if p.returncode != want:
        raise Failure(f"{' '.join(words)}: status {p.returncode}\n{p.stdout}")
    return p.stdout


def scene_library_symbols(s):
    """libckpt.so exports the functions of ckpt.h and nothing else, all with a version; structs are as they were."""
    run(s, os.path.join(ROOT, "contrib", "abi.py"), os.path.join(BUILD, "libckpt.so"), "--check")


def scene_library_installed(s):
    """A program is built against what `make install` puts down, shared and static, and runs; the library is silent."""
    root = s.file("root")
    run(s, "make", "-s", "-C", ROOT, BUILD_WORD, "install", "PREFIX=/usr", f"DESTDIR={root}")
    with open(s.file("program.c"), "w", encoding="ascii") as f:
        f.write(PROGRAM)
    lib = f"{root}/usr/lib"
    find = {"PKG_CONFIG_SYSROOT_DIR": root, "PKG_CONFIG_PATH": f"{lib}/pkgconfig"}
    for static in (), ("--static",):
        # of the other libraries the files are those of the machine
        flags = [w.replace(f"{root}/usr/lib/x86_64", "/usr/lib/x86_64").replace(f"{root}/usr/include/", "/usr/include/")
                 for w in run(s, "pkg-config", "--cflags", "--libs", *static, "ckpt", **find).split()]
        if static:
            flags = [f"{lib}/libckpt.a" if w == "-lckpt" else w for w in flags]
        # whoever includes the header with all warnings on sees none
        run(s, os.environ.get("CC", "cc"), "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "program.c", "-o", "program", *flags)
        needed = "libckpt.so.0" in run(s, "readelf", "-d", "program")
        if needed == bool(static):
            raise Failure(f"{static or 'shared'}: libckpt.so.0 needed: {needed}")
        said = run(s, "./program", want=77, LD_LIBRARY_PATH=lib)
        if said:
            raise Failure(f"the library says something by itself: {said!r}")
    run(s, os.environ.get("CXX", "c++"), "-x", "c++", "-fsyntax-only", "-Wall", "-Werror", f"{root}/usr/include/ckpt.h")
    run(s, "make", "-s", "-C", ROOT, BUILD_WORD, "uninstall", "PREFIX=/usr", f"DESTDIR={root}")
    left = [os.path.join(d, f) for d, _, files in os.walk(root) for f in files]
    if left:
        raise Failure(f"left by uninstall: {left}")
