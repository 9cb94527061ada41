"""Scenes of a session whose terminal was outside: the restore command passes its own on to it."""
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import termios
import time

from front import Job
from harness import CKPT, Failure, no_children, proc_state, wait_for
from trial import Skip  # of test/e2e

ENV = dict(PATH="/usr/bin:/bin", TERM="vt100", PS1="$ ", LC_ALL="C", HISTFILE="")


def resize(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


class Screen:
    """The far side of a terminal: types, and waits for what is shown."""

    def __init__(self, far):
        self.far = far
        self.text = b""

    def look(self):
        while select.select([self.far], [], [], 0.02)[0]:
            try:
                got = os.read(self.far, 4096)
            except OSError:
                return
            self.text += got

    def shows(self, text, since=0):
        def there():
            self.look()
            return text in self.text[since:]
        try:
            wait_for(f"{text!r} on the screen", 20, there)
        except Failure as e:
            raise Failure(f"{e}; it has {self.text[since:]!r}") from None

    def shows_after(self, keys, text):
        self.look()
        since = len(self.text)
        os.write(self.far, keys)
        self.shows(text, since)


def begin(s, words=("bash", "--norc", "--noprofile", "-i"), rows=24, cols=80):
    """A program that leads a session on a terminal of ours, as in a window."""
    if not shutil.which(words[0]):
        raise Skip(f"{words[0]} is not installed")
    s.pid, far = pty.fork()
    if s.pid == 0:
        os.chdir(s.dir)
        os.closerange(3, 1000)
        os.execvpe(words[0], words, ENV)
    resize(far, rows, cols)
    return Screen(far)


def save(s, screen):
    s.save()
    os.close(screen.far)
    wait_for("the end of all processes", 10, no_children)


def back(s, *more, rows=24, cols=80):
    """Restored by a command on another terminal, that of a shell with job control."""
    job = Job(s, on_terminal=True, more=more)
    resize(job.far, rows, cols)
    return job, Screen(job.far)


def job_control(screen):
    screen.shows_after(b"jobs\r", b"Stopped")
    screen.shows_after(b"fg\r", b"sleep 1000")
    time.sleep(0.3)
    screen.shows_after(b"\x1a", b"Stopped")
    screen.shows_after(b"fg\r", b"sleep 1000")
    time.sleep(0.3)
    screen.shows_after(b"\x03", b"$ ")
    screen.shows_after(b"jobs; echo no$((1))job\r", b"no1job")


def scene_relay_shell(s):
    """A shell with a stopped job: job control, sizes, the terminal of the command as it was."""
    screen = begin(s)
    screen.shows(b"$ ")
    screen.shows_after(b"sleep 1000\r", b"sleep 1000")
    time.sleep(0.3)
    screen.shows_after(b"\x1a", b"Stopped")
    save(s, screen)
    job, screen = back(s, rows=40, cols=100)
    before = termios.tcgetattr(job.far)
    job_control(screen)
    screen.shows_after(b"stty size\r", b"40 100\r\n")
    resize(job.far, 50, 120)
    screen.shows_after(b"stty size\r", b"50 120\r\n")
    screen.shows_after(b"echo by$((1))name >/dev/tty\r", b"by1name\r\n")
    screen.shows_after(b"echo ends$(ls -l /proc/self/fd /proc/$$/fd | grep -c ptmx)\r", b"ends0\r\n")
    screen.shows_after(b"cat\r", b"cat")
    time.sleep(0.3)
    screen.shows_after(b"some words\r", b"some words\r\nsome words\r\n")
    screen.shows_after(b"\x04", b"$ ")
    os.write(job.far, b"exit 7\r")
    job.ends(7)
    if termios.tcgetattr(job.far) != before:
        raise Failure("the terminal's settings are not what they were")


def scene_relay_stopped(s):
    """The command is stopped and goes on: the terminal is the shell's meanwhile, with its settings."""
    screen = begin(s)
    screen.shows(b"$ ")
    save(s, screen)
    job, screen = back(s)
    before = termios.tcgetattr(job.far)
    screen.shows_after(b"echo here$((1))\r", b"here1")
    ours = os.tcgetpgrp(job.far)
    os.kill(ours, signal.SIGTSTP)
    wait_for("the shell sees the stop", 10, lambda: os.path.exists(s.file("stopped")))
    if termios.tcgetattr(job.far) != before:
        raise Failure("the terminal's settings are not the shell's")
    if proc_state(s.pid) != "T":
        raise Failure("the program is not stopped")
    resize(job.far, 30, 90)
    open(s.file("fg"), "w", encoding="ascii").close()
    screen.shows_after(b"stty size\r", b"30 90\r\n")
    os.write(job.far, b"exit 0\r")
    job.ends(0)


def scene_relay_window_closed(s):
    """The window of the command is closed: the session is hung up, and nothing stays."""
    screen = begin(s)
    screen.shows(b"$ ")
    save(s, screen)
    job, screen = back(s)
    screen.shows_after(b"sleep 1000 & sleep 1000\r", b"sleep 1000")
    time.sleep(0.2)
    os.close(job.far)
    wait_for("the end of all processes", 10, no_children)


def scene_relay_killed(s):
    """The command is killed: it is as if the window had been closed."""
    screen = begin(s)
    screen.shows(b"$ ")
    save(s, screen)
    job, screen = back(s)
    screen.shows_after(b"echo here$((1))\r", b"here1")
    os.kill(os.tcgetpgrp(job.far), signal.SIGKILL)
    wait_for("the end of all processes", 10, no_children)


def scene_relay_background(s):
    """Started in the background, it stops as whoever wants the keys does, and goes on when it has them."""
    screen = begin(s)
    screen.shows(b"$ ")
    save(s, screen)
    inner = s.pid
    outer = begin(s)
    outer.shows(b"$ ")
    outer.shows_after(f"{CKPT} restore -D {s.image} &\r".encode(), b"[1]")
    outer.shows_after(b"sleep 0.5\r", b"Stopped")
    outer.shows_after(b"echo outer-$$-\r", b"outer-%d-" % s.pid)
    outer.shows_after(b"fg\r", b"restore")
    outer.shows_after(b"\r", b"$ ")
    outer.shows_after(b"echo inner-$$-\r", b"inner-%d-" % inner)
    outer.shows_after(b"exit\r", b"$ ")
    outer.shows_after(b"echo outer-$$-\r", b"outer-%d-" % s.pid)


def scene_relay_redirected(s):
    """stdout of the command is a file: so is the program's, and the keys come from the terminal."""
    screen = begin(s)
    screen.shows(b"$ ")
    save(s, screen)
    job = Job(s, [CKPT, "restore", "-D", s.image])
    os.write(job.far, b"stty -a; tty; echo to$((1))file; exit 3\r")
    job.ends(3)
    with open(s.file("log"), "rb") as f:
        text = f.read()
    if b"to1file" not in text:
        raise Failure(f"the file has {text!r}")


def scene_relay_detached(s):
    """Restored in the background: there is no terminal for it, and that is said."""
    screen = begin(s, ["sleep", "1000"])
    time.sleep(0.2)
    save(s, screen)
    s.words(s.restore(), f"pid {s.pid}", "without a controlling terminal")
    os.kill(s.pid, signal.SIGTERM)
    s.reap_in_time()


def scene_relay_again(s):
    """What was restored so is dumped and restored once more; a full screen comes with its settings."""
    screen = begin(s, ["vim", "-u", "NONE", "-N", "-n", "some.txt"], rows=30, cols=70)
    screen.shows(b"some.txt")
    screen.shows_after(b"ihello\x1b", b"hello")
    save(s, screen)
    for _ in range(2):
        job, screen = back(s, rows=30, cols=70)
        screen.shows(b"hello")  # it draws itself for the new terminal
        screen.shows_after(b"yyp", b"hello")
        time.sleep(0.3)
        s.ckpt("dump", "-t", str(s.pid), "-D", s.file("again"))
        job.ends(256 - signal.SIGKILL)
        shutil.rmtree(s.image)
        os.rename(s.file("again"), s.image)
        os.unlink(s.file("pidfile"))
        wait_for("the end of all processes", 10, no_children)
    job, screen = back(s, rows=30, cols=70)
    os.write(job.far, b":wq\r")
    job.ends(0)
    with open(s.file("some.txt"), "rb") as f:
        got = f.read()
    if got != b"hello\n" * 3:
        raise Failure(f"the file: {got!r}")
