"""Scenes of a restore in a pid namespace of its own: copies side by side, seen from outside and from inside."""
import json
import os
import signal
import subprocess
import time

import relay
from front import CATCHER, Job, expect, job_control
from harness import CKPT, CONFLICT, Failure, no_children, proc_state, wait_for
from trial import GO, pids_inside, proc_children
from service import Service, ask_as, as_user

PRIVILEGE = 8  # exit status: the caller may not do this

# A tree that knows itself: its pids and tids, who its children are, what its own /proc shows.
TREE = """
import threading
stop = threading.Event()
tids = []
def thread():
    tid = threading.get_native_id()
    tids.append(tid)
    stop.wait()
    check(threading.get_native_id(), tid, "a thread")
threads = [threading.Thread(target=thread) for _ in range(4)]
me, parent_end = os.getpid(), os.pipe()
child = os.fork()
if child == 0:
    pid = os.getpid()
    os.read(parent_end[0], 1)
    check((os.getpid(), os.getppid()), (pid, me), "the child and its parent")
    check(os.readlink("/proc/self"), str(pid), "/proc/self of the child")
    os._exit(5)
for t in threads:
    t.start()
ready()
check(os.getpid(), me, "the pid")
check(os.readlink("/proc/self"), str(me), "/proc/self")
check(sorted(int(t) for t in os.listdir("/proc/self/task")), sorted([me, *tids]), "the threads in /proc")
os.kill(child, 0)
os.write(parent_end[1], b"x")
check(os.waitpid(child, 0), (child, 5 << 8), "the child's end")
child = os.fork()
if child == 0:
    os._exit(6)
check(os.waitpid(child, 0), (child, 6 << 8), "the end of a new child")
stop.set()
for t in threads:
    t.join()
"""


def inits():
    """The first processes of the namespaces that were made: of a detached restore they have become ours."""
    found = []
    for pid in proc_children():
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                if f.read() == "ckpt-init\n":
                    found.append(pid)
        except OSError:
            pass
    return found


def mounts():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        return f.read()


def restore(s, *more):
    """Detached; returns the result, and makes its root the one that this scene looks at."""
    result = json.loads(s.ckpt("restore", "-D", s.image, "-d", "--pidns", "--json", *more))
    s.pid = result["pid"]
    return result


def ends(s, want):
    got = s.reap_in_time()
    if got != want:
        raise Failure(f"the root ended with {got}, not {want}")


def scene_pidns_copies(s):
    """Five copies beside the original, which goes on: each sees its old pids, and nobody else's."""
    s.begin(TREE)
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R")
    original, before, known = s.pid, mounts(), set()
    copies = [restore(s) for _ in range(5)]
    for result in copies:
        pids = {p["pid"]: p["outer_pid"] for p in result["pids"]}
        if pids[original] != result["pid"] or len(pids) != 2 or result["tasks"] != 2:
            raise Failure(f"the result: {result}")
        for pid, outer in pids.items():
            if pids_inside(outer) != [outer, pid]:
                raise Failure(f"pid {outer} is {pids_inside(outer)} inside, not {pid}")
        known.update(pids.values())
    if len(known) != 10 or len(inits()) != 5:
        raise Failure(f"not 10 processes outside, but {sorted(known)}; not 5 inits, but {inits()}")
    for pid in [*(r["pid"] for r in copies), original]:
        os.kill(pid, GO)
        s.pid = pid
        ends(s, 0)
    s.nothing_left()
    if mounts() != before:
        raise Failure("the mounts are not what they were")


def scene_pidns_text(s):
    """What is said to people: each pid outside; and a taken pid is told of where it isn't given."""
    s.begin("ready()")
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R")
    got, text = s.ckpt("restore", "-D", s.image, "-d", ok=False)
    if got != CONFLICT:
        raise Failure(f"a taken pid: exit status {got}")
    s.words(text, "--pidns")
    original, text = s.pid, s.ckpt("restore", "-D", s.image, "-d", "--pidns", "--pidfile", s.file("pidfile"))
    s.pid = s.runs()
    s.words(text, f"restored pid {s.pid} in a pid namespace", f"pid {original} is {s.pid} outside")
    for pid in s.pid, original:
        os.kill(pid, signal.SIGKILL)
        s.pid = pid
        ends(s, -signal.SIGKILL)
    s.nothing_left()


