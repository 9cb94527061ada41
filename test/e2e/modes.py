"""One test: a victim in one of the modes, and what has to be true at each step of it."""
import os
import random
import re
import shutil
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


def mode_plain(t):
    t.start()
    t.finish()


def leave_refused(t):
    """A dump that would leave the victim running is refused, since it could not be without danger."""
    status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path("A"), "-R", ok=False)
    if status == 0 or t.victim.leave_refused not in text:
        raise Failure(f"not refused for '{t.victim.leave_refused}' ({status_text(status)}):\n{text}")
    if os.listdir(t.img):
        raise Failure(f"the refused dump left {os.listdir(t.img)} behind")
    t.undisturbed()
    t.finish()


def mode_goon(t):
    t.start()
    if t.victim.leave_refused:
        return leave_refused(t)
    t.dump("A", "-R")
    t.undisturbed()
    t.finish()


def mode_again(t):
    t.start()
    for name in "ABC":
        t.dump(name, "-R")
        t.undisturbed()
    t.finish()


def mode_restore(t):
    t.start()
    t.die("A")
    t.ckpt("restore", "-D", t.path("A"), "-d")
    t.back()
    t.undisturbed()
    t.finish()


def pids_inside(pid):
    """The numbers of a process in all pid namespaces, from ours inwards."""
    with open(f"/proc/{pid}/status") as f:
        return [int(n) for n in re.search(r"^NSpid:(.*)$", f.read(), re.M).group(1).split()]


def restore_inside(t, name, inside, *more):
    """In a pid namespace of its own, where its pid is the old one. The victim is then the one outside."""
    t.ckpt("restore", "-D", t.path(name), "-d", "--pidns", "--pidfile", os.path.join(t.dir, "pidfile"), *more)
    t.pid = t.runs()
    if pids_inside(t.pid) != [t.pid, inside]:
        raise Failure(f"pid {t.pid} is {pids_inside(t.pid)} inside, the dumped process was {inside}")


def second_inside(t, was_stopped):
    """What was restored frozen is dumped from outside: no difference. Then it goes on."""
    t.dump("B", "-R")
    status, text = t.ckpt("diff", t.path("A"), t.path("B"), ok=False)
    for pid in {t.pid, *t.stopped()}:
        if pid == t.pid or pids_inside(pid)[-1] not in was_stopped:
            os.kill(pid, signal.SIGCONT)
    if status != 0 or text.strip():
        raise Failure(f"ckpt diff A B ({status_text(status)}):\n{text[:4000]}")
    wait_for("running after SIGCONT", t.left(), lambda: proc_state(t.pid) not in ("T", "t"))


def mode_pidns(t):
    """In a pid namespace of its own the victim finds what it has had; a second dump, from outside, is the first."""
    t.start()
    inside = t.pid
    again = "cycle" not in t.victim.no and not t.victim.leave_refused
    was_stopped = [pids_inside(pid)[-1] for pid in t.stopped()]
    t.die("A")
    restore_inside(t, "A", inside, *(["--frozen"] if again else []))
    if again:
        second_inside(t, was_stopped)
    t.back()
    t.undisturbed()
    t.finish()
    t.nothing_left()


def mode_late(t):
    """Dumped before, and gone on: what the first dump broke off goes on in the second one's image."""
    t.start()
    t.dump("A", "-R")
    t.undisturbed()
    time.sleep(0.02)
    t.die("B")
    t.ckpt("restore", "-D", t.path("B"), "-d")
    t.back()
    t.undisturbed()
    t.finish()


