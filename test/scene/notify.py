"""Scenes of programs that are told of checkpoints from outside: by libckpt's functions, and by signals."""
import json
import os
import signal
import subprocess
import sys
import time

from harness import CKPT, CONTRIB, HERE, INCLUDE, PRELUDE, Failure, no_children, proc_state, wait_for
from service import CANCELLED, OPERATION, Service, fails as fails_as
from victims import BUILD  # of test/e2e

TARGET = 4  # ckpt's exit status
ECANCELED, ERESTART = 125, 85

# A program that is told by signals: what it hears goes to the file `told`, one line each.
HEAR = """
import time
CKPT, THAW = signal.SIGRTMAX - 2, signal.SIGRTMAX - 1
signal.pthread_sigmask(signal.SIG_UNBLOCK, [GO])  # the same as THAW
told = os.open("told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def say(*words):
    os.write(told, (" ".join(map(str, words)) + chr(10)).encode())
def ready():
    say("ready", os.getpid())
    with open("ready", "w"):
        pass
"""

WAITING = HEAR + """
asked = 0
signal.pthread_sigmask(signal.SIG_BLOCK, [CKPT, THAW])
ready()
while True:
    si = signal.sigwaitinfo([CKPT, THAW])
    say({CKPT: "CKPT", THAW: "THAW"}[si.si_signo], si.si_errno)
    if si.si_signo == THAW:
        signal.signal(CKPT, signal.SIG_DFL)
        continue
    asked += 1
    if asked > NOT_NOW:
        signal.signal(CKPT, signal.SIG_IGN)
"""

HANDLING = HEAR + """
def on_ckpt(*_):
    say("CKPT")
    signal.signal(CKPT, signal.SIG_IGN)
def on_thaw(*_):
    say("THAW")
    signal.signal(CKPT, on_ckpt)
signal.signal(THAW, on_thaw)
signal.signal(CKPT, on_ckpt)
ready()
while True:
    time.sleep(0.05)  # a handler waits for the interpreter
"""

SHELL = """#!/bin/bash
trap_ckpt() { echo CKPT >>told; trap "" RTMAX-2; }
trap 'trap_ckpt' RTMAX-2
trap 'echo THAW >>told; trap trap_ckpt RTMAX-2' RTMAX-1
touch ready
while :; do sleep 1000 & wait $!; done
"""


def lines(s, name="told"):
    try:
        with open(s.file(name), encoding="ascii") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def expect(s, *want, name="told"):
    """These lines, and no others, in this order; they may take a moment."""
    try:
        wait_for("what was told", 10, lambda: lines(s, name) == list(want))
    except Failure:
        raise Failure(f"expected {list(want)}, got {lines(s, name)}") from None


def listen(s, not_now=0, section_ms=0):
    """A program of libckpt, ready."""
    out = s.file("notify")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Wall", "-pthread", "-I", INCLUDE,
                    os.path.join(HERE, "notify.c"), "-o", out, "-L", BUILD, "-l:libckpt.so",
                    f"-Wl,-rpath,{BUILD}"], check=True)
    with open(s.file("out"), "ab") as err:
        proc = subprocess.Popen([out, s.file("told"), str(not_now), str(section_ms)], stdin=subprocess.DEVNULL,
                                stdout=err, stderr=err, start_new_session=True)
    proc.returncode = 0
    s.pid = proc.pid
    wait_for("ready", 20, lambda: lines(s) == ["ready"])


def dump(s, *more, **how):
    return s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "--force", *more, **how)


def crid_of(s):
    return json.loads(s.ckpt("show", "--json", s.image))["manifest"]["crid"]


def fails(s, status, *words, more=(), fault=None):
    got, text = dump(s, *more, fault=fault, ok=False)
    if got != status:
        raise Failure(f"dump: expected exit status {status}, got {got}\n{text}")
    s.words(text, *words)


def end(s):
    os.kill(s.pid, signal.SIGKILL)
    s.reap_in_time()


def runs(s):
    if proc_state(s.pid) not in ("S", "R"):
        raise Failure(f"the program is in state {proc_state(s.pid)}")