def scene_pidns_front(s):
    """In the foreground: signals go to the root, hooks are told its pid outside, its end is the command's."""
    s.begin(CATCHER)
    s.save()
    with open(s.file("hook"), "w", encoding="ascii") as f:
        f.write("#!/bin/sh\necho $CKPT_PID >>told\n")
    os.chmod(s.file("hook"), 0o755)
    inside = s.pid
    proc = s.front("--pidns", "--hook", s.file("hook"))
    s.pid = s.runs()
    proc.send_signal(signal.SIGUSR1)
    expect(s, "USR1")
    with open(s.file("told"), encoding="ascii") as f:
        if f.read().split() != [str(inside), str(s.pid), str(s.pid)]:
            raise Failure(f"hooks are not told {inside}, then {s.pid}")
    proc.send_signal(signal.SIGTERM)
    s.ends(proc, 7)
    s.nothing_left()


def scene_pidns_front_killed(s):
    """The command in the foreground is killed: the tree goes on, as without a namespace."""
    s.begin(CATCHER)
    s.save()
    proc = s.front("--pidns")
    s.pid = s.runs()
    wait_for("the root is its child", 10, lambda: no_copy(proc.pid))
    proc.kill()
    proc.wait()
    os.kill(s.pid, signal.SIGUSR1)
    expect(s, "USR1")
    os.kill(s.pid, signal.SIGTERM)
    ends(s, 7)
    s.nothing_left()


def no_copy(pid):
    """Whether the command has no child but the root: the coordinator has ended."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return len(f.read().split()) == 1


def scene_pidns_job_session(s):
    """Keys of the terminal, stops and continuing, as by any restore: the program led a session."""
    s.begin(CATCHER)
    s.save()
    job_control(s, Job(s, more=["--pidns"]))


def scene_pidns_job_group(s):
    """The same: it led a group of its caller's session."""
    s.begin(CATCHER, lead="group")
    s.save()
    job_control(s, Job(s, more=["--pidns"]))


def scene_pidns_job_member(s):
    """The same: it was a member of its caller's group."""
    s.begin(CATCHER, lead="nothing")
    s.save()
    job_control(s, Job(s, more=["--pidns"]))


def scene_pidns_shell(s):
    """A shell of a window comes back on the terminal of the command, with its old pid."""
    screen = relay.begin(s)
    screen.shows(b"$ ")
    screen.shows_after(b"sleep 1000\r", b"sleep 1000")
    time.sleep(0.3)
    screen.shows_after(b"\x1a", b"Stopped")
    relay.save(s, screen)
    inside = s.pid
    job, screen = relay.back(s, "--pidns")
    s.pid = s.runs()
    screen.shows_after(b"echo pid $$ $(readlink /proc/self/cwd)\r", f"pid {inside} {s.dir}".encode())
    relay.job_control(screen)
    os.write(job.far, b"exit 7\r")
    job.ends(7)


# The root ends at a signal, its child at another one.
DAEMON = """
import time
child = os.fork()
if child == 0:
    os.setsid()
    while not os.path.exists("over"):
        time.sleep(0.01)
    with open("alone", "w") as f:
        f.write(f"{os.getppid()}")
    os._exit(0)
ready()
os._exit(3)
"""


