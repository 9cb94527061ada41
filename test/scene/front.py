"""Scenes of a restore in the foreground: signals, job control, and the end."""
import os
import pty
import signal
import subprocess
import sys
import time

from harness import CKPT, PRELUDE, Failure, no_children, proc_state, status_text, wait_for

USAGE = 2  # exit status: the request itself is wrong

# Writes each signal that it gets into the file "got", with its value; SIGTERM ends it with 7.
CATCHER = """
import threading
def note(text):
    with open("got", "a") as f:
        f.write(text + "\\n")
signal.signal(signal.SIGINT, lambda *a: note("INT"))
signal.signal(signal.SIGUSR1, lambda *a: note("USR1"))
signal.signal(signal.SIGTERM, lambda *a: (note("TERM"), os._exit(7)))
signal.signal(signal.SIGCONT, lambda *a: note("CONT"))
open("ready", "w").close()
while True:
    signal.sigtimedwait([], 0.02)
"""


def got(s):
    path = s.file("got")
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as f:
        return f.read().split()


def expect(s, *words):
    """These signals, in any order, each as often as it is named here, and no others."""
    want = sorted(words)
    wait_for(f"{want}, got {got(s)}", 10, lambda: len(got(s)) >= len(want))
    time.sleep(0.1)
    if sorted(got(s)) != want:
        raise Failure(f"signals: expected {want}, got {sorted(got(s))}")


def scene_front_signals(s):
    """What is sent to the restore command reaches the program, and its exit status comes back."""
    s.begin(CATCHER)
    s.save()
    proc = s.front()
    proc.send_signal(signal.SIGUSR1)
    expect(s, "USR1")
    proc.send_signal(signal.SIGINT)
    expect(s, "USR1", "INT")
    proc.send_signal(signal.SIGTERM)
    s.ends(proc, 7)


def scene_front_death(s):
    """It dies by the signal that the program dies by."""
    s.begin("ready()")
    s.save()
    proc = s.front()
    proc.send_signal(signal.SIGABRT)
    s.ends(proc, -signal.SIGABRT)


def scene_front_frozen(s):
    """--frozen in the foreground: stopped until a SIGCONT to either."""
    s.begin(CATCHER)
    s.save()
    proc = s.front("--frozen")
    time.sleep(0.05)
    if proc_state(s.pid) != "T":
        raise Failure(f"not stopped: {proc_state(s.pid)}")
    proc.send_signal(signal.SIGCONT)
    expect(s, "CONT")
    proc.send_signal(signal.SIGTERM)
    s.ends(proc, 7)


def scene_front_pidfile(s):
    """A pidfile that can't be written is refused before anything runs; an old one is replaced."""
    s.begin(CATCHER)
    s.save()
    s.restore_fails(USAGE, "missing/pid", more=("--pidfile", s.file("missing/pid")))
    with open(s.file("pidfile"), "w", encoding="ascii") as f:
        f.write("an old and longer text\n")
    s.restore("--pidfile", s.file("pidfile"))
    with open(s.file("pidfile"), encoding="ascii") as f:
        text = f.read()
    if text != f"{s.pid}\n":
        raise Failure(f"pidfile: expected {s.pid}, got {text!r}")
    os.kill(s.pid, signal.SIGTERM)
    if s.reap_in_time() != 7:
        raise Failure("it did not end by SIGTERM")


