#!/usr/bin/env python3
"""Drives the end-to-end victims of this folder through every way of being dumped and restored.

Each (victim, mode) runs in a forked worker that is a child subreaper with a directory of its own, so
whatever a test leaves behind becomes the worker's child: it is seen, and it is ended by its pid. A
failed test keeps its directory and prints the line that runs it again.  See victim.h for the contract.
"""
import argparse
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("E2E_BUILD", os.path.join(ROOT, "build"))
BIN = os.path.join(BUILD, "e2e")
CKPT = os.environ.get("CKPT", os.path.join(BUILD, "ckpt"))
GO = signal.SIGRTMAX - 1
PR_SET_CHILD_SUBREAPER = 36
PASS, FAIL, SKIP = 0, 1, 77
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A test did not do what it should; its text is the reason."""


class Skip(Exception):
    """A test cannot run here; its text is the reason."""


# --- victims and their markers ---------------------------------------------------------------------

class Victim:
    """One program with one argument; its name is `base` or `base-arg`."""

    def __init__(self, base, source, arg, text):
        self.base, self.source, self.arg = base, source, arg
        self.name = base if arg is None else f"{base}-{arg}"
        self.settle, self.timeout = 0.05, 60.0
        self.cflags, self.session, self.stopped, self.refuse, self.no = [], True, False, None, {}
        for key, args, value in re.findall(
                r"e2e: (\w[\w ,]*?)(?: for ([\w,+-]+))?: *([^\n*]*?) *(?:\*/|\n)", text):
            if args and arg not in args.split(","):
                continue
            self.marker(key, value)

    def marker(self, key, value):
        if key.startswith("no "):
            for mode in re.split(r"[, ]+", key[3:]):
                self.no[mode] = value
        elif key in ("settle", "timeout"):
            setattr(self, key, float(value))
        elif key == "cflags":
            self.cflags = value.split()
        elif key == "session":
            self.session = value != "inherit"
        elif key == "stopped":
            self.stopped = True
        elif key == "refuse":
            self.refuse = value
        elif key != "args":
            sys.exit(f"{self.source}: unknown marker '{key}'")

    def binary(self):
        return os.path.join(BIN, self.base)

    def modes(self, wanted):
        """The modes of `wanted` that this victim is for: a refused one only runs plain and refuse."""
        mine = ["plain", "refuse"] if self.refuse else [m for m in MODES if m != "refuse"]
        return [m for m in wanted if m in mine]


def victims_load():
    found = []
    for file in sorted(os.listdir(HERE)):
        if not file.endswith(".c"):
            continue
        source = os.path.join(HERE, file)
        with open(source) as f:
            text = f.read()
        args = re.search(r"e2e: args: *([^*\n]*)", text)
        for arg in args.group(1).split() if args else [None]:
            found.append(Victim(file[:-2], source, arg, text))
    return found


def victim_build(victim):
    """Compiles the program if its source, or a header beside it, is newer."""
    headers = [os.path.join(HERE, f) for f in os.listdir(HERE) if f.endswith(".h")]
    newest = max(os.path.getmtime(f) for f in [victim.source] + headers)
    out = victim.binary()
    if os.path.exists(out) and os.path.getmtime(out) > newest:
        return None
    os.makedirs(BIN, exist_ok=True)
    cmd = [os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-pthread", "-I", HERE,
           victim.source, "-o", out + ".new"] + victim.cflags
    done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        return done.stdout
    sys.stderr.write(done.stdout)
    os.rename(out + ".new", out)
    return None


# --- small looks into /proc ------------------------------------------------------------------------

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


# --- one test --------------------------------------------------------------------------------------

class Test:
    """One victim in one mode, inside its worker."""

    def __init__(self, victim, mode, directory, loops):
        self.victim, self.mode, self.dir, self.loops = victim, mode, directory, loops
        self.img = os.path.join(directory, "img")
        self.deadline = time.monotonic() + victim.timeout
        self.pid, self.dead, self.gone_at = 0, 0.0, None

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

    def dump(self, name, *more):
        return self.ckpt("dump", "-t", str(self.pid), "-D", self.path(name), *more)

    def die(self, name):
        """A dump that ends the victim, up to its death."""
        at = time.monotonic()
        self.dump(name)
        status = self.reap_in_time()
        if status != -signal.SIGKILL:
            self.verdict(status, "by itself, not by the dump's SIGKILL")
        self.gone_at = at

    def back(self):
        """The victim runs again: what it has missed."""
        self.dead += time.monotonic() - self.gone_at
        self.gone_at = None

    def undisturbed(self):
        """The victim is there, runs (or is stopped, as it was), and nobody traces it."""
        status = self.reap(os.WNOHANG)
        if status is not None:
            self.verdict(status, "during the operation on it")
        if proc_tracer(self.pid):
            raise Failure(f"pid {self.pid} is still traced by {proc_tracer(self.pid)}")
        state = proc_state(self.pid)
        if (state == "T") != self.victim.stopped or state == "t":
            raise Failure(f"pid {self.pid} is in the state {state}")

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

    def nothing_left(self):
        """After a failed restore: no child of ours may be there for longer than its reaping takes."""
        end = time.monotonic() + 1
        while proc_children():
            for pid in proc_children():
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            if time.monotonic() > end:
                alive = ", ".join(f"{p} ({proc_state(p)})" for p in proc_children())
                raise Failure(f"processes left behind: {alive}")
            time.sleep(0.005)


def mode_plain(t):
    t.start()
    t.finish()


def mode_goon(t):
    t.start()
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


def mode_fg(t):
    """The foreground restore exits as the victim exits."""
    t.start()
    t.die("A")
    pidfile = os.path.join(t.dir, "pidfile")
    with open(os.path.join(t.dir, "log"), "a") as log:
        log.write("$ ckpt restore --pidfile (in the foreground)\n")
        log.flush()
        proc = subprocess.Popen([CKPT, "restore", "-D", t.path("A"), "--pidfile", pidfile], cwd=t.dir,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def running():
        if proc.poll() is not None:
            raise Failure(f"ckpt restore ended too early: {status_text(proc.returncode)}; see log")
        return os.path.exists(pidfile) and os.path.getsize(pidfile) > 0
    wait_for("pidfile", t.left(), running)
    with open(pidfile) as f:
        pid = int(f.read())
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


def mode_cycle(t):
    """What is restored is what was dumped: a second dump shows no difference."""
    t.start()
    t.die("A")
    t.ckpt("restore", "-D", t.path("A"), "-d", "--frozen")
    t.dump("B", "-R")
    status, text = t.ckpt("diff", t.path("A"), t.path("B"), ok=False)
    os.kill(t.pid, signal.SIGCONT)
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
        at = time.monotonic()
        status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path(name), fault=fault, ok=False)
        if status != 0:
            reached += 1
            try:
                t.undisturbed()
            except Failure as e:
                raise Failure(f"dump with fault '{fault}': {e}\n{text[-1000:]}") from None
            if os.listdir(t.img):
                raise Failure(f"dump with fault '{fault}' left {os.listdir(t.img)} behind")
            continue
        if t.reap_in_time() != -signal.SIGKILL:
            raise Failure(f"dump with fault '{fault}': the victim ended by itself")
        t.gone_at = at
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
    status, text = t.ckpt("dump", "-t", str(t.pid), "-D", t.path("A"), ok=False)
    if status == 0:
        raise Failure("the dump was not refused")
    if t.victim.refuse.lower() not in text.lower():
        raise Failure(f"the refusal does not name '{t.victim.refuse}':\n{text[-2000:]}")
    if os.listdir(t.img):
        raise Failure(f"the refused dump left {os.listdir(t.img)} behind")
    t.undisturbed()
    t.finish()


MODES = {"plain": mode_plain, "goon": mode_goon, "again": mode_again, "restore": mode_restore,
         "fg": mode_fg, "cycle": mode_cycle, "faults": mode_faults, "loop": mode_loop, "refuse": mode_refuse}


# --- workers ---------------------------------------------------------------------------------------

def end_children():
    """Ends what is left of a test: its own children, by pid, until there is none."""
    for _ in range(200):
        children = proc_children()
        if not children:
            return
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.005)
        for pid in children:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def subreaper():
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def worker(victim, mode, directory, loops):
    """Runs in its own process; the result's text goes into the file `result`."""
    def stop(*_):
        raise Failure("stopped by the driver")
    subreaper()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    text, status = "", PASS
    try:
        MODES[mode](Test(victim, mode, directory, loops))
    except Skip as e:
        text, status = str(e), SKIP
    except Failure as e:
        text, status = str(e), FAIL
    except BaseException:
        text, status = traceback.format_exc(), FAIL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_children()
    with open(os.path.join(directory, "result"), "w") as f:
        f.write(text)
    return status