def scene_pidns_end(s):
    """Who outlives the root goes on, as a child of the namespace's init; that ends with the last of them."""
    s.begin(DAEMON)
    s.save()
    restore(s)
    init, = inits()

    def small():
        with open(f"/proc/{init}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) <= 4 and len(os.listdir(f"/proc/{init}/fd")) == 1
    wait_for("an init of a few pages and one descriptor", 10, small)
    os.kill(s.pid, GO)
    ends(s, 3)
    time.sleep(0.05)
    if inits() != [init]:
        raise Failure("init has ended with the root")
    open(s.file("over"), "w", encoding="ascii").close()
    s.nothing_left()
    with open(s.file("alone"), encoding="ascii") as f:
        if f.read() != "1":
            raise Failure("the parent of the orphan is not init")


def scene_pidns_faults(s):
    """A restore that fails, or whose coordinator dies, at any of its points leaves no process and no mount."""
    s.begin(TREE)
    s.save()
    before, reached = mounts(), 0
    points = [p for p in s.ckpt("check", "--faults").split() if p.startswith("restore.")]
    for fault in [*points, *(f"{p}:kill" for p in points)]:
        status, text = s.ckpt("restore", "-D", s.image, "-d", "--pidns", fault=fault, ok=False)
        if status == 0:
            os.kill(int(text.split()[2]), signal.SIGKILL)
        else:
            reached += 1
        try:
            s.nothing_left()
        except Failure as e:
            raise Failure(f"fault {fault}: {e}\n{text}") from None
    if reached < len(points):
        raise Failure(f"only {reached} faults of {points} were reached")
    if mounts() != before:
        raise Failure("the mounts are not what they were")
    restore(s)
    os.kill(s.pid, GO)
    ends(s, 0)


OUTSIDE = """
fd = os.pidfd_open(os.getppid())
ready()
"""


def scene_pidns_refused(s):
    """A pidfd that leads outside leads nowhere there, and is named."""
    s.begin(OUTSIDE)
    s.save()
    s.restore_fails(CONFLICT, f"process {os.getpid()}", "--pidns", "--fd", more=("--pidns",))


def scene_pidns_user(s):
    """Without CAP_SYS_ADMIN it says so, in one line; the service lends it nobody."""
    place = f"/tmp/ckpt-scene-{os.getpid()}"
    os.mkdir(place)
    try:
        os.chown(place, 54321, 54321)
        tool = os.path.join(place, "ckpt")
        subprocess.run(["cp", CKPT, tool], check=True)
        program = subprocess.Popen(["/bin/sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, preexec_fn=as_user(54321), cwd=place,
                                   start_new_session=True)
        program.returncode = 0
        s.pid = program.pid
        time.sleep(0.1)
        s.image = os.path.join(place, "image")
        s.save()
        subprocess.run(["chown", "-R", "54321", s.image], check=True)
        done = subprocess.run([tool, "restore", "-d", "--pidns", s.image], preexec_fn=as_user(54321), cwd=place,
                              capture_output=True, text=True, check=False)
        if done.returncode != PRIVILEGE:
            raise Failure(f"without a right: {done}")
        s.words(done.stderr, "CAP_SYS_ADMIN", "--pidns", "unshare")
        if len(done.stderr.splitlines()) != 1:
            raise Failure(f"more than a line: {done.stderr}")
        with Service(s) as service:
            no, = ask_as(service, 54321, ["restore", {"dir": s.image, "pidns": True, "detach": True}])
        s.words(no.get("text", ""), "CAP_SYS_ADMIN", "--pidns", "unshare")
    finally:
        subprocess.run(["rm", "-rf", place], check=True)
    s.nothing_left()


def scene_pidns_serve(s):
    """By the service: the result has the pids of both sides, and the end of the root is told."""
    s.begin("ready()\nos._exit(7)\n")
    s.save()
    inside = s.pid
    with Service(s) as service, service.client() as c:
        for detach in False, True:
            result = c.restore(dir=s.image, pidns=True, detach=detach)
            if result["pids"] != [{"pid": inside, "outer_pid": result["pid"]}]:
                raise Failure(f"the result: {result}")
            if pids_inside(result["pid"]) != [result["pid"], inside]:
                raise Failure(f"pid {result['pid']} is {pids_inside(result['pid'])} inside")
            waiting = None if detach else c.begin("wait", pid=result["pid"])
            c.ping()  # requests are taken in turn: now the wait has begun
            os.kill(result["pid"], GO)
            if waiting is not None and c.finish(waiting)["exit_code"] != 7:
                raise Failure("not told of its end")
            wait_for("its end", 10, lambda pid=result["pid"]: proc_state(pid) in (None, "Z"))
    wait_for("the end of all processes", 10, no_children)


def scene_pidns_again(s):
    """A tree in a namespace is looked at and dumped by its pid outside; the image is by the old pids again."""
    s.begin(TREE)
    s.save()
    inside = s.pid
    restore(s)
    s.words(s.ckpt("explain", "-t", str(s.pid)), f"pid {s.pid} (python3): a dump would save its tree", f"pid {inside}:")
    s.ckpt("dump", "-t", str(s.pid), "-D", "again", "-R")
    saved = json.loads(s.ckpt("dump", "-t", str(s.pid), "-D", "again", "--force", "--json"))
    if (saved["dir"], saved["pid"], saved["tasks"], saved["threads"]) != ("again", s.pid, 2, 6):
        raise Failure(f"the result: {saved}")
    ends(s, -signal.SIGKILL)
    s.nothing_left()
    s.pid, s.image = inside, s.file("again")
    s.restore()
    os.kill(inside, GO)
    ends(s, 0)


def scene_pidns_again_killed(s):
    """A dump from outside that is killed harms nothing, and leaves nothing but the tree."""
    s.begin(TREE)
    s.save()
    restore(s)
    for n in range(8):
        proc = subprocess.Popen([CKPT, "dump", "-t", str(s.pid), "-D", f"{s.image}.{n}", "-R"], cwd=s.dir,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.004 * n)
        proc.kill()
        proc.wait()
        wait_for("only the tree and its init are left", 10, lambda: only_tree(s.pid))
    os.kill(s.pid, GO)
    ends(s, 0)
    s.nothing_left()


def only_tree(root):
    for pid in set(proc_children()) - {root}:
        os.waitpid(pid, os.WNOHANG)
    init, = inits()
    with open(f"/proc/{init}/task/{init}/children", encoding="ascii") as f:
        return not f.read() and set(proc_children()) == {init, root}