def scene_notify_libckpt(s):
    """A program of libckpt is told by its functions, without any option: before, after, after a restart."""
    listen(s)
    dump(s, "-R")
    first = crid_of(s)
    expect(s, "ready", "before", f"after {first}")
    dump(s)
    s.reap_in_time()
    second = crid_of(s)
    s.restore()
    expect(s, "ready", "before", f"after {first}", "before", f"restarted {second} 1 0000")
    dump(s, "-R")
    expect(s, "ready", "before", f"after {first}", "before", f"restarted {second} 1 0000", "before",
           f"after {crid_of(s)}")
    dump(s, "-R", "--notify=none")
    end(s)
    if len(lines(s)) != 7:
        raise Failure(f"it was told all the same: {lines(s)}")


def scene_notify_libckpt_exec(s):
    """A program that has become another process, by `restore --exec`, is told that its pid has changed."""
    listen(s)
    dump(s)
    s.reap_in_time()
    with open(s.file("out"), "ab") as out:
        proc = subprocess.Popen([CKPT, "restore", "--exec", s.image], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                start_new_session=True)
    proc.returncode = 0
    s.pid = proc.pid
    told = ["ready", "before", f"restarted {crid_of(s)} 1 0010"]
    expect(s, *told)
    dump(s, "-R")
    expect(s, *told, "before", f"after {crid_of(s)}")
    end(s)


def scene_notify_libckpt_not_now(s):
    """A function says "not now" and is asked again; one that never agrees makes the dump fail, and is named."""
    listen(s, not_now=2)
    dump(s, "-R")
    expect(s, "ready", "not now", "not now", "before", f"after {crid_of(s)}")
    end(s)
    os.unlink(s.file("told"))
    listen(s, not_now=1000000)
    fails(s, TARGET, f"pid {s.pid} (notify)", "not ready", "Resource temporarily unavailable", "--notify-wait",
          more=("--notify-wait", "300"))
    runs(s)
    s.words(dump(s, "--notify=tell", "--notify-wait", "100"), "is not ready")
    s.reap_in_time()


def scene_notify_libckpt_section(s):
    """A section without a checkpoint holds a dump off, with a time limit."""
    listen(s, section_ms=400)
    fails(s, TARGET, "ckpt_disable", more=("--notify-wait", "100"))
    runs(s)
    dump(s, "-R")
    expect(s, "ready", "enabled", "before", f"after {crid_of(s)}")
    end(s)


def scene_notify_libckpt_failed(s):
    """After a dump that fails, and one whose ckpt is killed, functions are told so."""
    listen(s)
    fails(s, 9, "dump.commit", fault="dump.commit")
    expect(s, "ready", "before", f"after -{ECANCELED}")
    dump(s, fault="dump.pages:kill", ok=False)
    expect(s, "ready", "before", f"after -{ECANCELED}", "before", f"after -{ECANCELED}")
    dump(s, "-R")
    expect(s, "ready", *["before", f"after -{ECANCELED}"] * 2, "before", f"after {crid_of(s)}")
    end(s)


def scene_notify_waiting(s):
    """By sigwaitinfo: told before and after, after a restart, after a failure, after the death of ckpt."""
    s.begin("NOT_NOW = 0" + WAITING)
    told = [f"ready {s.pid}"]
    dump(s, "-R", "--notify")
    told += ["CKPT 0", "THAW 0"]
    expect(s, *told)
    for fault in ("dump.commit", "dump.pages:kill"):
        dump(s, "--notify", fault=fault, ok=False)
        told += ["CKPT 0", f"THAW {ECANCELED}"]
        expect(s, *told)
    dump(s, "-R")
    expect(s, *told)
    dump(s, "--notify")
    s.reap_in_time()
    wait_for("the end of its children", 10, no_children)
    s.restore()
    told += ["CKPT 0", f"THAW {ERESTART}"]
    expect(s, *told)
    dump(s)
    s.reap_in_time()
    s.restore("--notify")
    told += [f"THAW {ERESTART}"]
    expect(s, *told)
    dump(s, "-s", "--notify")
    if proc_state(s.pid) != "T":
        raise Failure("it is not stopped")
    told += ["CKPT 0"]
    expect(s, *told)
    os.kill(s.pid, signal.SIGCONT)
    expect(s, *told, "THAW 0")
    end(s)


