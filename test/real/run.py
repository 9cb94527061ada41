#!/usr/bin/env python3
"""Dumps and restores real programs many times in a row: run.py [--rounds N] [NAME...]

A program is one file of this folder, with markers in its first lines:
  real: build: COMMAND    run once before; {source} and {build} (a directory) are replaced
  real: run: COMMAND      the program itself; its directory is its own, stdout a plain file
  real: threads: fixed    it has the same threads all the time, so the ids are compared
  real: needs: COMMAND... other programs that it starts; without one of them it is skipped
  real: steps: N          that it makes between two dumps (25), for programs whose steps are long
It prints a line "ROW WORKER STEP X" for every step: rows count over all workers, steps within one,
and X(ROW) = (X(ROW-1) * 6364136223846793005 + 1442695040888963407 + ROW) mod 2^64, in 16 hex digits.
When the file `stop` appears, it checks everything that it holds, prints "end ROWS X", and exits with 0.

A program may be the root of a tree. Dumps come at random moments (--seed makes them the same again);
when one kills, all that the root has started is waited for as well, since the pids are needed again.

What a program holds that ckpt does not save yet is a skip, with the reason that ckpt gives.
"""
import argparse
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
from trial import CKPT, Failure, Skip, proc_state, status_text, wait_for  # noqa: E402
from run import end_children, subreaper  # noqa: E402
from victims import BUILD  # noqa: E402

MASK = (1 << 64) - 1
REFUSED = 3  # ckpt's exit status: the target holds something that cannot be saved
STEPS = 25  # that a program has to make between two dumps, where it does not say another number
PAUSE_S = 0.3  # a dump comes at a random moment of this time after the last step
VMA_DRIFT = 64  # mappings that a program may have more at the end than after its start


