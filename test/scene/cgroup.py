"""Scenes of control groups: one that is still there, one that is gone, one that is frozen."""
import json
import os
import re
import time

from harness import CONFLICT, Failure, wait_for
from trial import Skip

REFUSED = 3  # ckpt's exit status

# Says in the file `result` in which group it is, and how many processes it may make.
WHERE = """
ready()
with open("/proc/self/cgroup") as f, open("result", "w") as out:
    out.write(f.read())
"""


def mount_of(kind, word):
    """Where a hierarchy is mounted as a whole, and our own path in it."""
    point = None
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            left, right = line.split(" - ")
            if right.split()[0] == kind and word in right.split()[2].split(",") and left.split()[3] == "/":
                point = left.split()[4]
    if not point:
        raise Skip(f"no {kind} of {word} is mounted")
    with open("/proc/self/cgroup", encoding="utf-8") as f:
        own = re.search(r"^0::(.*)$" if kind == "cgroup2" else rf"^\d+:[^:]*\b{word}\b[^:]*:(.*)$", f.read(), re.M)
    return point, own.group(1).rstrip("/")


class Group:
    """Groups below ours, gone at the end."""

    def __init__(self, kind, word, *names):
        point, own = mount_of(kind, word)
        self.made, self.path = [], f"{own}/ckpt-scene-{os.getpid()}"
        self.dir = point + self.path
        self.make()
        for name in names:
            self.path, self.dir = f"{self.path}/{name}", f"{self.dir}/{name}"
            self.make()

    def make(self):
        try:
            os.mkdir(self.dir)
        except OSError as e:
            raise Skip(f"{self.dir}: {e.strerror}") from None
        self.made.append(self.dir)

    def put(self, name, value):
        with open(f"{self.dir}/{name}", "w", encoding="utf-8") as f:
            f.write(str(value))

    def get(self, name):
        with open(f"{self.dir}/{name}", encoding="utf-8") as f:
            return f.read().strip()

    def gone(self):
        for path in reversed(self.made):
            def away(path=path):
                try:
                    os.rmdir(path)
                except FileNotFoundError:
                    pass
                except OSError:
                    return False
                return True
            wait_for(f"{path} to be free", 5, away)


def saved_in(s, group):
    s.begin(WHERE)
    group.put("cgroup.procs", s.pid)
    s.save()


def result(s, group, inside):
    s.finish()
    with open(s.file("result"), encoding="utf-8") as f:
        text = f.read()
    if (f":{group.path}\n" in text) != inside:
        raise Failure(f"expected to be {'in' if inside else 'out of'} {group.path}, got\n{text}")


def scene_cgroup_gone(s):
    """The group is gone: a warning that names it and the option, and it is where the restore is."""
    group = Group("cgroup2", "rw", "inner")
    try:
        saved_in(s, group)
        group.gone()
        s.words(s.restore(), f"cgroup {group.path}", "is gone", "--cgroups=make")
        result(s, group, False)
    finally:
        group.gone()


def scene_cgroup_ignore(s):
    """With --cgroups=ignore nothing is moved, and nothing is said."""
    group = Group("cgroup2", "rw")
    try:
        saved_in(s, group)
        s.no_words(s.restore("--cgroups=ignore"), "cgroup")
        result(s, group, False)
    finally:
        group.gone()


def scene_cgroup_make(s):
    """With --cgroups=make a group that is gone is there again, and the one above it, with what was set."""
    group = Group("cgroup", "pids", "inner")
    try:
        group.put("pids.max", 17)
        saved_in(s, group)
        group.gone()
        s.restore("--cgroups=make")
        if group.get("pids.max") != "17":
            raise Failure(f"pids.max: expected 17, got {group.get('pids.max')}")
        result(s, group, True)
    finally:
        group.gone()


def scene_cgroup_plan(s):
    """--plan tells who is put where, with or without its group being there, and makes nothing."""
    group = Group("cgroup2", "rw", "inner")
    try:
        saved_in(s, group)
        text = s.ckpt("restore", "-D", s.image, "--plan")
        s.words(text, f"cgroup: this command puts it into  {group.path} (version 2)")
        task = json.loads(s.ckpt("restore", "-D", s.image, "--plan", "--json"))["tasks"][0]
        want = [{"hierarchy": "version 2", "path": group.path, "made": False}]
        if task["threads"][0]["cgroups"] != want:
            raise Failure(f"expected {want}, got {task['threads'][0]['cgroups']}")
        group.gone()
        text = s.ckpt("restore", "-D", s.image, "--plan", "--cgroups=make")
        s.words(text, f"one that is made anew  {group.path} (version 2)")
        if os.path.exists(group.dir):
            raise Failure(f"--plan has made {group.dir}")
        text = s.ckpt("restore", "-D", s.image, "--plan")
        s.words(text, f"cgroup {group.path}", "is gone")
        s.no_words(text, "cgroup: this command puts it into")
        s.no_words(s.ckpt("restore", "-D", s.image, "--plan", "--cgroups=ignore"), group.path)
    finally:
        group.gone()