class Driver:
    def __init__(self, opts):
        self.opts, self.running, self.skips = opts, {}, []
        self.count = {PASS: 0, FAIL: 0, SKIP: 0}
        self.failed = []

    def spawn(self, victim, mode):
        directory = os.path.join(self.opts.dir, f"{victim.name}.{mode}")
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            status = FAIL
            try:
                status = worker(victim, mode, directory, 200 if self.opts.soak else 5)
            finally:
                os._exit(status)
        self.running[pid] = (victim, mode, directory, time.monotonic())

    def collect(self):
        """Waits for one worker, and reports it; a worker that overruns its time by far is ended."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in self.running:
                break
            now = time.monotonic()
            for p, (victim, _, _, since) in self.running.items():
                if now - since > victim.timeout + 20:
                    os.kill(p, signal.SIGKILL)
                elif now - since > victim.timeout + 10:
                    os.kill(p, signal.SIGTERM)
            if not pid:
                time.sleep(0.01)
        victim, mode, directory, since = self.running.pop(pid)
        self.report(victim, mode, directory, os.waitstatus_to_exitcode(status), time.monotonic() - since)

    def report(self, victim, mode, directory, status, seconds):
        try:
            with open(os.path.join(directory, "result")) as f:
                text = f.read().strip()
        except OSError:
            text = f"the worker ended: {status_text(status)}"
        status = status if status in (PASS, SKIP) else FAIL
        self.count[status] += 1
        word = {PASS: "ok", FAIL: "FAILED", SKIP: "skipped"}[status]
        tail = f": {text}" if status == SKIP else f" ({seconds:.1f} s)"
        print(f"{word:8}{victim.name} {mode}{tail}", flush=True)
        if status == FAIL:
            self.failed.append(f"{victim.name} {mode}")
            print("    " + text.replace("\n", "\n    "))
            with open(os.path.join(directory, "out"), "a+", errors="replace") as f:
                f.seek(0)
                for line in f.readlines()[-20:]:
                    print("    | " + line.rstrip())
            print(f"    kept: {directory}")
            print(f"    again: {os.path.relpath(__file__)} --mode {mode} {victim.name}", flush=True)
            return
        if status == SKIP:
            self.skips.append(f"{victim.name} {mode}: {text}")
        if not self.opts.keep:
            shutil.rmtree(directory, ignore_errors=True)

    def run(self, tests):
        subreaper()
        todo = list(reversed(tests))
        try:
            while todo or self.running:
                while todo and len(self.running) < self.opts.jobs:
                    self.spawn(*todo.pop())
                self.collect()
        except KeyboardInterrupt:
            for pid in self.running:
                os.kill(pid, signal.SIGTERM)
            while self.running:
                self.collect()
        finally:
            end_children()
        for text, n in sorted({s: self.skips.count(s) for s in self.skips}.items()):
            print(f"skipped: {text}")
        for name in self.failed:
            print(f"failed: {name}")
        print(f"{self.count[PASS]} passed, {self.count[FAIL]} failed, {self.count[SKIP]} skipped")
        return 1 if self.count[FAIL] else 0


def select(opts):
    everything = victims_load()
    names = [n for n in opts.names]
    unknown = [n for n in names if not any(n in (v.name, v.base) for v in everything)]
    if unknown:
        sys.exit(f"no such victim: {', '.join(unknown)}")
    wanted = opts.mode.split(",") if opts.mode else ["loop"] if opts.soak else list(MODES)
    for m in wanted:
        if m not in MODES:
            sys.exit(f"no such mode: {m}; there are: {' '.join(MODES)}")
    return [(v, m) for v in everything if not names or v.name in names or v.base in names
            for m in v.modes(wanted)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="victims, with or without an argument: threads, threads-8")
    p.add_argument("--mode", help=f"some of: {','.join(MODES)}")
    p.add_argument("--list", action="store_true", help="show victims and modes, run nothing")
    p.add_argument("-j", "--jobs", type=int, default=1, help="tests at the same time (1)")
    p.add_argument("--soak", action="store_true", help="the long loops: 200 rounds where there are 5")
    p.add_argument("--keep", action="store_true", help="keep the directories of passed tests too")
    p.add_argument("--dir", default=os.path.join(BUILD, "e2e-run"), help="where the tests run")
    opts = p.parse_args()
    opts.dir = os.path.abspath(opts.dir)
    tests = select(opts)
    if opts.list:
        for v, m in tests:
            print(v.name, m, f"(not: {v.no[m]})" if m in v.no else "")
        return 0
    if any(m != "plain" for _, m in tests) and not os.access(CKPT, os.X_OK):
        sys.exit(f"{CKPT} is not there: build it first, or set CKPT, or run --mode plain")
    if opts.soak:
        for victim in {id(v): v for v, _ in tests}.values():
            victim.timeout *= 20
    for victim in {v.base: v for v, _ in tests}.values():
        error = victim_build(victim)
        if error:
            sys.exit(f"{victim.source} does not compile:\n{error}")
    driver = Driver(opts)
    for v, m in tests:
        if m in v.no:
            driver.count[SKIP] += 1
            driver.skips.append(f"{v.name} {m}: {v.no[m]}")
    return driver.run([(v, m) for v, m in tests if m not in v.no])


if __name__ == "__main__":
    sys.exit(main())
