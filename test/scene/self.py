"""Scenes of a program that checkpoints itself, through libckpt."""
import os
import random
import signal
import subprocess
import time

from harness import CKPT, HERE, Failure, proc_state, wait_for
from victims import BUILD  # of test/e2e

INCLUDE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "include")


def built(s):
    out = s.file("self")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Wall", "-pthread", "-I", INCLUDE,
                    os.path.join(HERE, "self.c"), "-o", out, "-L", BUILD, "-l:libckpt.so",
                    f"-Wl,-rpath,{BUILD}"], check=True)
    return out


def start(s, units, interval):
    with open(s.file("result"), "ab") as result, open(s.file("out"), "ab") as err:
        proc = subprocess.Popen([s.file("self"), s.dir, CKPT, str(units), str(interval)], stdin=subprocess.DEVNULL,
                                stdout=result, stderr=err, start_new_session=True)
    proc.returncode = 0
    s.pid = proc.pid


def result(s):
    with open(s.file("result"), encoding="ascii") as f:
        return f.read().split()


def newest(s):
    try:
        with open(s.file("newest"), encoding="ascii") as f:
            return f.read().split()
    except FileNotFoundError:
        return None


def ended(s):
    return proc_state(s.pid) in (None, "Z")


def scene_self_killed(s):
    """A program that checkpoints itself is killed at random, restarted from its newest checkpoint, and ends right.

    CKPT_SELF=UNITS,INTERVAL_MS,KILLS for more than the usual 60000, 50 and 5."""
    units, interval, kills = map(int, os.environ.get("CKPT_SELF", "60000,50,5").split(","))
    rng = random.Random(int(os.environ.get("CKPT_SEED", "1")))
    built(s)
    start(s, units, 100000000)
    s.deadline += kills * (5 + interval / 500)
    status = s.reap_in_time()
    if status != 0:
        s.verdict(status, "undisturbed")
    want = result(s)
    os.truncate(s.file("result"), 0)
    start(s, units, interval)
    used = 0
    for _ in range(kills):
        first = newest(s)
        wait_for("a checkpoint", 60, lambda: newest(s) not in (None, first) or ended(s))
        time.sleep(rng.random() * interval / 1000)
        if ended(s):
            break
        os.kill(s.pid, signal.SIGKILL)
        s.reap_in_time()
        image, _ = newest(s)
        s.ckpt("verify", image)
        s.ckpt("restore", "-d", image)
        used += 1
    status = s.reap_in_time()
    if status != 0:
        s.verdict(status, "after its last restart")
    got = result(s)
    if got[0] != want[0] or not used:
        raise Failure(f"expected {want[0]}, got {got} after {used} kills")
