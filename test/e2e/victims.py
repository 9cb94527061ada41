"""The victims of this folder: their markers (see victim.h), arguments and programs."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("E2E_BUILD", os.path.join(ROOT, "build"))
BIN = os.path.join(BUILD, "e2e")


class Victim:
    """One program with one argument; its name is `base` or `base-arg`."""

    def __init__(self, base, source, arg, text):
        self.base, self.source, self.arg = base, source, arg
        self.name = base if arg is None else f"{base}-{arg}"
        self.settle, self.timeout = 0.05, 60.0
        self.isa = os.uname().machine
        self.cflags, self.session, self.stopped, self.refuse, self.no = [], True, False, None, {}
        self.may_fail, self.leave_refused, self.gone, self.options = False, None, False, []
        self.devpts = self.slow = self.exec = False
        self.needs = None
        for key, args, value in re.findall(
                r"e2e: (\w[\w ,]*?)(?: for ([\w,+-]+))?: *([^\n*]*?) *(?:\*/|\n)", text):
            if args and arg not in args.split(","):
                continue
            self.marker(key, value)

    def marker(self, key, value):
        if key.startswith("no "):
            for mode in re.split(r"[, ]+", key[3:]):
                self.no[mode] = value
        elif key in ("settle", "timeout"):
            setattr(self, key, float(value))
        elif key == "cflags":
            self.cflags = value.split()
        elif key == "session":
            self.session = value != "inherit"
        elif key == "isa":
            self.isa = value
        elif key == "leave refused":
            self.leave_refused = value
        elif key == "dump":
            self.may_fail = value == "may fail"
        elif key == "options":
            self.options = value.split()
        elif key == "gone":
            self.gone = True
        elif key == "devpts":
            self.devpts = value == "own"
        elif key == "slow":
            self.slow = value == "yes"
        elif key == "exec":
            self.exec = value == "yes"
        elif key == "stopped":
            self.stopped = True
        elif key == "refuse":
            self.refuse = value
        elif key == "needs":
            self.needs = value
        elif key != "args":
            sys.exit(f"{self.source}: unknown marker '{key}'")

    def binary(self):
        return os.path.join(BIN, self.base)

    def modes(self, wanted, named=False):
        """The modes of `wanted` that this victim is for: a refused one only runs plain and refuse.

        named: they were asked for by name; exec and pidns are for some victims only, as long as they are not.
        """
        return [m for m in wanted if (m in ("plain", "refuse") if self.refuse else m != "refuse")
                and (m != "slow" or self.slow) and (m not in ("exec", "pidns") or self.exec or named)]


def victims_load():
    found = []
    for file in sorted(os.listdir(HERE)):
        if not file.endswith(".c"):
            continue
        source = os.path.join(HERE, file)
        with open(source) as f:
            text = f.read()
        args = " ".join(re.findall(r"e2e: args: *([^*\n]*)", text)).split()
        for arg in args or [None]:
            found.append(Victim(file[:-2], source, arg, text))
    return [v for v in found if v.isa == os.uname().machine]


def victim_build(victim):
    """Compiles the program if its source, or a header beside it, is newer."""
    headers = [os.path.join(HERE, f) for f in os.listdir(HERE) if f.endswith(".h")]
    newest = max(os.path.getmtime(f) for f in [victim.source] + headers)
    out = victim.binary()
    if os.path.exists(out) and os.path.getmtime(out) > newest:
        return None
    os.makedirs(BIN, exist_ok=True)
    cmd = [os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-pthread", "-I", HERE,
           victim.source, "-o", out + ".new"] + victim.cflags
    done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        return done.stdout
    sys.stderr.write(done.stdout)
    os.rename(out + ".new", out)
    return None
