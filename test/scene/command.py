"""Scenes of the two commands themselves: directories, pids, and what stays stopped."""
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

from harness import CKPT, CONFLICT, Failure, proc_state, wait_for

PRIVILEGE = 8  # exit status
PR_CAPBSET_DROP, CAP_SYS_RESOURCE = 24, 24
WAITER = "ready()"


def scene_directory(s):
    """An image goes into a directory that holds other files; a second one only by force."""
    os.mkdir(s.image)
    with open(os.path.join(s.image, "notes"), "w", encoding="ascii") as f:
        f.write("mine")
    s.begin(WAITER)
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R")
    before = sorted(os.listdir(s.image))
    status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R", ok=False)
    if status != CONFLICT:
        raise Failure(f"a second image: expected exit status {CONFLICT}, got {status}\n{text}")
    s.words(text, s.image, "--force")
    if sorted(os.listdir(s.image)) != before:
        raise Failure(f"the refused dump changed the directory: {before}, now {os.listdir(s.image)}")
    s.undisturbed()
    s.save("--force")
    with open(os.path.join(s.image, "notes"), encoding="ascii") as f:
        if f.read() != "mine":
            raise Failure("the other file in the directory was changed")
    s.restore()
    s.finish()


def pid_take(pid):
    """A process of ours with this pid, by the kernel's own counter; others may come between."""
    for _ in range(200):
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as f:
            f.write(str(pid - 1))
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        if child == pid:
            return
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    raise Failure(f"the test could not take pid {pid}")


def session_take(pid):
    """A process in a session of this number whose leader is dead."""
    reader, writer = os.pipe()
    for _ in range(200):
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as f:
            f.write(str(pid - 1))
        leader = os.fork()
        if leader == 0:
            if os.getpid() == pid:
                os.setsid()
                child = os.fork()
                if child == 0:
                    time.sleep(60)
                    os._exit(0)
                os.write(writer, str(child).encode())
            os._exit(0)
        os.waitpid(leader, 0)
        if leader == pid:
            return int(os.read(reader, 20))
    raise Failure(f"the test could not take pid {pid}")


def scene_pid_taken(s):
    """The pid is taken: the message names it and the program that has it; later it works."""
    s.begin(WAITER)
    s.save()
    pid_take(s.pid)
    with open(f"/proc/{s.pid}/comm", encoding="ascii") as f:
        comm = f.read().strip()
    status, text = s.ckpt("restore", "-D", s.image, "-d", ok=False)
    if status != CONFLICT:
        raise Failure(f"expected exit status {CONFLICT}, got {status}\n{text}")
    s.words(text, s.pid, comm, f"child of pid {os.getpid()}")
    if proc_state(s.pid) is None:
        raise Failure("the process that had the pid is gone")
    os.kill(s.pid, signal.SIGKILL)
    os.waitpid(s.pid, 0)
    s.restore()
    s.finish()


def scene_tid_taken(s):
    """The number of a thread is taken: it is named with the program that has it; nothing is left."""
    s.begin("import threading\nthreading.Thread(target=lambda: signal.sigwait([signal.SIGUSR2]), daemon=True).start()\n"
            "ready()\nos._exit(0)")
    tids = sorted(int(t) for t in os.listdir(f"/proc/{s.pid}/task"))
    if len(tids) != 2:
        raise Failure(f"set-up: expected two threads, got {tids}")
    s.save()
    pid_take(tids[1])
    status, text = s.ckpt("restore", "-D", s.image, "-d", ok=False)
    if status != CONFLICT:
        raise Failure(f"expected exit status {CONFLICT}, got {status}\n{text}")
    s.words(text, s.pid, f"pid {tids[1]} is taken by", f"child of pid {os.getpid()}")
    if proc_state(s.pid) is not None:
        raise Failure("the failed restore has left a process behind")
    os.kill(tids[1], signal.SIGKILL)
    os.waitpid(tids[1], 0)
    s.restore()
    s.finish()


def scene_session_taken(s):
    """The pid is still the number of a session: the message names who is in it."""
    s.begin(WAITER)
    s.save()
    child = session_take(s.pid)
    status, text = s.ckpt("restore", "-D", s.image, "-d", ok=False)
    if status != CONFLICT:
        raise Failure(f"expected exit status {CONFLICT}, got {status}\n{text}")
    s.words(text, s.pid, "session", f"pid {child}")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    s.restore()
    s.finish()