class Program:
    """One program of this folder."""

    def __init__(self, source):
        self.source = os.path.join(HERE, source)
        self.name = source.rsplit(".", 1)[0]
        with open(self.source, encoding="utf-8") as f:
            head = f.read(2000)
        self.markers = dict(re.findall(r"real: (\w+): *(.*)", head))
        self.build = os.path.join(BUILD, "real")
        self.steps = int(self.markers.get("steps", STEPS))

    def command(self, marker):
        text = self.markers[marker].replace("{source}", self.source).replace("{build}", self.build)
        words = shlex.split(text)
        path = os.environ["PATH"] + ":" + os.path.expanduser("~/.cargo/bin")
        found = shutil.which(words[0], path=path)
        if not found:
            raise Skip(f"{words[0]} is not installed")
        return [os.path.realpath(found) if marker == "run" else found] + words[1:]

    def prepare(self):
        for needed in self.markers.get("needs", "").split():
            if not shutil.which(needed):
                raise Skip(f"{needed} is not installed")
        os.makedirs(self.build, exist_ok=True)
        if "build" not in self.markers:
            return
        done = subprocess.run(self.command("build"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{self.markers['build']}: {status_text(done.returncode)}\n{done.stdout}")


def interpreter(words):
    """A wrapper such as pyenv's is not the program that is wanted: ask python where it really is."""
    if os.path.basename(words[0]).startswith("python") or "pyenv" in words[0]:
        return [sys.executable] + words[1:]
    return words


def no_children():
    """Reaps what became ours when its parent died; true when there is nobody left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


class Run:
    """One program through its rounds."""

    def __init__(self, program, opts, directory):
        self.program, self.rounds, self.goon, self.dir = program, opts.rounds, opts.goon, directory
        self.out = os.path.join(directory, "out")
        self.img = os.path.join(directory, "img")
        self.pid = 0
        self.times = []
        self.refusals = []  # what was said of dumps that were then tried again
        self.random = random.Random(opts.seed)

    def start(self):
        words = interpreter(self.program.command("run"))
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": self.dir}
        with open(self.out, "wb") as out:
            proc = subprocess.Popen(words, cwd=self.dir, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=out, start_new_session=True)
        proc.returncode = 0  # this file waits for it by pid, Popen must not
        self.pid = proc.pid
        self.wait_lines(self.program.steps)

    def lines(self):
        with open(self.out, "rb") as f:
            return f.read().count(b"\n")

    def reap(self, flags=0):
        pid, status = os.waitpid(self.pid, flags)
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait_lines(self, want):
        def look():
            status = self.reap(os.WNOHANG)
            if status is not None:
                raise Failure(f"the program ended by itself: {status_text(status)}")
            return self.lines() >= want
        wait_for(f"{want} lines of output", 60, look)

    def ckpt(self, *args):
        at = time.monotonic()
        with open(os.path.join(self.dir, "log"), "w+", encoding="utf-8", errors="replace") as log:
            done = subprocess.run([CKPT, *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  timeout=120, check=False)
            log.seek(0)
            return done.returncode, log.read().strip(), time.monotonic() - at

    def threads(self):
        if self.program.markers.get("threads") != "fixed":
            return None
        return sorted(int(tid) for tid in os.listdir(f"/proc/{self.pid}/task"))

    def files(self):
        where = f"/proc/{self.pid}/fd"
        found = {}
        for fd in os.listdir(where):
            try:
                found[fd] = os.readlink(f"{where}/{fd}")
            except FileNotFoundError:
                pass  # it runs, and has closed it meanwhile
        return found

    def vmas(self):
        with open(f"/proc/{self.pid}/maps", "rb") as f:
            return f.read().count(b"\n")

    def dump(self, *more):
        """A state that is only there at times, such as a lock held for a moment, is tried again."""
        time.sleep(self.random.random() * PAUSE_S)
        for _ in range(50):
            status, text, seconds = self.ckpt("dump", "-t", str(self.pid), "-D", self.img, *more)
            if status != REFUSED:
                break
            self.refusals.append(text)
            time.sleep(0.013)
        if status == REFUSED:
            raise Skip(text.splitlines()[-1] if text else "refused without a reason")
        if status != 0:
            raise Failure(f"dump: {status_text(status)}\n{text}")
        return seconds

    def look(self):
        """A dump that lets the program go on."""
        stood = self.lines()
        self.dump("-R")
        self.wait_lines(stood + self.program.steps)
        shutil.rmtree(self.img)

    def die(self):
        seconds = self.dump()
        status = wait_for("the program's death after the dump", 20, lambda: self.reap(os.WNOHANG))
        if status != -signal.SIGKILL:
            raise Failure(f"the program ended by itself: {status_text(status)}")
        wait_for("the death of the whole tree", 20, no_children)
        return seconds

    def round(self):
        threads = self.threads()
        dump_s = self.die()
        stood = self.lines()
        status, text, restore_s = self.ckpt("restore", "-D", self.img, "-d")
        if status != 0:
            raise Failure(f"restore: {status_text(status)}\n{text}")
        if self.threads() != threads:
            raise Failure(f"the threads differ: {threads} before, {self.threads()} now")
        self.wait_lines(stood + self.program.steps)
        shutil.rmtree(self.img)
        self.times.append((dump_s, restore_s))

    def finish(self):
        with open(os.path.join(self.dir, "stop"), "w", encoding="ascii"):
            pass
        # 0 is a result as well, so it is wrapped
        status = wait_for("the program's end", 60, lambda: [s for s in [self.reap(os.WNOHANG)] if s is not None])[0]
        if status != 0:
            raise Failure(f"the program ended with {status_text(status)}")
        wait_for("the end of all that it has started", 20, no_children)
        self.check_output()

    def check_output(self):
        """Derives every line again; whatever was lost, doubled or damaged does not fit."""
        x, steps, row, ended = 0, {}, 0, False
        with open(self.out, encoding="utf-8", errors="replace") as f:
            for number, line in enumerate(f, 1):
                words = line.split()
                if ended:
                    raise Failure(f"line {number} stands after the end: {line!r}")
                if words[:1] == ["end"]:
                    if words[1:] != [str(row), f"{x:016x}"]:
                        raise Failure(f"the end: expected {row} {x:016x}, got {words[1:]}")
                    ended = True
                    continue
                worker = words[1] if len(words) == 4 else "?"
                x = (x * 6364136223846793005 + 1442695040888963407 + row) & MASK
                expected = [str(row), worker, str(steps.get(worker, 0)), f"{x:016x}"]
                if words != expected:
                    raise Failure(f"line {number}: expected {expected}, got {line!r}")
                steps[worker] = steps.get(worker, 0) + 1
                row += 1
        if not ended:
            raise Failure("the program's last line is missing")

    def whole(self):
        self.start()
        refused = None
        files, vmas = self.files(), self.vmas()
        for n in range(self.rounds):
            try:
                self.look()
                if not self.goon:
                    self.round()
            except Failure as e:
                raise Failure(f"round {n + 1}: {e}") from None
            except Skip as e:
                refused = str(e)
                break
        if refused is None and self.rounds and self.program.markers.get("threads") == "fixed":
            drifted = {fd: (files.get(fd), self.files().get(fd)) for fd in {**files, **self.files()}
                       if files.get(fd) != self.files().get(fd)}
            if drifted and self.program.name != "python_sqlite":
                raise Failure(f"the open files have drifted: {drifted}")
            if self.vmas() > vmas + VMA_DRIFT:
                raise Failure(f"the mappings have drifted: {vmas} before, {self.vmas()} now")
        self.finish()  # a refused program has to go on unharmed, too
        if refused is not None:
            raise Skip(f"refused by ckpt: {refused}")


def middle(values):
    return sorted(values)[len(values) // 2]


def run_one(program, opts):
    """Prints one line; returns 'passed', 'failed' or 'skipped'."""
    directory = os.path.join(opts.dir, program.name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    run, word, text = Run(program, opts, directory), "passed", ""
    try:
        program.prepare()
        run.whole()
    except Skip as e:
        word, text = "skipped", str(e)
    except Failure as e:
        word, text = "failed", str(e)
    except Exception:
        word, text = "failed", traceback.format_exc()
    finally:
        end_children()
    if word == "passed":
        lines = run.lines()
        took = ""
        if run.times:
            took = (f", dump {middle([t[0] for t in run.times]) * 1000:.0f} ms,"
                    f" restore {middle([t[1] for t in run.times]) * 1000:.0f} ms")
        if run.refusals:
            took += f", {len(run.refusals)} dumps refused and tried again: {run.refusals[0]}"
        print(f"ok      {program.name} ({opts.rounds} rounds, {lines} lines{took})", flush=True)
    elif word == "skipped":
        print(f"skipped {program.name}: {text}", flush=True)
    else:
        print(f"FAILED  {program.name}: {text}", flush=True)
        with open(run.out, "a+", encoding="utf-8", errors="replace") as f:
            f.seek(0)
            for line in f.readlines()[-10:]:
                print("    | " + line.rstrip())
        print(f"    state: {proc_state(run.pid) if run.pid else 'never started'}; kept: {directory}")
        print(f"    again: {os.path.relpath(__file__)} --rounds {opts.rounds} --seed {opts.seed} {program.name}", flush=True)
    if word != "failed":
        shutil.rmtree(directory, ignore_errors=True)
    return word


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="programs, as their files are called (all)")
    p.add_argument("--rounds", type=int, default=5, help="dumps and restores in a row; 0: undisturbed (5)")
    p.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the moments of dumps")
    p.add_argument("--goon", action="store_true", help="only dumps that let the program go on")
    p.add_argument("--dir", default=os.path.join(BUILD, "real-run"), help="where the programs run")
    opts = p.parse_args()
    opts.dir = os.path.abspath(opts.dir)
    programs = [Program(f) for f in sorted(os.listdir(HERE)) if f != "run.py" and not f.startswith("_")]
    unknown = set(opts.names) - {program.name for program in programs}
    if unknown:
        sys.exit(f"no such program: {', '.join(sorted(unknown))}")
    if opts.rounds and not os.access(CKPT, os.X_OK):
        sys.exit(f"{CKPT} is not there: build it first, or set CKPT, or run with --rounds 0")
    subreaper()
    words = [run_one(program, opts) for program in programs if not opts.names or program.name in opts.names]
    print(f"{words.count('passed')} passed, {words.count('failed')} failed, {words.count('skipped')} skipped")
    return 1 if "failed" in words else 0


if __name__ == "__main__":
    sys.exit(main())
