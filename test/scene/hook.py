"""Scenes of hooks: programs of the user's at points of a dump and of a restore."""
import json
import os
import signal
import subprocess
import time

from harness import CKPT, CONTRIB, Failure, proc_state, wait_for
from service import COUNTER, OPERATION, PARAMS, Service, as_user, ask_as, counts_on, expect, fails

REFUSED = 3
NOWHERE = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
POINTS = ("before-dump", "dump-stopped", "after-dump", "before-restore", "restore-stopped", "after-restore")

# Writes down what it is told and what it is; fails where $WRONG says so.
HOOK = """#!/usr/bin/python3 -S
import json, os, signal, sys
point = os.environ["CKPT_POINT"]
told = json.load(sys.stdin)
status = dict(line.strip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
try:
    target = open("/proc/%d/stat" % told["pid"]).read().rpartition(")")[2].split()[0]
except OSError:
    target = None
fds = sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n))
print("said at", point, file=sys.stderr)
with open(os.path.join(os.path.dirname(sys.argv[0]), "told"), "a") as f:
    json.dump({"told": told, "env": dict(os.environ), "target": target, "status": status,
               "fds": fds, "cwd": os.getcwd()}, f)
    f.write("\\n")
wrong = os.environ.get("WRONG_" + point.replace("-", "_"))
if wrong == "signal":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(wrong or 0))
"""


def make_hook(path, text=HOOK):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


