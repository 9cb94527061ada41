"""One trial: a victim in its worker, what is done with it, and what has to be true at each step."""
import functools
import json
import os
import re
import signal
import subprocess
import time

from victims import BUILD

CKPT = os.environ.get("CKPT", os.path.join(BUILD, "ckpt"))
GO = signal.SIGRTMAX - 1
PASS, FAIL, SKIP = 0, 1, 77


class Failure(Exception):
    """A test did not do what it should; its text is the reason."""


class Skip(Exception):
    """A test cannot run here; its text is the reason."""


@functools.lru_cache(maxsize=None)
def lacks(feature):
    """Why what `ckpt check` tries is not here; None: it is."""
    text = subprocess.run([CKPT, "check", "--json"], stdout=subprocess.PIPE, text=True).stdout
    row = next(f for f in json.loads(text)["features"] if f["name"] == feature)
    return None if row["state"] == "present" else f"{feature}: {row['state']} ({row['detail']})"


def proc_state(pid):
    """The state letter of a process, or None if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def proc_tracer(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"^TracerPid:\s*(\d+)", f.read(), re.M).group(1))
    except (OSError, AttributeError):
        return 0


def proc_children():
    """Every child of this process, running or zombie."""
    me = os.getpid()
    with open(f"/proc/{me}/task/{me}/children") as f:
        return [int(p) for p in f.read().split()]


def pids_inside(pid):
    """The numbers of a process in all pid namespaces, from ours inwards."""
    with open(f"/proc/{pid}/status") as f:
        return [int(n) for n in re.search(r"^NSpid:(.*)$", f.read(), re.M).group(1).split()]


def proc_tree(root):
    """A process and all its descendants, as far as they are there; parents before children."""
    found = [root]
    for pid in found:
        try:
            for tid in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{tid}/children") as f:
                    found += [int(p) for p in f.read().split()]
        except OSError:
            pass
    return found


def wait_for(what, seconds, condition):
    end = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds:g} s")
        time.sleep(0.005)


def status_text(status):
    if status < 0:
        return f"killed by signal {-status} ({signal.Signals(-status).name if -status < 32 else 'RT'})"
    return f"exit status {status}"


class Test:
    """One victim in one mode, inside its worker."""

    def __init__(self, victim, mode, directory, loops):
        self.victim, self.mode, self.dir, self.loops = victim, mode, directory, loops
        self.img = os.path.join(directory, "img")
        self.deadline = time.monotonic() + victim.timeout
        self.pid, self.dead, self.gone_at = 0, 0.0, None
        self.family = []  # the victim and its descendants, before the last dump

    def left(self):
        return max(0.1, self.deadline - time.monotonic())

    def path(self, name):
        return os.path.join(self.img, name)

    def start(self):
        os.makedirs(self.img)
        with open(os.path.join(self.dir, "out"), "ab") as out:
            args = [self.victim.binary()] + ([self.victim.arg] if self.victim.arg else [])
            env = {"PATH": "/usr/bin:/bin", "E2E": self.victim.name, "LC_ALL": "C"}
            proc = subprocess.Popen(args, cwd=self.dir, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=out, start_new_session=self.victim.session)
        proc.returncode = 0  # this file waits for it by pid, Popen must not
        self.pid = proc.pid
        ready = os.path.join(self.dir, "ready")

        def look():
            status = self.reap(os.WNOHANG)
            if status is not None:
                self.verdict(status, "before it was ready")
            return os.path.exists(ready)
        wait_for("ready", self.left(), look)
        time.sleep(self.victim.settle)

    def reap(self, flags=0):
        """The victim's exit status as subprocess spells it; None if it lives (WNOHANG)."""
        try:
            pid, status = os.waitpid(self.pid, flags)
        except ChildProcessError:
            raise Failure(f"pid {self.pid} is not there (neither alive nor waiting to be reaped)")
        return os.waitstatus_to_exitcode(status) if pid else None

    def reap_in_time(self):
        end = self.deadline
        while time.monotonic() < end:
            status = self.reap(os.WNOHANG)
            if status is not None:
                return status
            time.sleep(0.005)
        raise Failure(f"the victim does not end: state {proc_state(self.pid)}")

    def verdict(self, status, when=""):
        if status == SKIP:
            raise Skip(self.said("SKIP: ") or "no reason given")
        if status != 0 or when:
            raise Failure(f"the victim ended {when}: {status_text(status)}")

    def said(self, prefix):
        with open(os.path.join(self.dir, "out"), errors="replace") as f:
            lines = [ln[len(prefix):].strip() for ln in f if ln.startswith(prefix)]
        return lines[-1] if lines else None

    def ckpt(self, *args, fault=None, ok=True):
        """Runs the tool; its output goes into the log. With ok it has to succeed."""
        env = dict(os.environ)
        env.pop("CKPT_FAULT", None)
        if fault:
            env["CKPT_FAULT"] = fault
        with open(os.path.join(self.dir, "log"), "a") as log:
            log.write(f"$ {'CKPT_FAULT=' + fault + ' ' if fault else ''}ckpt {' '.join(args)}\n")
            log.flush()
            # Not through a pipe: what it restores may hold the pipe open.
            with open(os.path.join(self.dir, "log.now"), "w+") as now:
                proc = subprocess.Popen([CKPT, *args], cwd=self.dir, env=env, stdin=subprocess.DEVNULL,
                                        stdout=now, stderr=now)
                try:
                    status = proc.wait(self.left())
                except subprocess.TimeoutExpired:
                    proc.kill()
                    proc.wait()
                    raise Failure(f"ckpt {args[0]} does not end") from None
                now.seek(0)
                text = now.read()
            log.write(f"{text}= {status}\n")
        if ok and status != 0:
            raise Failure(f"ckpt {' '.join(args)}: {status_text(status)}\n{text[-2000:]}")
        if not ok:
            return status, text
        return text

    def runs(self, proc=None, seconds=20):
        """Waits until a restore has written its pidfile. proc: the restore. Return: the pid in it."""
        pidfile = os.path.join(self.dir, "pidfile")

        def told():
            if proc and proc.poll() is not None:
                with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as log:
                    raise Failure(f"ckpt restore: {status_text(proc.returncode)}\n{log.read()[-2000:]}")
            return os.path.exists(pidfile) and os.path.getsize(pidfile) > 0
        wait_for("the restored program", seconds, told)
        with open(pidfile, encoding="ascii") as f:
            return int(f.read())

    def options(self):
        """More words for a dump; @NAME in one stands for what is in the victim's file of that name."""
        def text(match):
            with open(os.path.join(self.dir, match.group(1))) as f:
                return f.read()
        return [re.sub(r"@(\w+)", text, word) for word in self.victim.options]

    def dump(self, name, *more):
        args = ["dump", "-t", str(self.pid), "-D", self.path(name), *self.options(), *more]
        if not self.victim.may_fail:
            return self.ckpt(*args)
        status, text = self.ckpt(*args, ok=False)
        if status < 0 or not text.strip():
            raise Failure(f"ckpt {' '.join(args)}: {status_text(status)}\n{text}")
        if status and os.path.exists(self.path(name)):
            raise Failure(f"the failed dump left {name} behind:\n{text}")
        return text

    def die(self, name):
        """A dump that ends the victim, up to its death."""
        at = time.monotonic()
        self.family = proc_tree(self.pid)
        self.dump(name)
        status = self.reap_in_time()
        if status != -signal.SIGKILL:
            self.verdict(status, "by itself, not by the dump's SIGKILL")
        self.gone_at = at
        self.after_death()

    def after_death(self):
        """Its descendants are dead too; what outlives the victim is taken away, as a reboot would."""
        self.nothing_left(self.family)
        if self.victim.gone:
            subprocess.run([self.victim.binary(), "gone"], cwd=self.dir, check=True)

    def back(self):
        """The victim runs again: what it has missed."""
        self.dead += time.monotonic() - self.gone_at
        self.gone_at = None

    def undisturbed(self):
        """The victim is there, runs (or is stopped, as it was), and nobody traces it."""
        status = self.reap(os.WNOHANG)
        if status is not None:
            self.verdict(status, "during the operation on it")
        # What a tracer leaves behind takes the victim's next time slice to be over.
        good = "T" if self.victim.stopped else "RSD"
        if len(os.listdir(f"/proc/{self.pid}/task")) > 1:
            good += "Z"  # its first thread has ended, the others live: it could not be reaped

        def free(pid):
            # what its descendants do they say themselves
            return not proc_tracer(pid) and (pid != self.pid or (proc_state(pid) or "-") in good)
        for pid in proc_tree(self.pid):
            try:
                wait_for("free", 1, lambda pid=pid: free(pid))
            except Failure:
                raise Failure(f"pid {pid} is not as it was: state {proc_state(pid)}, traced by "
                              f"{proc_tracer(pid)}") from None

    def stopped(self):
        return [pid for pid in proc_tree(self.pid) if proc_state(pid) == "T"]

    def give_dead(self):
        tmp = os.path.join(self.dir, "dead.new")
        with open(tmp, "w") as f:
            f.write(f"{self.dead:.6f}\n")
        os.rename(tmp, os.path.join(self.dir, "dead"))

    def go(self):
        self.give_dead()
        try:
            os.kill(self.pid, GO)
            if self.victim.stopped:
                os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            raise Failure(f"pid {self.pid} is gone before the go")

    def finish(self):
        self.go()
        self.verdict(self.reap_in_time())

    def nothing_left(self, family=None):
        """After a failed restore: no child of ours, or none of these, lives for longer than its reaping."""
        end = time.monotonic() + 1
        while True:
            for pid in proc_children():
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            left = [p for p in proc_children() if family is None or p in family]
            if not left:
                return
            if time.monotonic() > end:
                alive = ", ".join(f"{p} ({proc_state(p)})" for p in left)
                raise Failure(f"processes left behind: {alive}")
            time.sleep(0.005)