def scene_notify_not_now(s):
    """Not to answer is "not now": asked again after a second; who never answers is told that there is none."""
    s.begin("NOT_NOW = 1" + WAITING)
    dump(s, "-R", "--notify")
    expect(s, f"ready {s.pid}", "CKPT 0", "CKPT 0", "THAW 0")
    end(s)
    os.unlink(s.file("told"))
    os.unlink(s.file("ready"))
    s.begin("NOT_NOW = 9" + WAITING)
    fails(s, TARGET, f"pid {s.pid} (python3)", "not ready", more=("--notify", "--notify-wait", "200"))
    expect(s, f"ready {s.pid}", "CKPT 0", f"THAW {ECANCELED}")
    text = dump(s, "-R", "--notify=tell", "--notify-wait", "100")
    s.words(text, f"pid {s.pid} (python3) is not ready")
    expect(s, f"ready {s.pid}", "CKPT 0", f"THAW {ECANCELED}", "CKPT 0", "THAW 0")
    end(s)


def scene_notify_handlers(s):
    """By python's handlers, and by a shell's traps."""
    s.begin(HANDLING)
    dump(s, "-R", "--notify")
    expect(s, f"ready {s.pid}", "CKPT", "THAW")
    dump(s, "--notify")
    s.reap_in_time()
    wait_for("the end of its children", 10, no_children)
    s.restore()
    expect(s, f"ready {s.pid}", "CKPT", "THAW", "CKPT", "THAW")
    end(s)
    os.unlink(s.file("told"))
    os.unlink(s.file("ready"))
    with open(s.file("shell"), "w", encoding="ascii") as f:
        f.write(SHELL)
    os.chmod(s.file("shell"), 0o755)
    s.begin(s.file("shell"))
    dump(s, "-R", "--notify")
    expect(s, "CKPT", "THAW")
    dump(s, "--notify")
    s.reap_in_time()
    wait_for("the end of its children", 10, no_children)
    s.restore()
    expect(s, "CKPT", "THAW", "CKPT", "THAW")
    dump(s, "-R", "--notify")
    expect(s, "CKPT", "THAW", "CKPT", "THAW", "CKPT", "THAW")
    os.killpg(s.pid, signal.SIGKILL)
    s.reap_in_time()


PYTHON = """
sys.path.insert(0, %r)
import ckpt, threading
main = threading.get_ident()
told = []
ckpt.disable()
ckpt.add_hooks(before=lambda: told.append(threading.get_ident() != main), after=lambda r: told.append(r),
               restarted=lambda r: told.append((r.crid, r.gone_ns > 0, r.pid_changed, r.addresses_changed)))
ckpt.enable()
ready()
crid = int(open("crid").read())
check(told, [True, -%d, True, (crid, True, False, False)], "what was told")
"""


def scene_notify_python(s):
    """The binding for Python: its functions are called from outside, by another thread."""
    os.environ["LIBCKPT"] = os.path.join(BUILD, "libckpt.so")
    s.begin(PYTHON % (CONTRIB, ECANCELED))
    fails(s, 9, "dump.commit", fault="dump.commit")
    dump(s)
    s.reap_in_time()
    with open(s.file("crid"), "w", encoding="ascii") as f:
        f.write(str(crid_of(s)))
    s.restore()
    os.kill(s.pid, signal.SIGRTMAX - 1)
    status = s.reap_in_time()
    if status != 0:
        s.verdict(status, "after its restart")


def scene_notify_tree(s):
    """Of a tree those are told that take the signal; -v names those that would die of it, or ignore it."""
    s.begin("""
signal.pthread_sigmask(signal.SIG_UNBLOCK, [GO])
for action in (signal.SIG_DFL, signal.SIG_IGN):
    if os.fork() == 0:
        signal.signal(signal.SIGRTMAX - 5, action)
        with open(f"child{int(action)}", "w") as f:
            f.write(str(os.getpid()))
        while True:
            signal.pause()
while not (os.path.exists("child0") and os.path.exists("child1")):
    pass
NOT_NOW = 0
""" + WAITING.replace("RTMAX - 2", "RTMAX - 5").replace("RTMAX - 1", "RTMAX - 4"))
    dies, ignores = lines(s, "child0")[0], lines(s, "child1")[0]
    text = dump(s, "-R", "-v", "--notify", "--notify-signals", "62,63")
    s.words(text, *(f"pid {p} (python3) is not told: the signal would have its default" for p in (s.pid, dies, ignores)))
    expect(s, f"ready {s.pid}")
    text = dump(s, "-v", "--notify", "--notify-signals=RTMAX-5,RTMAX-4")
    s.words(text, f"pid {dies} (python3) is not told: the signal would have its default",
            f"pid {ignores} (python3) is not told: it ignores")
    s.reap_in_time()
    wait_for("the end of its children", 10, no_children)
    s.restore()
    expect(s, f"ready {s.pid}", "CKPT 0", f"THAW {ERESTART}")
    for p in (s.pid, int(dies), int(ignores)):
        if proc_state(p) != "S":
            raise Failure(f"pid {p} is in state {proc_state(p)}")
        os.kill(p, signal.SIGKILL)
    s.reap_in_time()


