"""Scenes of pseudo terminals: numbers that are taken, and somebody outside who has one open.

Each has a devpts of its own in its directory, so that no other program takes the numbers.
"""
import fcntl
import os
import struct
import subprocess
import sys

from harness import CONFLICT, Failure
from run import mount_devpts  # of test/e2e

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
