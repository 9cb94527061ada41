"""Scenes of pseudo terminals: numbers that are taken, somebody outside who has one open, real programs.

Each has a devpts of its own in its directory, so that no other program takes the numbers.
"""
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import time

from harness import CONFLICT, Failure, no_children, wait_for
from trial import Skip  # of test/e2e, as is the next
from run import mount_devpts

REFUSED = 3
TIOCGPTN, TIOCSPTLCK = 0x80045430, 0x40045431

# Holds both sides of a terminal; says its number before, and its number and one line through it afterwards.
HOLDER = f"""
import fcntl, struct
def number():
    with open("number", "w") as f:
        got = struct.unpack("i", fcntl.ioctl(far, {TIOCGPTN}, b"\\0" * 4))[0]
        f.write(str(got))
    return got
far = os.open("pts/ptmx", os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(far, {TIOCSPTLCK}, struct.pack("i", 0))
near = os.open("pts/" + str(number()), os.O_RDWR | os.O_NOCTTY)
ready()
os.write(far, b"hello\\n")
check(os.read(near, 100), b"hello\\n", "what was typed")
check(os.read(far, 100), b"hello\\r\\n", "its echo")
number()
"""


def begin(s):
    mount_devpts(s.dir)
    s.begin(HOLDER)
    return number(s)


def number(s):
    with open(s.file("number"), encoding="ascii") as f:
        return int(f.read())


def take(s, want):
    """Somebody else opens the terminal of that number."""
    fd = os.open(s.file("pts/ptmx"), os.O_RDWR | os.O_NOCTTY)
    got = struct.unpack("i", fcntl.ioctl(fd, TIOCGPTN, b"\0" * 4))[0]
    if got != want:
        raise Failure(f"the test is broken: opened terminal {got}, not {want}")
    return fd


def scene_pty_taken(s):
    """A number that is in use is a conflict that names who has it; afterwards it comes back with it."""
    want = begin(s)
    s.save()
    fd = take(s, want)
    s.restore_fails(CONFLICT, f"/dev/pts/{want}", f"pid {os.getpid()}", "--new-ptys")
    os.close(fd)
    s.restore()
    s.finish()
    if number(s) != want:
        raise Failure(f"its number: expected {want}, got {number(s)}")


def scene_pty_renumbered(s):
    """--new-ptys: a taken number becomes another, with a warning."""
    want = begin(s)
    s.save()
    fd = take(s, want)
    s.words(s.restore("--new-ptys"), f"/dev/pts/{want} is taken")
    s.finish()
    os.close(fd)
    if number(s) == want:
        raise Failure("two terminals of one number")


def scene_pty_shared(s):
    """A slave that somebody outside has open: refused, and who it is is said. Without, it is saved."""
    want = begin(s)
    fd = os.open(s.file(f"pts/{want}"), os.O_RDWR | os.O_NOCTTY)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=fd) as other:
        os.close(fd)
        status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, ok=False)
        if status != REFUSED:
            raise Failure(f"expected exit status {REFUSED}, got {status}\n{text}")
        s.words(text, f"/dev/pts/{want}", f"pid {other.pid}")
        other.kill()
    s.save()
    s.restore()
    s.finish()