def until_continued(s):
    """It is stopped until SIGCONT; then it ends as it should."""
    if proc_state(s.pid) != "T":
        raise Failure(f"expected state T, got {proc_state(s.pid)}")
    os.kill(s.pid, signal.SIGCONT)
    wait_for("running after SIGCONT", 5, lambda: proc_state(s.pid) != "T")
    s.finish()


def scene_leave_stopped(s):
    """-s leaves the process stopped, as SIGSTOP does; SIGCONT lets it go on."""
    s.begin(WAITER)
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-s")
    time.sleep(0.05)
    until_continued(s)


def scene_frozen(s):
    """--frozen leaves the restored process stopped until SIGCONT."""
    s.begin(WAITER)
    s.save()
    s.restore("--frozen")
    until_continued(s)


def scene_plan(s):
    """--plan prints the steps and starts nothing."""
    s.begin(WAITER)
    s.save()
    text = s.ckpt("restore", "-D", s.image, "--plan")
    s.words(text, "mmap             mm: map", s.pid, "python")
    s.nothing_left()
    task = json.loads(s.ckpt("restore", "-D", s.image, "--plan", "--json"))["tasks"][0]
    steps = task["threads"][0]["steps"]
    if task["pid"] != s.pid or len(steps) != len(text.splitlines()) - 1 or set(steps[0]) != {"call", "what", "object"}:
        raise Failure(f"--plan --json: pid {task['pid']}, {len(steps)} steps, the first {steps[0]}:\n{text}")
    if proc_state(s.pid) is not None:
        raise Failure("--plan has started the process")


def scene_twice(s):
    """One image is restored, ends, and is restored again."""
    s.begin(WAITER)
    s.save()
    for _ in range(2):
        s.restore()
        s.finish()


def scene_no_such_pid(s):
    """A pid that nobody has: exit status 4, and no directory is left."""
    s.begin(WAITER)
    s.finish()
    status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, ok=False)
    if status != 4:
        raise Failure(f"expected exit status 4, got {status}\n{text}")
    s.words(text, s.pid)
    if os.path.exists(s.image):
        raise Failure("the failed dump left its directory behind")


def scene_full_disk(s):
    """No space for the image: the message says so, the process goes on, nothing is left."""
    where = s.file("small")
    os.mkdir(where)
    if os.system(f"mount -t tmpfs -o size=64k none {where}"):
        raise Failure("the test cannot mount a tmpfs")
    try:
        s.begin(WAITER)
        status, text = s.ckpt("dump", "-t", str(s.pid), "-D", os.path.join(where, "image"), ok=False)
        if status != 7:
            raise Failure(f"expected exit status 7 (space), got {status}\n{text}")
        s.words(text, "No space left")
        s.undisturbed()
        if os.listdir(where):
            raise Failure(f"the failed dump left {os.listdir(where)} behind")
        s.finish()
    finally:
        os.system(f"umount {where}")


def scene_leftover(s):
    """What a killed dump has left is removed by the next one, which says so; the program never noticed."""
    s.begin(WAITER)
    for there in (False, True):
        where = s.file(f"place-{there}")
        image = os.path.join(where, "image")
        os.makedirs(image if there else where)
        args = ["dump", "-t", str(s.pid), "-D", image, "-R"]
        status, text = s.ckpt(*args, fault="dump.rename:kill", ok=False)
        left = os.listdir(image if there else where)
        if status != -signal.SIGKILL or not left or any(not name.startswith((".", "pages", "records")) for name in left):
            raise Failure(f"set-up: a dump killed before its rename: {status}, it left {left}\n{text}")
        s.undisturbed()
        s.words(s.ckpt(*args, "-v"), "removed", "a dump that was killed")
        kept = sorted(name.split("-")[0] for name in os.listdir(image))
        if os.listdir(where) != ["image"] or set(kept) != {"manifest", "pages", "records"}:
            raise Failure(f"left behind: {os.listdir(where)}, {os.listdir(image)}")
        s.ckpt("verify", image)
    s.finish()


def scene_diff(s):
    """diff exits 0 for the same, 1 for a difference, and 1 for nothing else: an error has its kind's status."""
    s.begin(WAITER)
    other = s.file("other")
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R")
    s.ckpt("dump", "-t", str(s.pid), "-D", other, "-R")
    os.truncate(s.file("out"), 1)  # its standard error: the size is in the image
    s.ckpt("dump", "-t", str(s.pid), "-D", s.file("third"), "-R")
    for a, b, want in ((s.image, other, 0), (s.image, s.file("third"), 1), (s.image, s.file("no such"), 5)):
        for more in ([], ["--json"]):
            status, text = s.ckpt("diff", *more, a, b, ok=False)
            if status != want:
                raise Failure(f"diff {more}: expected exit status {want}, got {status}\n{text}")
    status, text = s.ckpt("dump", "-t", str(s.pid), "-D", "/proc/image", ok=False)
    if status != 9:
        raise Failure(f"a system call that fails: expected exit status 9 (system), got {status}\n{text}")
    s.finish()