def restore_that_stays(t, *more, **options):
    """A restore whose process stays until the program's end, once that runs. Return: it, and the pid that it tells."""
    args = ["restore", "-D", t.path("A"), "--pidfile", os.path.join(t.dir, "pidfile"), *more]
    with open(os.path.join(t.dir, "log"), "a") as log:
        log.write(f"$ ckpt {' '.join(args)} (in the foreground)\n")
        log.flush()
        proc = subprocess.Popen([CKPT, *args], cwd=t.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
    return proc, t.runs(proc, t.left())


def mode_fg(t):
    """The foreground restore exits as the victim exits."""
    t.start()
    t.die("A")
    proc, pid = restore_that_stays(t)
    if pid != t.pid:
        raise Failure(f"the pidfile says {pid}, the dumped process was {t.pid}")
    t.back()
    t.go()
    try:
        status = proc.wait(t.left())
    except subprocess.TimeoutExpired:
        raise Failure(f"ckpt restore does not end; the victim's state: {proc_state(t.pid)}") from None
    if proc_state(t.pid) is not None:
        raise Failure(f"ckpt restore has ended ({status_text(status)}), the victim lives on")
    t.verdict(status)


def mode_exec(t):
    """A process of ours becomes the victim: it has that one's number, and ends as it ends."""
    t.start()
    t.die("A")
    proc, pid = restore_that_stays(t, "--exec", start_new_session=t.victim.session)
    proc.returncode = 0  # this file waits for it by pid, Popen must not
    if pid != proc.pid:
        raise Failure(f"the pidfile says {pid}, the command was {proc.pid}")
    with open(os.path.join(t.dir, "renumbered"), "w", encoding="ascii") as f:
        f.write(f"{t.pid} {pid}\n")
    t.pid = pid
    t.back()
    t.undisturbed()
    t.finish()


def mode_cycle(t):
    """What is restored is what was dumped: a second dump shows no difference."""
    t.start()
    was_stopped = t.stopped()
    t.die("A")
    t.ckpt("restore", "-D", t.path("A"), "-d", "--frozen")
    t.dump("B", "-R")
    status, text = t.ckpt("diff", t.path("A"), t.path("B"), ok=False)
    # the root's first thread may be dead, and shows no stop then
    for pid in {t.pid, *t.stopped()}:
        if pid == t.pid or pid not in was_stopped:
            os.kill(pid, signal.SIGCONT)
    t.back()
    if status != 0 or text.strip():
        raise Failure(f"ckpt diff A B ({status_text(status)}):\n{text[:4000]}")
    wait_for("running after SIGCONT", t.left(), lambda: proc_state(t.pid) not in ("T", "t"))
    t.undisturbed()
    t.finish()


def mode_faults(t):
    """A dump that fails harms nothing and leaves nothing; a restore that fails leaves no process."""
    status, text = t.ckpt("check", "--faults", ok=False)
    if status != 0:
        raise Skip("ckpt check --faults is not there")
    t.start()
    reached = 0
    for n, fault in enumerate(text.split()):
        name = f"F{n}"
        t.family = proc_tree(t.pid)
        at = time.monotonic()
        status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path(name), *t.options(),
                              fault=fault, ok=False)
        if status != 0:
            reached += 1
            try:
                t.undisturbed()
            except Failure as e:
                raise Failure(f"dump with fault '{fault}': {e}\n{text[-1000:]}") from None
            if fault == "dump.kill":
                t.ckpt("verify", t.path(name))  # commit first, kill last: the image is there, and whole
                shutil.rmtree(t.path(name))
            if os.listdir(t.img):
                raise Failure(f"dump with fault '{fault}' left {os.listdir(t.img)} behind")
            continue
        if t.reap_in_time() != -signal.SIGKILL:
            raise Failure(f"dump with fault '{fault}': the victim ended by itself")
        t.gone_at = at
        t.after_death()
        status, text = t.ckpt("restore", "-D", t.path(name), "-d", fault=fault, ok=False)
        if status != 0:
            reached += 1
            try:
                t.nothing_left()
            except Failure as e:
                raise Failure(f"restore with fault '{fault}': {e}\n{text[-1000:]}") from None
            t.ckpt("restore", "-D", t.path(name), "-d")
        t.back()
        t.undisturbed()
        shutil.rmtree(t.path(name))
    if not reached:
        raise Failure("no fault point was reached")
    t.finish()