# A terminal emulator without a screen: keys come by a named pipe, what is shown goes into a file.
EMULATOR = f"""
import fcntl, select, struct, termios
far = os.open("pts/ptmx", os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(far, {TIOCSPTLCK}, struct.pack("i", 0))
fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
pid = os.fork()
if pid == 0:
    os.setsid()
    near = os.open("pts/" + str(struct.unpack("i", fcntl.ioctl(far, {TIOCGPTN}, b"\\0" * 4))[0]), os.O_RDWR)
    fcntl.ioctl(near, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(near, fd)
    os.closerange(3, 20)
    env = dict(PATH="/usr/bin:/bin", TERM="vt100", PS1="$ ", HOME=os.getcwd(), LC_ALL="C", HISTFILE="")
    os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], env)
screen = os.open("screen", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.mkfifo("keys")
keys = os.open("keys", os.O_RDWR)
open("ready", "w").close()
while True:
    got = select.select([far, keys], [], [])[0]
    if keys in got:
        os.write(far, os.read(keys, 1024))
    if far in got:
        try:
            os.write(screen, os.read(far, 4096))
        except OSError:
            break  # the shell has ended
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Emulator:
    def __init__(self, s, program):
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")
        mount_devpts(s.dir)
        self.s = s
        s.begin(EMULATOR)
        self.shows(0, b"$ ")

    def type(self, keys):
        with open(self.s.file("keys"), "wb") as f:
            f.write(keys)

    def screen(self):
        with open(self.s.file("screen"), "rb") as f:
            return f.read()

    def shows(self, since, text):
        wait_for(f"{text!r} on the screen, which has {self.screen()[since:]!r}", 20,
                 lambda: text in self.screen()[since:])

    def shows_after(self, keys, text):
        since = len(self.screen())
        self.type(keys)
        self.shows(since, text)

    def drawn(self, keys):
        """All that is drawn because of these keys, until nothing is any more."""
        since = now = len(self.screen())
        self.type(keys)
        for _ in range(60):
            time.sleep(0.4)
            if now > since and len(self.screen()) == now:
                return self.screen()[since:]
            now = len(self.screen())
        raise Failure(f"nothing is drawn for {keys!r}")

    def redrawn(self, want=None):
        """The whole screen; on a slow machine it may come in two parts."""
        for _ in range(5):
            got = self.drawn(b"\x0c")
            if want is None or got == want:
                break
        return got

    def back(self):
        """Dumped, dead and restored."""
        shutil.rmtree(self.s.image, ignore_errors=True)
        self.s.save()
        wait_for("the end of all processes", 10, no_children)
        self.s.restore()

    def cycle(self):
        """The screen before and after is the same."""
        self.redrawn()  # the first also draws what was only to be drawn once
        before = self.redrawn()
        again = self.redrawn(before)
        if again != before:
            raise Failure(f"the test is broken: two redraws differ:\n{before!r}\n{again!r}")
        self.back()
        after = self.redrawn(before)
        if after != before:
            raise Failure(f"the screen:\n{before!r}\nis after the restore\n{after!r}")
        return after

    def ends(self):
        """Job control goes on: a stopped job, one that is interrupted, the end of the shell."""
        self.shows_after(b"sleep 1000\r", b"sleep 1000")
        time.sleep(0.3)
        self.shows_after(b"\x1a", b"Stopped")
        self.back()
        self.shows_after(b"fg\r", b"sleep 1000")
        time.sleep(0.3)
        self.shows_after(b"\x03", b"$ ")
        self.shows_after(b"jobs; echo no$((1))job\r", b"no1job")
        self.type(b"exit 7\r")
        status = self.s.reap_in_time()
        if status != 7:
            raise Failure(f"the shell's exit status: expected 7, got {status}")


def scene_terminal_vim(s):
    """An editor in a shell in a terminal: its screen comes back, twice, and it goes on."""
    e = Emulator(s, "vim")
    e.drawn(b"vim -u NONE -N -n some.txt\r")
    e.drawn(b"ihello from vim\x1b")
    s.words(e.cycle().decode("ascii", "replace"), "hello from vim")
    e.drawn(b"yypAagain")
    e.back()  # in the middle of inserting
    e.drawn(b" and again\x1b")
    s.words(e.cycle().decode("ascii", "replace"), "hello from vimagain and again")
    e.shows_after(b":wq\r", b"$ ")
    with open(s.file("some.txt"), "rb") as f:
        got = f.read()
    if got != b"hello from vim\nhello from vimagain and again\n":
        raise Failure(f"the file: {got!r}")
    e.ends()


def scene_terminal_less(s):
    """A pager, which reads keys by /dev/tty and text from a pipeline."""
    e = Emulator(s, "less")
    e.drawn(b"seq 1 5000 | less\r")
    e.drawn(b" ")
    s.words(e.cycle().decode("ascii", "replace"), "\r\n30\r\n")
    e.drawn(b"G")
    e.cycle()
    e.shows_after(b"q", b"$ ")
    e.ends()