class Job:
    """A restore command as a shell's foreground job on a terminal of its own."""

    def __init__(self, s, words=(), on_terminal=False, more=()):
        self.on_terminal = on_terminal
        self.words = list(words) or [CKPT, "restore", "-D", s.image, "--pidfile", s.file("pidfile"), *more]
        self.far, near = pty.openpty()
        self.pid = os.fork()
        if self.pid == 0:
            self.shell(s, near)
        os.close(near)

    def shell(self, s, near):
        """Leads the session; runs the job in a group of its own, and says in files what it saw."""
        os.setsid()
        os.close(self.far)
        import fcntl
        import termios
        fcntl.ioctl(near, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)

        def own_group():
            os.setpgid(0, 0)
            os.tcsetpgrp(near, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        with open(s.file("log"), "ab") as log:
            out = near if self.on_terminal else log
            job = subprocess.Popen(self.words, stdin=near, stdout=out, stderr=out, cwd=s.dir, preexec_fn=own_group)
        while True:
            _, status = os.waitpid(job.pid, os.WUNTRACED)
            os.tcsetpgrp(near, os.getpgrp())
            if not os.WIFSTOPPED(status):
                os._exit(os.waitstatus_to_exitcode(status) & 0xff)
            with open(s.file("stopped"), "a", encoding="ascii") as f:
                f.write("stopped\n")
            while not os.path.exists(s.file("fg")):
                time.sleep(0.01)
            os.unlink(s.file("fg"))
            os.tcsetpgrp(near, job.pid)
            os.kill(-job.pid, signal.SIGCONT)

    def key(self, key):
        os.write(self.far, key)

    def ends(self, want):
        _, status = os.waitpid(self.pid, 0)
        status = os.waitstatus_to_exitcode(status)
        if status != want:
            raise Failure(f"the job: expected {want}, got {status_text(status)}")


def job_control(s, job, stops_within=10):
    """The keys of its terminal, and a shell that brings it back.

    stops_within: so many seconds after the shell has seen the job stop."""
    s.pid = s.runs()
    time.sleep(0.1)
    job.key(b"\x03")
    expect(s, "INT")
    job.key(b"\x1a")
    wait_for("the shell sees the stop", 10, lambda: os.path.exists(s.file("stopped")))
    wait_for("the program is stopped", stops_within, lambda: proc_state(s.pid) == "T")
    open(s.file("fg"), "w", encoding="ascii").close()
    wait_for("the program runs again", 10, lambda: proc_state(s.pid) in "RS")
    expect(s, "INT", "CONT")
    job.key(b"\x03")
    expect(s, "INT", "CONT", "INT")
    os.kill(s.pid, signal.SIGTERM)
    job.ends(7)


def scene_front_job_session(s):
    """A program that led a session: the terminal's keys reach it through the command, once."""
    s.begin(CATCHER)
    s.save()
    job_control(s, Job(s))


def scene_front_job_group(s):
    """A program that led a group of its caller's session: its group gets the terminal."""
    s.begin(CATCHER, lead="group")
    s.save()
    job_control(s, Job(s))


def scene_front_job_member(s):
    """A program that was a member of its caller's group is one again: it has its signals already."""
    s.begin(CATCHER, lead="nothing")
    s.save()
    job_control(s, Job(s))


# A shell as far as the terminal is concerned: its job has it. Both note what they get.
SHELL = """
def note(text):
    with open("got", "a") as f:
        f.write(text + "\\n")
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, lambda *a: note("job-INT"))
    signal.signal(signal.SIGTERM, lambda *a: os._exit(0))
    while True:
        signal.sigtimedwait([], 0.02)
signal.signal(signal.SIGINT, lambda *a: note("shell-INT"))
os.setpgid(job, job)
os.tcsetpgrp(0, job)
for name, text in (("job", job), ("pid", os.getpid()), ("ready", 0)):
    with open(name + ".new", "w") as f:
        f.write(str(text))
    os.rename(name + ".new", name)
os.waitpid(job, 0)
os.tcsetpgrp(0, os.getpgrp())
note("ended")
while True:
    signal.sigtimedwait([], 0.02)
"""


def scene_front_job_shell(s):
    """A shell that was a job: the terminal goes to its own foreground job, and it can take it back."""
    job = Job(s, [sys.executable, "-c", PRELUDE + SHELL])
    wait_for("ready", 20, lambda: os.path.exists(s.file("ready")))
    with open(s.file("pid"), encoding="ascii") as f:
        s.pid = int(f.read())
    with open(s.file("job"), encoding="ascii") as f:
        child = int(f.read())
    time.sleep(0.1)
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image)
    job.ends(256 - signal.SIGKILL)
    wait_for("the end of all processes", 10, no_children)
    job = Job(s)
    s.runs()
    wait_for("the foreground group", 10, lambda: os.tcgetpgrp(job.far) == child)
    job.key(b"\x03")
    expect(s, "job-INT")
    os.kill(child, signal.SIGTERM)
    expect(s, "job-INT", "ended")
    wait_for("the shell's own group", 10, lambda: os.tcgetpgrp(job.far) == s.pid)
    job.key(b"\x03")
    expect(s, "job-INT", "ended", "shell-INT")
    os.kill(s.pid, signal.SIGKILL)
    job.ends(256 - signal.SIGKILL)
