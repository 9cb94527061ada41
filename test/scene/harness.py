"""What the scenes share: a small python program as the victim, and the command with any stdio."""
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CONTRIB, INCLUDE = os.path.join(ROOT, "contrib"), os.path.join(ROOT, "include")
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
from trial import CKPT, Failure, Test, proc_state, status_text, wait_for  # noqa: E402

CONFLICT = 6  # ckpt's exit status: a pid, path or image is in the way

# What stands in front of every victim: it reports, waits for the driver's go, and verifies itself.
PRELUDE = """
import os, signal, sys
GO = signal.SIGRTMAX - 1
signal.pthread_sigmask(signal.SIG_BLOCK, [GO])
def ready():
    with open("ready", "w"):
        pass
    signal.sigwait([GO])
def check(got, want, what):
    if got != want:
        with open("out", "a") as out:
            out.write(f"{what}: expected {want!r}, got {got!r}\\n")
        os._exit(1)
"""


def no_children():
    """Reaps what has ended: the children of what was dumped have become ours."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


class Program:
    """In the place of an e2e victim: a name and how long it may take."""
    may_fail = False
    stopped = False
    timeout = 60.0
    settle = 0.02

    def __init__(self, name):
        self.name = name


class Scene(Test):
    """One scene in its own directory: the victim runs there, the image is `image`."""

    def __init__(self, name, directory):
        super().__init__(Program(name), "scene", directory, 1)
        self.image = os.path.join(directory, "image")
        open(os.path.join(directory, "out"), "w", encoding="ascii").close()

    def file(self, name):
        return os.path.join(self.dir, name)

    def begin(self, victim, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, keep=(), lead="session"):
        """Starts python code, or a program by its path; returns when it is ready.

        It leads a session, a process group of ours, or nothing.
        """
        words = [victim] if os.path.isabs(victim) else [sys.executable, "-c", PRELUDE + victim]
        with open(self.file("out"), "ab") as err:
            proc = subprocess.Popen(words, cwd=self.dir, stdin=stdin, stdout=stdout, stderr=err,
                                    pass_fds=keep, start_new_session=lead == "session",
                                    process_group=0 if lead == "group" else None)
        proc.returncode = 0  # this file waits for it by pid, Popen must not
        self.pid = proc.pid

        def look():
            status = self.reap(os.WNOHANG)
            if status is not None:
                self.verdict(status, "before it was ready")
            return os.path.exists(self.file("ready"))
        wait_for("ready", 20, look)
        time.sleep(self.victim.settle)

    def save(self, *more):
        """A dump that ends the victim."""
        self.ckpt("dump", "-t", str(self.pid), "-D", self.image, *more)
        status = self.reap_in_time()
        if status != -signal.SIGKILL:
            self.verdict(status, "by itself, not by the dump's SIGKILL")

    def restore(self, *more):
        return self.ckpt("restore", "-D", self.image, "-d", *more)

    def restore_fails(self, status, *words, more=()):
        """A restore that is refused with these words, and that leaves no process behind."""
        got, text = self.ckpt("restore", "-D", self.image, "-d", *more, ok=False)
        if got != status:
            raise Failure(f"restore: expected exit status {status}, got {got}\n{text}")
        self.words(text, *words)
        self.nothing_left()
        return text

    @staticmethod
    def words(text, *words):
        for word in words:
            if str(word) not in text:
                raise Failure(f"the message does not say '{word}':\n{text}")

    @staticmethod
    def no_words(text, *words):
        for word in words:
            if str(word) in text:
                raise Failure(f"the message says '{word}':\n{text}")

    def front(self, *more, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, keep=()):
        """A restore in the foreground with a stdio of its own; returns once the victim runs."""
        with open(self.file("log"), "ab") as log:
            proc = subprocess.Popen([CKPT, "restore", "-D", self.image, "--pidfile", self.file("pidfile"), *more],
                                    cwd=self.dir, stdin=stdin, stdout=stdout, stderr=log, pass_fds=keep)
        self.runs(proc)
        return proc

    def ends(self, proc, want):
        """The foreground restore ends as the victim did."""
        try:
            status = proc.wait(20)
        except subprocess.TimeoutExpired:
            raise Failure(f"ckpt restore does not end; the victim: {proc_state(self.pid)}") from None
        if status not in (want if isinstance(want, tuple) else (want,)):
            raise Failure(f"ckpt restore: expected {want}, got {status_text(status)}")
        if proc_state(self.pid) is not None:
            raise Failure("ckpt restore has ended, the victim lives on")
