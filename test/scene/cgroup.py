"""Scenes of control groups: one that is still there, one that is gone, one that is frozen."""
import os
import re
import time

from harness import CONFLICT, Failure, wait_for
from modes import Skip

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


def scene_cgroup_frozen(s):
    """What is frozen can be neither dumped nor put back: refused, naming the group."""
    frozen(s, Group("cgroup2", "rw"), ("cgroup.freeze", 1), ("cgroup.freeze", 0))


def scene_cgroup_frozen_v1(s):
    """The same of the freezer of version 1."""
    frozen(s, Group("cgroup", "freezer"), ("freezer.state", "FROZEN"), ("freezer.state", "THAWED"))
