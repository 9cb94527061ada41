"""Scenes of descriptors whose other end lies outside: pipes and terminals of the caller."""
import os
import pty
import re
import signal
import subprocess
import tty

from harness import CKPT, Failure

ECHO = """
os.write(1, b"before\\n")
ready()
line = os.read(0, 100)
os.write(1, b"got " + line)
"""

# Writes to the outside pipe that it has as its descriptor 5, and says how that went.
WRITER = """
ready()
try:
    os.write(5, b"hello")
    result = "written"
except OSError as e:
    result = e.strerror
with open("result", "w") as f:
    f.write(result)
"""


def read_all(fd, want):
    """Reads until what is wanted is there; anything else is a failure."""
    got = b""
    while len(got) < len(want):
        chunk = os.read(fd, 100)
        if not chunk:
            break
        got += chunk
    if got != want:
        raise Failure(f"read: expected {want!r}, got {got!r}")


def scene_pipe_stdio(s):
    """stdin and stdout are the caller's pipes: they become those of the restore command."""
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    s.begin(ECHO, stdin=in_r, stdout=out_w)
    read_all(out_r, b"before\n")
    s.save()
    for fd in (in_r, in_w, out_r, out_w):
        os.close(fd)
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    proc = s.front(stdin=in_r, stdout=out_w)
    os.close(in_r)
    os.close(out_w)
    os.write(in_w, b"a line\n")
    s.go()
    read_all(out_r, b"got a line\n")
    s.ends(proc, 0)
    if os.read(out_r, 1) != b"":
        raise Failure("somebody still holds the pipe")


def scene_terminal_stdio(s):
    """stdin and stdout are a terminal that is not of the tree: they become the restore's terminal."""
    far, near = pty.openpty()
    tty.setraw(near)
    s.begin(ECHO, stdin=near, stdout=near)
    read_all(far, b"before\n")
    s.save()
    os.close(far)
    os.close(near)
    far, near = pty.openpty()
    tty.setraw(near)
    proc = s.front(stdin=near, stdout=near)
    os.write(far, b"a line\n")
    s.go()
    read_all(far, b"got a line\n")
    s.ends(proc, 0)


# Waits for its terminal with epoll, which has it as descriptors 0, 1 and 7 too.
LOOP = """
import select
ep = select.epoll()
ep.register(0, select.EPOLLIN)
os.dup2(0, 7)
ready()
os.write(1, b"out")
os.write(7, b"seven")
"""


def scene_terminal_elsewhere(s):
    """Each number of a terminal that several share becomes the command's own of that number."""
    far, near = pty.openpty()
    tty.setraw(near)
    s.begin(LOOP, stdin=near, stdout=near)
    s.save()
    os.close(far)
    os.close(near)
    far, near = pty.openpty()
    tty.setraw(near)
    with open(s.file("stdout"), "wb") as out:
        proc = s.front(stdin=near, stdout=out)
    s.go()
    s.ends(proc, 0)
    read_all(far, b"seven")
    with open(s.file("stdout"), "rb") as f:
        if f.read() != b"out":
            raise Failure("the output is not in the file that stdout is now")


def scene_terminal_gone(s):
    """There is no terminal any more, and what is there can't be waited for: it is restored all the same."""
    far, near = pty.openpty()
    tty.setraw(near)
    s.begin(LOOP.replace('os.write(7, b"seven")', ""), stdin=near, stdout=near)
    s.save()
    os.close(far)
    os.close(near)
    with open(s.file("stdout"), "wb") as out:
        proc = s.front(stdout=out)
    s.go()
    s.ends(proc, 0)


def outside_five(s):
    """A victim whose descriptor 5 is the write end of a pipe of the caller."""
    r, w = os.pipe()
    os.set_inheritable(w, True)
    five = w
    if w != 5:
        os.dup2(w, 5, inheritable=True)
        five = 5
    s.begin(WRITER, keep=[five])
    os.close(five)
    if w != five:
        os.close(w)
    s.words(s.ckpt("explain", "-t", str(s.pid)), "fd 5 pipe:[", "a restore has to be told", "--fd N=")
    s.save()
    os.close(r)