def told(hook):
    """What the hook wrote down since the last look."""
    path = os.path.join(os.path.dirname(hook), "told")
    with open(path, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    os.unlink(path)
    return lines


def by_hand(s, *args, env=(), ok=True):
    """The command, as an awkward parent starts it: SIGCHLD and SIGPIPE ignored, SIGUSR1 blocked, a descriptor open."""
    def awkward():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    with open("/dev/null", "rb") as leak:
        p = subprocess.run([CKPT, *args], cwd=s.dir, env=dict(os.environ, **dict(env)), pass_fds=(leak.fileno(),),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           preexec_fn=awkward, check=False)
    if ok and p.returncode:
        raise Failure(f"ckpt {' '.join(args)}: {p.returncode}\n{p.stdout}")
    return p.stdout if ok else (p.returncode, p.stdout)


ALIVE = "SRD"  # it sleeps, or has just been woken, or waits for the disk


def check_call(call, point, states, want):
    """One call: what it is told twice is the same, and it has nothing of ours. @states: of the program; None: it is gone"""
    env = {k[5:].lower(): v for k, v in call["env"].items() if k.startswith("CKPT_")}
    expect(env, {k: str(v) for k, v in call["told"].items()}, f"the environment at {point}")
    expect(call["told"]["point"], point, "the point")
    if call["target"] not in (states or [None]):
        raise Failure(f"the state of the program at {point}: expected {states}, got {call['target']}")
    expect({k: call["told"].get(k) for k in want}, want, f"what is told at {point}")
    expect(call["fds"], [0, 1, 2], f"the descriptors at {point}")
    expect(int(call["status"]["SigBlk"], 16), 0, f"the blocked signals at {point}")
    # python ignores SIGPIPE and SIGXFSZ by itself
    own = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    expect(int(call["status"]["SigIgn"], 16) & ~own, 0, f"the ignored signals at {point}")


def scene_hook_told(s):
    """A hook is called at each point, in the right moment, and told by environment and stdin alike."""
    hook = make_hook(s.file("hook"))
    s.begin(COUNTER)
    text = by_hand(s, "dump", "-t", str(s.pid), "-D", "image", "--hook", "./hook")
    s.words(text, "hook ./hook: said at dump-stopped")
    expect(s.reap_in_time(), -signal.SIGKILL, "the end of the program")
    text = by_hand(s, "restore", "-d", "-D", s.image, "--hook", hook)
    calls = told(hook)
    expect([c["told"]["point"] for c in calls], list(POINTS), "the points")
    crid = json.loads(s.ckpt("show", "-D", s.image, "--json"))["manifest"]["crid"]
    known = {"pid": s.pid, "dir": s.image, "crid": str(crid)}
    done = dict(known, tasks=1, threads=1, status=0)
    for args in zip(calls, POINTS, (ALIVE, "t", "Z", None, "t", ALIVE),
                    (known, dict(known, tasks=1), dict(done, target="gone"), known, dict(known, threads=1),
                     dict(done, target="running"))):
        check_call(*args)
    counts_on(s)
    os.kill(s.pid, signal.SIGKILL)


def scene_hook_fails(s):
    """A hook that fails ends the operation: the program goes on and there is no image; or nothing is left."""
    hook = make_hook(s.file("hook"))
    s.begin(COUNTER)
    for point, wrong, words in (("before-dump", "3", "exit status 3"), ("dump-stopped", "signal", "killed by signal 9")):
        status, text = by_hand(s, "dump", "-t", str(s.pid), "-D", s.image, "--hook", hook,
                               env={"WRONG_" + point.replace("-", "_"): wrong}, ok=False)
        expect(status, REFUSED, f"the exit status\n{text}\n")
        s.words(text, f"ckpt: hook {hook} at {point}: {words}")
        if os.path.exists(s.image):
            raise Failure(f"an image is left: {os.listdir(s.image)}")
        counts_on(s)
        last = told(hook)[-1]["told"]
        expect((last["point"], last["status"]), ("after-dump", REFUSED), "the last call")
        s.words(last["error"], f"at {point}: {words}")
    text = by_hand(s, "dump", "-t", str(s.pid), "-D", s.image, "--hook", f"after-dump={hook}", env={"WRONG_after_dump": "9"})
    s.words(text, f"warning: hook {hook} at after-dump: exit status 9", "saved pid")
    expect([c["told"]["point"] for c in told(hook)], ["after-dump"], "the points that were asked for")
    s.reap_in_time()
    for point in "before-restore", "restore-stopped":
        status, text = by_hand(s, "restore", "-d", "-D", s.image, "--hook", hook,
                               env={"WRONG_" + point.replace("-", "_"): "1"}, ok=False)
        expect(status, REFUSED, f"the exit status\n{text}\n")
        s.words(text, f"ckpt: hook {hook} at {point}: exit status 1")
        s.nothing_left()
        expect(proc_state(s.pid), None, "the state of the program")
    by_hand(s, "restore", "-d", "-D", s.image, "--hook", hook, env={"WRONG_after_restore": "1"})
    counts_on(s)
    os.kill(s.pid, signal.SIGKILL)


def scene_hook_slow(s):
    """One that takes too long is killed with what it started; others are not even begun with."""
    slow = make_hook(s.file("slow"), "#!/bin/sh\nsleep 4321 &\necho $! > %s\nwait\n" % s.file("child"))
    s.begin(COUNTER)
    before = time.monotonic()
    status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "--hook", f"dump-stopped={slow}", "--hook-limit", "1", ok=False)
    expect(status, REFUSED, "the exit status")
    s.words(text, f"hook {slow} at dump-stopped: it took longer than 1 s (the target goes on running, unharmed)")
    if time.monotonic() - before > 15:
        raise Failure("the limit came too late")
    with open(s.file("child"), encoding="ascii") as f:
        child = int(f.read())
    wait_for("its child to end", 5, lambda: proc_state(child) in (None, "Z"))
    counts_on(s)
    for wish, words in (("nowhere", "No such file"), (s.dir, "executable"), ("before-dmp=/bin/true", "before-dump=FILE"),
                        ("before-restore=/bin/true", "before-dump=FILE"), (s.file("ready"), "executable")):
        status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "--hook", f"after-dump={slow}", "--hook", wish, ok=False)
        expect(status, 2, f"the exit status for {wish}")
        s.words(text, words)
    # what it leaves in the background goes on, and nobody waits for it
    left = make_hook(s.file("left"), "#!/bin/sh\nexec setsid sleep 4 > %s 2>&1 &\n" % s.file("log.left"))
    before = time.monotonic()
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R", "--hook", left)
    if time.monotonic() - before > 3.9:
        raise Failure("the dump waited for what a hook had left in the background")
    os.kill(s.pid, signal.SIGKILL)
    s.reap_in_time()