def fails(s, want, words, *args):
    """The command fails with this status and one line that has these words; --json has them in its fields."""
    status, text = s.ckpt(*args, ok=False)
    if status != want or len(text.splitlines()) != 1:
        raise Failure(f"{args}: expected exit status {want} and one line, got {status}\n{text}")
    s.words(text, *words)
    status, text = s.ckpt(*args, "--json", ok=False)
    error = json.loads(text)["error"]
    if status != want or set(error) != {"kind", "errno", "strerror", "syscall", "resource", "pid", "fd", "target_state",
                                         "hint", "text"}:
        raise Failure(f"{args} --json: expected exit status {want} and an error's fields, got {status}\n{text}")
    return error


def scene_bad_targets(s):
    """What is no program that can be saved: one line says what it is; the tool leaves no directory."""
    zombie = os.fork()
    if zombie == 0:
        os._exit(0)
    wait_for("a zombie", 5, lambda: proc_state(zombie) == "Z")
    error = fails(s, 3, ["can't be saved: it has ended"], "dump", "-t", str(zombie), "-D", s.image)
    if error["target_state"] != "none":
        raise Failure(f"a dead process is said to be {error['target_state']}")
    os.waitpid(zombie, 0)
    fails(s, 4, ["No such process"], "dump", "-t", str(zombie), "-D", s.image)
    if proc_state(2) is not None and os.readlink("/proc/self/ns/pid") == os.readlink("/proc/2/ns/pid"):
        fails(s, 3, ["kernel thread"], "dump", "-t", "2", "-D", s.image)
    if os.path.exists(s.image):
        raise Failure("the refused dumps left a directory")


def scene_bad_places(s):
    """Places that can't be, options that can't be followed: said before anything happens to the program."""
    s.begin(WAITER)
    dump = ["dump", "-t", str(s.pid), "-D"]
    fails(s, 2, ["/etc/passwd", "Not a directory", "-D"], *dump, "/etc/passwd")
    fails(s, 2, ["/etc/passwd/x", "Not a directory", "-D"], *dump, "/etc/passwd/x")
    fails(s, 9, ["/proc/x", "mkdir", "-D"], *dump, "/proc/x")
    fails(s, 2, ["no/log", "open"], *dump, s.image, "--log", "no/log")
    fails(s, 2, ["no/trace", "open"], *dump, s.image, "--trace", "no/trace")
    fails(s, 5, ["no-image", "No such file", "ckpt dump"], "restore", "no-image")
    fails(s, 5, ["/etc/passwd", "an image is a directory"], "show", "/etc/passwd")
    fails(s, 5, ["/etc", "manifest"], "verify", "/etc")
    s.undisturbed()
    s.finish()


NOBODY = 65534


def scene_user(s):
    """A user without any right saves a process of their own into their own store; root brings it back."""
    where = tempfile.mkdtemp(prefix="ckpt-scene-")
    try:
        os.chown(where, NOBODY, NOBODY)
        tool = shutil.copy(CKPT, where)
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": where, "stdin": subprocess.DEVNULL,
               "env": {"XDG_STATE_HOME": os.path.join(where, "state")}, "start_new_session": True}
        program = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who)
        program.returncode = 0
        s.pid = program.pid
        time.sleep(0.1)
        done = subprocess.run([tool, "dump", "-t", str(s.pid), "--json"], capture_output=True, text=True, check=False, **who)
        if done.returncode != 0:
            raise Failure(f"dump as a user: {done.returncode}\n{done.stderr}{done.stdout}")
        image = json.loads(done.stdout)["dir"]
        if os.path.dirname(image) != os.path.join(where, "state", "ckpt"):
            raise Failure(f"the store of a user: {image}")
        if s.reap_in_time() != -signal.SIGKILL:
            raise Failure("the program did not end by the dump")
        done = subprocess.run([tool, "restore", "-d", image], capture_output=True, text=True, check=False, **who)
        if done.returncode != PRIVILEGE:
            raise Failure(f"restore as a user: expected exit status {PRIVILEGE}, got {done.returncode}\n{done.stderr}")
        s.words(done.stderr, "CAP_CHECKPOINT_RESTORE", "root")
        s.ckpt("restore", "-d", image)
        if os.stat(f"/proc/{s.pid}").st_uid != NOBODY:
            raise Failure("the restored program is not the user's")
        os.kill(s.pid, signal.SIGKILL)
        s.reap_in_time()
        other = subprocess.run([tool, "dump", "-t", str(os.getpid())], capture_output=True, text=True, check=False, **who)
        if other.returncode != PRIVILEGE:
            raise Failure(f"another user's process: expected exit status {PRIVILEGE}, got {other.returncode}")
        s.words(other.stderr, "run ckpt as root", "goes on running")
    finally:
        shutil.rmtree(where)


