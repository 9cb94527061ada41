"""Scenes of `ckpt run`: a program that goes on where it was."""
import os
import signal
import subprocess
import time

from harness import CKPT, Failure, no_children, wait_for

# Writes numbers, and at the end that it is done; the pid of the shell first.
JOB = """
echo $$ > pid
i=0
while [ $i -lt 60 ]; do
	i=$((i+1))
	echo $i >> numbers
	sleep 0.05
done
echo done >> numbers
"""


class Job:
    """`ckpt run` with a store of its own: a mount over root's."""

    def __init__(self, s, *options, store=None, text=JOB):
        self.s, self.dir = s, s.dir
        with open(s.file("job.sh"), "w", encoding="ascii") as f:
            f.write(text)
        store = store or "mkdir -p /var/lib/ckpt; mount --bind store /var/lib/ckpt"
        os.makedirs(s.file("store"), mode=0o700, exist_ok=True)
        with open(s.file("out"), "ab") as out:
            self.proc = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", store + '; exec "$0" "$@"', CKPT, "run", *options, "--", "sh", "job.sh"],
                cwd=s.dir, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def numbers(self):
        try:
            with open(self.s.file("numbers"), encoding="ascii") as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def pid(self):
        with open(self.s.file("pid"), encoding="ascii") as f:
            return int(f.read())

    def saved(self):
        """The crids that the job can go on from."""
        place = self.s.file("store/jobs")
        names = [n for n in os.listdir(place) if n[0] != "." and not n.endswith(".tmp")] if os.path.isdir(place) else []
        if not names:
            return []
        with open(os.path.join(place, names[0]), encoding="ascii") as f:
            return f.read().split()

    def end(self, want=0):
        status = self.proc.wait(60)
        if status != want:
            raise Failure(f"ckpt run: expected {want}, got {status}")

    def check(self, least):
        """All numbers are there, in order but for where it went on; it has gone on from the @least-th at the latest."""
        got = self.numbers()
        if got[-1] != "done" or got.count("done") != 1:
            raise Failure(f"it ends with {got[-3:]}")
        steps = [int(n) for n in got[:-1]]
        if sorted(set(steps)) != list(range(1, 61)):
            raise Failure(f"numbers are missing: {steps}")
        again = [(a, b) for a, b in zip(steps, steps[1:]) if b != a + 1]
        if any(b > a + 1 for a, b in again) or len(again) > 1 or (again and again[0][1] < least):
            raise Failure(f"it went on wrongly: {again}")


def scene_job_undisturbed(s):
    """A job that ends by itself is done: its status is that of ckpt, and nothing is left to go on from."""
    job = Job(s, "--every", "1")
    job.end()
    job.check(1)
    if job.saved():
        raise Failure("a job that is done can be gone on with")


def scene_job_dies(s):
    """The program is killed: it goes on from its last checkpoint, and only the newest are kept."""
    job = Job(s, "--every", "1", "--keep", "1", "--restart-on-failure")
    wait_for("two checkpoints", 30, lambda: len(job.numbers()) > 45 or job.proc.poll() is not None)
    if len(job.saved()) != 1:
        raise Failure(f"kept: {job.saved()}")
    os.kill(job.pid(), signal.SIGKILL)
    job.end()
    job.check(15)
    kept = [n for n in os.listdir(s.file("store")) if n.isdigit()]
    if len(kept) > 2:
        raise Failure(f"in the store: {kept}")


def scene_job_all_die(s):
    """All of it is killed, as a machine that is switched off: the same command goes on."""
    job = Job(s, "--on-signal", "USR1", "--name", "mine")
    wait_for("some numbers", 30, lambda: len(job.numbers()) > 10)
    job.proc.send_signal(signal.SIGUSR1)
    wait_for("a checkpoint", 30, job.saved)
    at = len(job.numbers())
    second = Job(s, "--name", "mine", store="mount --bind store /var/lib/ckpt")
    second.end(6)  # it runs already
    os.kill(job.proc.pid, signal.SIGKILL)
    os.kill(job.pid(), signal.SIGKILL)
    job.proc.wait()
    time.sleep(0.2)
    no_children()
    third = Job(s, "--name", "mine")
    third.end()
    third.check(at - 2)


def scene_job_fails(s):
    """Without --restart-on-failure ckpt ends as the program does; an end by a signal is one by that signal."""
    job = Job(s, "--every", "1")
    wait_for("some numbers", 30, lambda: len(job.numbers()) > 5)
    os.kill(job.pid(), signal.SIGTERM)
    job.end(-signal.SIGTERM)