def result(s, want):
    s.finish()
    with open(s.file("result"), encoding="utf-8") as f:
        got = f.read()
    if got != want:
        raise Failure(f"descriptor 5: expected '{want}', got '{got}'")


def stages(text, names):
    """The lines of stages in a log are these, in this order, each with its time."""
    found = re.findall(r"^ckpt: ([a-z ]+): .*\([0-9.]+ [mu]?s\)$", text, re.M)
    if found != names:
        raise Failure(f"expected the stages {names}, got {found}:\n{text}")


def scene_verbose(s):
    """-v tells the stages, and what becomes of what leads outside; -v -v of everything else, too."""
    reader, writer = os.pipe()
    s.begin("import sys\nready()", stdin=reader)
    text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-v")
    s.words(text, "fd 0 pipe:[", "it leads outside")
    s.no_words(text, "can be saved")
    stages(text, ["preflight", "open", "seize", "collect", "pages", "commit", "let go"])
    s.reap_in_time()
    with open(s.file("log2"), "w+", encoding="utf-8") as log:
        proc = subprocess.run([CKPT, "restore", "-d", "-vv", s.image, "--fd", "2=null"], cwd=s.dir, stdin=reader, stdout=log,
                              stderr=log, check=False)
        log.seek(0)
        text = log.read()
    os.close(reader)
    os.close(writer)
    if proc.returncode != 0:
        raise Failure(f"restore: {proc.returncode}\n{text}")
    s.words(text, "led outside: it is now fd 0 of this command", "fd 2: as --fd 2=null says", "/dev/null: as it was")
    stages(text, ["load", "check", "open", "plan", "run"])
    s.finish()


def scene_fd_missing(s):
    """Nobody says what descriptor 5 is to be: refused, naming it and the option."""
    outside_five(s)
    status, text = s.ckpt("restore", "-D", s.image, "-d", ok=False)
    if status == 0:
        raise Failure("it was restored without its descriptor 5")
    s.words(text, "fd 5", "--fd 5=")
    s.nothing_left()


def scene_fd_path(s):
    """--fd 5=path:FILE opens a file in its place."""
    outside_five(s)
    with open(s.file("target"), "wb"):
        pass
    s.restore("--fd", f"5=path:{s.file('target')}")
    result(s, "written")
    with open(s.file("target"), "rb") as f:
        if f.read() != b"hello":
            raise Failure("the file has not what was written")


def scene_fd_null(s):
    """--fd 5=null writes into nothing."""
    outside_five(s)
    s.restore("--fd", "5=null")
    result(s, "written")


def scene_fd_close(s):
    """--fd 5=close leaves it closed."""
    outside_five(s)
    s.restore("--fd", "5=close")
    result(s, "Bad file descriptor")


def scene_fd_inherit(s):
    """--fd 5=inherit:M connects it to what the restore command has as M."""
    outside_five(s)
    r, w = os.pipe()
    os.set_inheritable(w, True)
    proc = s.front("--fd", f"5=inherit:{w}", keep=[w])
    os.close(w)
    s.go()
    read_all(r, b"hello")
    s.ends(proc, 0)


def scene_signals(s):
    """The foreground restore passes signals on, and exits as the victim exits."""
    s.begin("""
signal.signal(signal.SIGTERM, lambda *_: os._exit(42))
open("ready", "w").close()
while True:
    signal.pause()
""")
    s.save()
    proc = s.front()
    proc.send_signal(signal.SIGTERM)
    s.ends(proc, 42)


def scene_killed(s):
    """The restored victim is killed: the foreground restore ends by the same signal, or says 128 + 9."""
    s.begin("ready()")
    s.save()
    proc = s.front()
    os.kill(s.pid, signal.SIGKILL)
    s.ends(proc, (-signal.SIGKILL, 128 + signal.SIGKILL))