def scene_usage(s):
    """A request that makes no sense is exit status 2, and touches nothing."""
    s.begin(WAITER)
    for args in (["dump"], ["dump", "-t", "0"], ["dump", "-t", str(s.pid), "--no-such-option"], ["no-such-verb"],
                 ["restore"], ["restore", "-D", s.image, "--fd", "5"]):
        status, text = s.ckpt(*args, ok=False)
        if status != 2:
            raise Failure(f"{CKPT} {args}: expected exit status 2, got {status}\n{text}")
    s.undisturbed()
    s.finish()


def scene_limit_above(s):
    """A hard limit above the restorer's, who may not raise it: named before anything is made."""
    if ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE) != 0:
        raise Failure("the capability can't be dropped")
    s.begin(WAITER)
    s.save()
    had = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    less = had // 2
    command = ["prlimit", f"--nofile={less}:{less}", CKPT, "restore", "-D", s.image, "-d"]
    done = subprocess.run(command, cwd=s.dir, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != PRIVILEGE:
        raise Failure(f"restore: expected exit status {PRIVILEGE}, got {done.returncode}\n{done.stderr}")
    s.words(done.stderr, s.pid, "RLIMIT_NOFILE", had, less, "CAP_SYS_RESOURCE")
    s.nothing_left()
    s.restore()
    s.finish()


CLOCKS = """
import time
before = time.monotonic()
ready()
with open("clock", "w") as f:
    f.write(f"{time.monotonic() - before:.6f}")
"""


def scene_clock_reboot(s):
    """On another boot the monotonic clock goes on from the dump: the time that it was dead is not in it."""
    s.begin(CLOCKS)
    began = time.monotonic()
    s.save()
    with open(s.file("boot_id"), "w", encoding="ascii") as f:
        f.write("00000000-1111-2222-3333-444444444444\n")
    time.sleep(1)
    command = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"',
               "sh", s.file("boot_id"), CKPT, "restore", "-D", s.image, "-d"]
    done = subprocess.run(command, cwd=s.dir, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise Failure(f"restore: {done.returncode}\n{done.stderr}")
    with open(f"/proc/{s.pid}/timens_offsets", encoding="ascii") as f:
        offset = [line.split() for line in f][0]
    if not -10 < int(offset[1]) + int(offset[2]) / 1e9 < -0.9:
        raise Failure(f"its clock should be about a second behind: {offset}")
    s.finish()
    passed = time.monotonic() - began
    with open(s.file("clock"), encoding="ascii") as f:
        seen = float(f.read())
    if not 0 <= seen < passed - 0.9:
        raise Failure(f"the clock went on by {seen:.3f} s of {passed:.3f} s, of which it was dead for 1")


TICKS = """
import time
longest, at = 0, time.monotonic()
with open("ready", "w"):
    pass
while not os.path.exists("stop"):
    now = time.monotonic()
    longest, at = max(longest, now - at), now
with open("longest", "w") as f:
    f.write(str(longest))
"""
AWAY_S, NOISE_S = 0.8, 0.3


def scene_away(s):
    """A restore tells how long the program did not run: as long as it finds itself."""
    s.begin(TICKS)
    s.save()
    time.sleep(AWAY_S)
    told = json.loads(s.restore("--json"))["away_ns"] / 1e9
    with open(s.file("stop"), "w", encoding="ascii"):
        pass
    s.verdict(s.reap_in_time())
    with open(s.file("longest"), encoding="ascii") as f:
        found = float(f.read())
    if told < AWAY_S or abs(told - found) > NOISE_S:
        raise Failure(f"away for {told:.3f} s it says, and the program finds {found:.3f} s")