def scene_cgroup_make_v2(s):
    """The same of version 2, with a limit on what is below it."""
    group = Group("cgroup2", "rw", "inner")
    try:
        group.put("cgroup.max.depth", 3)
        saved_in(s, group)
        group.gone()
        s.restore("--cgroups=make")
        if group.get("cgroup.max.depth") != "3":
            raise Failure(f"cgroup.max.depth: expected 3, got {group.get('cgroup.max.depth')}")
        result(s, group, True)
    finally:
        group.gone()


def scene_cgroup_make_fails(s):
    """A restore that fails takes away the groups that it has made."""
    group = Group("cgroup2", "rw")
    try:
        saved_in(s, group)
        group.gone()
        status, _ = s.ckpt("restore", "-D", s.image, "-d", "--cgroups=make", fault="restore.threads", ok=False)
        if status == 0:
            raise Failure("the fault point did not fail")
        if os.path.exists(group.dir):
            raise Failure(f"{group.dir} was left behind")
    finally:
        group.gone()


def frozen(s, group, freeze, thaw):
    try:
        s.begin(WHERE)
        group.put("cgroup.procs", s.pid)
        group.put(*freeze)
        time.sleep(0.05)
        status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, ok=False)
        if status != REFUSED:
            raise Failure(f"dump: expected exit status {REFUSED}, got {status}\n{text}")
        s.words(text, f"cgroup {group.path}", "frozen")
        group.put(*thaw)
        s.save()
        group.put(*freeze)
        s.restore_fails(CONFLICT, f"cgroup {group.path}", "is frozen", "--cgroups=ignore")
        group.put(*thaw)
        s.restore()
        result(s, group, True)
    finally:
        group.put(*thaw)
        group.gone()


# A thread more, whose number is in the file `tid`; it says in `result` where it is, and the first in `first`.
TWO_THREADS = """
import threading
def where(path):
    with open("/proc/thread-self/cgroup") as f, open(path, "w") as out:
        out.write(f.read())
over = threading.Event()
def thread():
    with open("tid", "w") as f:
        f.write(str(threading.get_native_id()))
    over.wait()
    where("result")
t = threading.Thread(target=thread)
t.start()
while not os.path.exists("tid") or not os.path.getsize("tid"):
    pass
ready()
where("first")
over.set()
t.join()
"""


def scene_cgroup_make_threaded(s):
    """A threaded group that is gone is made as one, and the thread that was in it is in it again; so says --plan."""
    group = Group("cgroup2", "rw", "inner")
    outer, domain = group.dir.rsplit("/", 1)[0], group.path.rsplit("/", 1)[0]
    try:
        group.put("cgroup.type", "threaded")
        s.begin(TWO_THREADS)
        with open(s.file("tid"), encoding="utf-8") as f:
            tid = f.read()
        with open(f"{outer}/cgroup.procs", "w", encoding="utf-8") as f:
            f.write(str(s.pid))
        group.put("cgroup.threads", tid)
        s.save()
        group.gone()
        plan = s.ckpt("restore", "-D", s.image, "--plan", "--cgroups=make")
        s.words(plan, f"made anew  {domain} (version 2)", f"made anew  {group.path} (version 2)")
        s.restore("--cgroups=make")
        if group.get("cgroup.type") != "threaded" or group.get("cgroup.threads") != tid:
            raise Failure(f"{group.get('cgroup.type')}: threads {group.get('cgroup.threads')}, expected {tid}")
        result(s, group, True)
        with open(s.file("first"), encoding="utf-8") as f:
            if f":{domain}\n" not in f.read():
                raise Failure(f"the first thread is not in {domain}")
    finally:
        group.gone()


def scene_cgroup_frozen(s):
    """What is frozen can be neither dumped nor put back: refused, naming the group."""
    frozen(s, Group("cgroup2", "rw"), ("cgroup.freeze", 1), ("cgroup.freeze", 0))


def scene_cgroup_frozen_v1(s):
    """The same of the freezer of version 1."""
    frozen(s, Group("cgroup", "freezer"), ("freezer.state", "FROZEN"), ("freezer.state", "THAWED"))