def scene_notify_first(s):
    """After a restart the signal is the first thing that a program sees: before its next instruction."""
    s.begin(HEAR + """
back = []
signal.signal(CKPT, lambda *_: signal.signal(CKPT, signal.SIG_IGN))
signal.signal(THAW, lambda *_: back.append(1))
ready()
last = time.time()
while True:
    now = time.time()
    if now - last > 0.4:
        # the interpreter runs its handlers between two instructions
        say("back" if back else "not told yet")
        os._exit(0)
    last = now
""")
    dump(s, "--notify")
    s.reap_in_time()
    time.sleep(0.5)
    pid = s.pid
    s.restore()
    expect(s, f"ready {pid}", "back")
    s.reap_in_time()


def scene_notify_rpc(s):
    """The same by the service, with the parameters of the same names."""
    s.begin("NOT_NOW = 0" + WAITING.replace("RTMAX - 2", "RTMAX - 5").replace("RTMAX - 1", "RTMAX - 4"))
    with Service(s) as service, service.client() as c:
        c.call("dump", pid=s.pid, dir=s.image, leave_running=True, notify="ask", notify_signals="RTMAX-5,RTMAX-4",
               notify_wait=5000)
        expect(s, f"ready {s.pid}", "CKPT 0", "THAW 0")
    end(s)


def scene_notify_cancel(s):
    """A dump that waits for a program is cancelled at once: it is told so, and goes on."""
    s.begin("NOT_NOW = 1000" + WAITING)
    with Service(s) as service, service.client() as c:
        begun = c.begin("dump", pid=s.pid, dir=s.image, notify="ask", notify_wait=60000)
        expect(s, f"ready {s.pid}", "CKPT 0")
        c.begin("cancel", id=begun)
        fails_as(OPERATION - CANCELLED, lambda: c.finish(begun), "cancelled")
        expect(s, f"ready {s.pid}", "CKPT 0", f"THAW {ECANCELED}")
    with open(s.file("out"), "ab") as out:
        ckpt = subprocess.Popen([CKPT, "dump", "-t", str(s.pid), "-D", s.image, "--notify"], stdin=subprocess.DEVNULL,
                                stdout=out, stderr=out)
    expect(s, f"ready {s.pid}", "CKPT 0", f"THAW {ECANCELED}", "CKPT 0")
    ckpt.send_signal(signal.SIGINT)
    ckpt.wait(10)
    expect(s, f"ready {s.pid}", *["CKPT 0", f"THAW {ECANCELED}"] * 2)
    end(s)
    if os.path.exists(os.path.join(s.image, "manifest")):
        raise Failure("there is an image")


def scene_notify_run(s):
    """A program that `ckpt run` runs is told of the checkpoints that it takes."""
    from job import Job
    with open(s.file("victim.py"), "w", encoding="ascii") as f:
        f.write(PRELUDE + "NOT_NOW = 0" + WAITING)
    job = Job(s, "--on-signal", "USR1", "--notify", text=f"exec {sys.executable} victim.py")
    wait_for("the program", 20, lambda: os.path.exists(s.file("ready")))
    os.kill(job.proc.pid, signal.SIGUSR1)
    s.pid = int(lines(s)[0].split()[1])
    expect(s, f"ready {s.pid}", "CKPT 0", "THAW 0")
    os.kill(s.pid, signal.SIGKILL)
    job.proc.wait(20)


def scene_notify_usage(s):
    """What is no pair of signals is refused."""
    for bad in ("1", "62", "62,62", "9,10", "RTMAX-2", "RTMAX+2,63", "65,66", "62,63,64", "x,y", ",", "32,33"):
        status, text = s.ckpt("dump", "-t", "1", "--notify-signals", bad, ok=False)
        if status != 2:
            raise Failure(f"--notify-signals {bad}: {status}\n{text}")
        s.words(text, "two different signals")
    if subprocess.run([CKPT, "dump", "-t", "1", "--notify=perhaps"], stderr=subprocess.DEVNULL, check=False).returncode != 2:
        raise Failure("--notify=perhaps")