def scene_hook_service(s):
    """By the service a hook is called with the rights of the caller, and with nothing of the server's."""
    uid, place = 54323, f"/tmp/ckpt-scene-{os.getpid()}"
    os.mkdir(place)
    os.chown(place, uid, uid)
    hook, no = make_hook(place + "/hook"), make_hook(place + "/no", "#!/bin/sh\n[ $CKPT_POINT = dump-stopped ] && exit 5\nexit 0\n")
    own = subprocess.Popen(["/bin/sleep", "1000"], **NOWHERE, preexec_fn=as_user(uid), cwd="/")
    try:
        with Service(s, cwd=s.dir, env=dict(os.environ, SECRET="of the server")) as service:
            got = ask_as(service, uid, ("dump", {"pid": own.pid, "dir": place + "/a", "hook": [no]}),
                         ("dump", {"pid": own.pid, "dir": place + "/a", "hook": hook}))
            expect(got[0].get("error"), OPERATION - REFUSED, "the code of the first")
            s.words(got[0]["text"], f"hook {no} at dump-stopped: exit status 5")
            if "result" not in got[1]:
                raise Failure(f"the dump: {got[1]}")
            own.wait()
            got = ask_as(service, uid, ("restore", {"dir": place + "/a", "detach": True, "hook": [hook]}))
            if "result" not in got[0]:
                raise Failure(f"the restore: {got}")
            os.kill(own.pid, signal.SIGKILL)
            calls = told(hook)
            expect([c["told"]["point"] for c in calls], list(POINTS), "the points")
            for c in calls:
                expect(c["status"]["Uid"].split(), [str(uid)] * 4, "its user")
                expect([int(c["status"][k], 16) for k in ("CapPrm", "CapEff", "CapInh", "CapAmb")], [0] * 4, "its capabilities")
                expect({k for k in c["env"] if not k.startswith("CKPT_")} - {"LC_CTYPE"}, {"PATH"}, "what else is in its environment")  # python sets the other
                expect((c["fds"], c["cwd"]), ([0, 1, 2], "/"), "its descriptors and directory")
            with service.client() as c:
                fails(PARAMS, c.dump, "absolute", pid=1, hook=["here"])
                fails(PARAMS, c.dump, "absolute", pid=1, hook=["before-dump=here"])
    finally:
        own.kill()
        own.wait()
        subprocess.run(["rm", "-r", place], check=True)


ASK_LIMITED = """
import json, subprocess, sys
sys.path.insert(0, %r)
from ckpt_client import Client, Error
victim = subprocess.Popen(["/bin/sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
with Client(%r, timeout=30) as c:
    try:
        for pid, wish in ((victim.pid, {"hook": [sys.argv[1]]}), (int(sys.argv[2]), {})):
            print(json.dumps(c.dump(pid=pid, dir=sys.argv[3] + str(pid), leave_running=True, **wish)["pid"] == pid))
    except Error as e:
        print(json.dumps(str(e)))
victim.kill()
"""


def scene_hook_powers(s):
    """What is executed for a caller has no capability that the caller can't have, be it root or in a user namespace."""
    place = f"/tmp/ckpt-scene-{os.getpid()}"
    os.mkdir(place)
    os.chmod(place, 0o777)
    hook = make_hook(place + "/hook")
    try:
        with Service(s) as service:
            s.begin(COUNTER)
            for n, (words, most) in enumerate(((["setpriv", "--bounding-set=-all,+chown"], 1),
                                               (["setpriv", "--no-new-privs", "--bounding-set=-all,+kill"], 1 << 5),
                                               (["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups",
                                                 "unshare", "-Ur"], 0))):
                p = subprocess.run([*words, "/usr/bin/python3", "-c", ASK_LIMITED % (CONTRIB, service.path), hook, str(s.pid),
                                    f"{place}/{n}-"], stdout=subprocess.PIPE, check=True, cwd="/")
                answers = [json.loads(line) for line in p.stdout.splitlines()]
                if answers[-1] is True:
                    raise Failure(f"{words}: root's process was dumped for a caller without capabilities")
                if most == 0:  # its processes are in another user namespace, which is refused
                    continue
                expect(answers[0], True, f"{words}: the dump of its own")
                for c in told(hook):
                    expect([int(c["status"][k], 16) & ~most for k in ("CapPrm", "CapEff", "CapBnd")], [0] * 3,
                           f"{words}: what its hook has too much")
                    expect(c["status"]["NoNewPrivs"], str(int("--no-new-privs" in words)), "no_new_privs")
            counts_on(s)
            os.kill(s.pid, signal.SIGKILL)
    finally:
        subprocess.run(["rm", "-r", place], check=True)
