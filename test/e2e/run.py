#!/usr/bin/env python3
"""Drives the end-to-end victims of this folder through every way of being dumped and restored.

Each (victim, mode) runs in a forked worker that is a child subreaper with a directory of its own, so
whatever a test leaves behind becomes the worker's child: it is seen, and it is ended by its pid. A
failed test keeps its directory and prints the line that runs it again.  See victim.h for the contract.
"""
import argparse
import ctypes
import os
import shutil
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True

from modes import MODES  # noqa: E402
from trial import CKPT, FAIL, PASS, SKIP, Failure, Skip, Test, lacks, proc_children, status_text  # noqa: E402
from victims import BUILD, victim_build, victims_load  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36
LIVES = ("plain", "goon", "again")  # modes in which the victim is not ended
libc = ctypes.CDLL(None, use_errno=True)


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


def unmount(directory):
    """What a test has mounted, also one that was killed, or that has unmounted it in mounts of its own."""
    with open("/proc/self/mountinfo", errors="surrogateescape") as f:
        points = [line.split()[4] for line in f]
    for path in reversed(points):
        if path.startswith(os.path.abspath(directory) + "/"):
            libc.umount2(os.fsencode(path), 2)  # MNT_DETACH


def mount_devpts(directory):
    path = os.path.join(directory, "pts")
    os.mkdir(path)
    if libc.mount(b"devpts", path.encode(), b"devpts", 0, b"newinstance,ptmxmode=0666") < 0:
        raise Skip(f"mounting a devpts: {os.strerror(ctypes.get_errno())}")


def worker(victim, mode, directory, loops):
    """Runs in its own process; the result's text goes into the file `result`."""
    def stop(*_):
        raise Failure("stopped by the driver")
    subreaper()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    text, status = "", PASS
    try:
        missing = victim.needs and mode not in LIVES and lacks(victim.needs)
        if missing:
            raise Skip(missing)
        if victim.devpts:
            mount_devpts(directory)
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
    unmount(directory)
    with open(os.path.join(directory, "result"), "w") as f:
        f.write(text)
    return status


class Driver:
    def __init__(self, opts):
        self.opts, self.running, self.skips = opts, {}, []
        self.count = {PASS: 0, FAIL: 0, SKIP: 0}
        self.failed = []

    def spawn(self, victim, mode):
        if victim.needs:
            lacks(victim.needs)  # asked once, for all workers
        directory = os.path.join(self.opts.dir, f"{victim.name}.{mode}")
        unmount(directory)
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
            for m in v.modes(wanted, named=bool(opts.mode))]


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
