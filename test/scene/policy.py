"""Scenes of what can't be saved, and what the user says of it: --fd, --resource, --policy."""
import os

from harness import Failure

USAGE, REFUSED = 2, 3  # ckpt's exit status

# Makes what can't be saved: a file system that is being configured (fsopen(2)).
MAKE = """
import ctypes
def make():
    return ctypes.CDLL(None).syscall(430, b"tmpfs", 1)
"""

# Such a thing at 7, and a duplicate at 8; says what they are afterwards.
HOLDER = MAKE + """
a = make()
os.dup2(a, 7)
os.dup2(7, 8)
os.close(a)
ready()
def link(n):
    try:
        return os.readlink(f"/proc/self/fd/{n}")
    except OSError:
        return "closed"
with open("result", "w") as f:
    f.write(link(7) + " " + link(8))
"""

# A tree of two, each with such a thing: the child's at another number.
TREE = MAKE + """
up, down = os.pipe(), os.pipe()
pid = os.fork()
a = make()
os.dup2(a, 19 if pid else 29)
os.close(a)
if not pid:
    with open("child", "w") as f:
        f.write(str(os.getpid()))
    os.write(up[1], b"u")
    os.read(down[0], 1)
    os._exit(0 if not os.path.exists("/proc/self/fd/29") else 9)
os.read(up[0], 1)
ready()
os.write(down[1], b"g")
check(os.waitpid(pid, 0)[1], 0, "the child's status")
check(os.path.exists("/proc/self/fd/19"), False, "descriptor 19")
"""


def result(s, want):
    s.finish()
    with open(s.file("result"), encoding="utf-8") as f:
        got = f.read()
    if got != want:
        raise Failure(f"descriptors 7 and 8: expected '{want}', got '{got}'")


def refused(s, *more):
    status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, *more, ok=False)
    if status != REFUSED:
        raise Failure(f"dump: expected exit status {REFUSED}, got {status}\n{text}")
    return text


def scene_policy_refuse(s):
    """Each offender is named with the option that lets it pass, by a dump and by explain."""
    s.begin(HOLDER)
    options = [f"--fd {s.pid}:7=close", f"--fd {s.pid}:8=close"]
    s.words(refused(s), "fd 7 anon_inode:[fscontext]", *options, "--resource mount=close")
    s.words(refused(s, "--resource", "mount=refuse"), *options)
    status, text = s.ckpt("explain", "-t", str(s.pid), ok=False)
    s.words(text, *options)
    text = s.ckpt("explain", "-t", str(s.pid), "--resource", "mount=null")
    s.words(text, "at restore it is /dev/null")
    s.no_words(text, "would refuse")
    s.words(refused(s, "--fd", "7=close"), f"--fd {s.pid}:8=close")


def scene_policy_tree(s):
    """Offenders of all processes are named at once; a table lets them pass."""
    s.begin(TREE)
    with open(s.file("child"), encoding="utf-8") as f:
        child = int(f.read())
    s.words(refused(s), f"--fd {s.pid}:19=close", f"pid {child}: fd 29 ", f"--fd {child}:29=close")
    with open(s.file("table"), "w", encoding="utf-8") as f:
        f.write(f"# both\nfd {s.pid}:19=close\nfd {child}:29=close # the child's\n")
    s.save("--policy", s.file("table"))
    os.waitpid(child, 0)
    s.restore()
    s.finish()


def scene_policy_kind(s):
    """All descriptors of a kind are closed at the restore."""
    s.begin(HOLDER)
    s.save("--resource", "mount=close")
    s.words(s.ckpt("show", s.image), "[fscontext]")
    s.restore()
    result(s, "closed closed")


def scene_policy_fd(s):
    """What was said at the dump is done at the restore, each descriptor its own."""
    s.begin(HOLDER)
    s.save("--fd", f"{s.pid}:7=null", "--fd", f"8=path:{s.file('target')}")
    s.restore()
    result(s, "/dev/null " + s.file("target"))


def scene_policy_restore_wins(s):
    """A restore has the last word, for a descriptor and for a kind."""
    s.begin(HOLDER)
    s.save("--resource", "mount=close")
    s.restore("--resource", "mount=null", "--fd", f"{s.pid}:8=path:{s.file('target')}")
    result(s, "/dev/null " + s.file("target"))


def scene_policy_ignore(s):
    """What was ignored has to be told at the restore."""
    s.begin(HOLDER)
    s.save("--resource", "mount=ignore")
    s.restore_fails(REFUSED, "fd 7 (anon_inode:[fscontext]", "fd 8 (anon_inode:[fscontext]", "--fd 7=null")
    s.no_words(s.restore_fails(REFUSED, "fd 8 (anon_inode:[fscontext]", "--fd 8=null", more=("--fd", "7=null")), "fd 7")
    s.restore("--fd", "7=null", "--fd", "8=close")
    result(s, "/dev/null closed")


def scene_policy_again(s):
    """A program restored so can be dumped again, without any options."""
    s.begin(HOLDER)
    s.save("--resource", "mount=null")
    s.restore()
    s.ckpt("dump", "-t", str(s.pid), "-D", s.file("image2"), "-R")
    result(s, "/dev/null /dev/null")


def scene_policy_wrong(s):
    """Bad words and bad lines are usage errors that name them."""
    s.begin(HOLDER)
    with open(s.file("table"), "w", encoding="utf-8") as f:
        f.write("# one\nfd 7=close\nfd 8=shut\n")
    for words, said in ((["--policy", s.file("table")], ("table: line 3", "after '='")),
                        (["--fd", "1:=close"], ("--fd", "PID:N=")),
                        (["--policy", s.file("none")], ("--policy", "No such file"))):
        status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, *words, ok=False)
        if status != USAGE:
            raise Failure(f"{words}: expected exit status {USAGE}, got {status}\n{text}")
        s.words(text, *said)


def scene_policy_long_name(s):
    """A file whose name is longer than the kernel tells is refused like any other."""
    s.begin("""
where = os.getcwd()
for _ in range(25):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
os.dup2(os.open("file", os.O_RDWR | os.O_CREAT), 7)
os.chdir(where)
ready()
""")
    s.words(refused(s), "fd 7 (a name of", f"--fd {s.pid}:7=close")
    s.save("--resource", "file=null")
    s.restore()
    if os.readlink(f"/proc/{s.pid}/fd/7") != "/dev/null":
        raise Failure("descriptor 7 is not what was said")
    s.finish()
