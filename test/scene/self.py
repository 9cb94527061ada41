"""Scenes of a program that checkpoints itself, through libckpt."""
import json
import os
import random
import signal
import subprocess
import time

from harness import CKPT, CONTRIB, HERE, INCLUDE, Failure, no_children, proc_state, wait_for
from service import Service
from victims import BUILD  # of test/e2e



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
        # it may have been killed while it made a session of ckpt, which is of its own session for a moment
        wait_for("a restore", 10, lambda: s.ckpt("restore", "-d", image, ok=False)[0] == 0)
        used += 1
    status = s.reap_in_time()
    if status != 0:
        s.verdict(status, "after its last restart")
    got = result(s)
    if got[0] != want[0] or not used:
        raise Failure(f"expected {want[0]}, got {got} after {used} kills")


# Checkpoints itself in a second thread too, which has to wait; is told before and after.
BINDING = """
import threading
sys.path.insert(0, %r)
import ckpt
told = []
ckpt.add_hooks(before=lambda: told.append("before"), after=lambda crid: told.append(crid),
               restarted=lambda r: told.append((r.crid, r.gone_ns > 0, r.host_changed, r.pid_changed)))
try:
    ckpt.checkpoint(dir="/proc/nowhere", command=%r)
    os._exit(3)
except OSError as e:
    check("/proc/nowhere" in str(e), True, f"the place in the error '{e}'")
check(told[0], "before", "what was told first")
check(told[1] < 0, True, "what was told after a failure")
del told[:]
try:
    ckpt.checkpoint(command="/nowhere/ckpt")
except FileNotFoundError:
    told.append("missing")
check(told[-1], "missing", "without a command")
del told[:]
held = threading.Event()
def hold():
    with ckpt.disabled():
        held.set()
        import time
        time.sleep(0.2)
        told.append("enabled")
t = threading.Thread(target=hold)
t.start()
held.wait()
try:
    ckpt.checkpoint(wait_ms=10, command=%r)
except TimeoutError:
    told.append("late")
crid = ckpt.checkpoint(dir="image", command=%r)
t.join()
if crid:
    check(told, ["late", "enabled", "before", crid], "what was told")
    with open("crid", "w") as f:
        f.write(str(crid))
    ready()
else:
    saved = int(open("crid").read())
    check(told, ["late", "enabled", "before", (saved, True, False, False)], "what was told after the restart")
"""


def scene_self_python(s):
    """The binding for Python: the call returns twice, hooks are told, sections are waited for."""
    os.environ["LIBCKPT"] = os.path.join(BUILD, "libckpt.so")
    s.begin(BINDING % (CONTRIB, CKPT, CKPT, CKPT))
    os.kill(s.pid, signal.SIGRTMAX - 1)
    status = s.reap_in_time()
    if status != 0:
        s.verdict(status, "after its checkpoint")
    wait_for("the sessions that it had begun", 10, no_children)
    s.restore()
    status = s.reap_in_time()
    if status != 0:
        s.verdict(status, "after its restart")


ITSELF = """
sys.path.insert(0, %r)
import ckpt
me = os.getpid()
ready()
crid = ckpt.checkpoint(dir=os.path.abspath("own"), socket=%r)
check(os.getpid(), me, "the pid")
if crid:
    with open("crid", "w") as f:
        f.write(str(crid))
os._exit(7 if crid else 8)
"""


def scene_self_pidns(s):
    """In a pid namespace of its own a program knows no number of itself that a service outside does; it is found."""
    os.environ["LIBCKPT"] = os.path.join(BUILD, "libckpt.so")
    with Service(s) as service:
        s.begin(ITSELF % (CONTRIB, service.path))
        s.save()
        for image, want in ((s.image, 7), (s.file("own"), 8)):
            result = json.loads(s.ckpt("restore", "-D", image, "-d", "--pidns", "--json"))
            if image == s.image:
                os.kill(result["pid"], signal.SIGRTMAX - 1)
            s.pid = result["pid"]
            status = s.reap_in_time()
            if status != want:
                s.verdict(status, f"with {image}")
        with open(s.file("crid"), encoding="ascii") as f:
            if json.loads(s.ckpt("show", "--json", s.file("own")))["manifest"]["crid"] != int(f.read()):
                raise Failure("it was told another crid than that of the image")