def mode_kill(t):
    """The tool is killed at a random instant of a dump: the victim goes on, no image is believed."""
    t.start()
    began = time.monotonic()
    t.dump("whole", "-R")
    whole = time.monotonic() - began
    seed = int(os.environ.get("E2E_SEED", random.randrange(1 << 30)))
    rnd = random.Random(seed)
    for n in range(10 * t.loops if t.loops > 100 else 2 * t.loops):
        after = rnd.uniform(0, 1.1 * whole)
        name = f"K{n}"
        proc = subprocess.Popen([CKPT, "dump", "-t", str(t.pid), "-D", t.path(name), "-R",
                                 *t.options()], cwd=t.dir,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        time.sleep(after)
        proc.kill()
        status = proc.wait()
        try:
            t.undisturbed()
            if status != 0 and os.path.exists(t.path(name)):
                done, text = t.ckpt("verify", t.path(name), ok=False)
                if done == 0 and status < 0 and not os.path.exists(os.path.join(t.path(name), "manifest")):
                    raise Failure(f"a half image is believed:\n{text}")
        except Failure as e:
            raise Failure(f"E2E_SEED={seed} round {n}, killed after {after * 1e3:.3f} ms: {e}") from None
        shutil.rmtree(t.path(name), ignore_errors=True)
    status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path("last"), "-R", ok=False)
    # one that is stopped must not be let run to leave what the last killed dump has left in it
    if status != 0 and not ("of a dump that was killed in the midst" in text and t.stopped()):
        raise Failure(f"the last dump ({status_text(status)}):\n{text[-2000:]}")
    t.undisturbed()
    t.finish()


def mode_slow(t):
    """The tool is stopped at random instants, for longer than a victim waits for it: a dump is still good."""
    t.start()
    for n in range(3 * t.loops):
        proc = subprocess.Popen([CKPT, "dump", "-v", "-v", "-t", str(t.pid), "-D", t.path(f"S{n}"), "-R",
                                 *t.options()], cwd=t.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
        for _ in range(4):
            time.sleep(random.uniform(0.001, 0.01))
            if proc.poll() is None:
                proc.send_signal(signal.SIGSTOP)
                time.sleep(0.08)
                proc.send_signal(signal.SIGCONT)
        text = proc.communicate()[0]
        if proc.returncode != 0:
            raise Failure(f"dump {n}: {status_text(proc.returncode)}\n{text[-2000:]}")
        t.undisturbed()
        shutil.rmtree(t.path(f"S{n}"))
    t.die("A")
    t.ckpt("restore", "-D", t.path("A"), "-d")
    t.back()
    t.finish()


def mode_loop(t):
    """Dumped and restored again and again: nothing drifts, the last image is the first."""
    t.start()
    for n in range(t.loops):
        t.die(f"L{n}")
        t.ckpt("restore", "-D", t.path(f"L{n}"), "-d")
        t.back()
        t.undisturbed()
        if n > 0:
            shutil.rmtree(t.path(f"L{n - 1}"))
    t.finish()


def mode_refuse(t):
    """What is not saved is refused by name, before anything is touched."""
    t.start()
    status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path("A"), *t.options(), ok=False)
    if status == 0:
        raise Failure("the dump was not refused")
    for word in t.victim.refuse.split(", "):
        if word.lower() not in text.lower():
            raise Failure(f"the refusal does not name '{word}':\n{text[-2000:]}")
    if os.listdir(t.img):
        raise Failure(f"the refused dump left {os.listdir(t.img)} behind")
    t.undisturbed()
    t.finish()


MODES = {"plain": mode_plain, "goon": mode_goon, "again": mode_again, "restore": mode_restore,
         "pidns": mode_pidns, "exec": mode_exec,
         "late": mode_late, "fg": mode_fg, "cycle": mode_cycle, "faults": mode_faults, "kill": mode_kill,
         "slow": mode_slow, "loop": mode_loop, "refuse": mode_refuse}
