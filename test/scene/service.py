"""What scenes of the service share: `ckpt serve` of their own, its callers, and a program to be saved."""
import json
import os
import subprocess
import sys

from harness import CKPT, CONTRIB, Failure, wait_for

sys.path.insert(0, CONTRIB)
from ckpt_client import Client, Error  # noqa: E402

PARSE, INVALID, UNKNOWN, PARAMS, OPERATION = -32700, -32600, -32601, -32602, -32000
REFUSED, TARGET, PRIVILEGE, SYSTEM, CANCELLED = 3, 4, 8, 9, 10  # kinds of failure

# Counts in a file, until it is told to end; then says so.
COUNTER = """
import time
n = 0
import threading
signal.pthread_sigmask(signal.SIG_UNBLOCK, [GO])
ended = []
signal.signal(GO, lambda *_: ended.append(1))
with open("ready", "w"):
    pass
while not ended:
    n += 1
    with open("count", "w") as f:
        f.write(str(n))
    time.sleep(0.005)
sys.exit(7)
"""


class Service:
    """`ckpt serve` of its own, at an address that nobody else has."""

    def __init__(self, s, *more, **options):
        self.s, self.path = s, options.pop("path", "@ckpt-scene-%d" % os.getpid())
        with open(s.file("log"), "ab") as log:
            self.proc = subprocess.Popen([CKPT, "serve", "--socket", self.path, *more], cwd=options.pop("cwd", "/"),
                                         stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        wait_for("the service", 10, self.answers)

    def answers(self):
        try:
            with Client(self.path, timeout=5) as c:
                return c.ping() == "pong"
        except OSError:
            return False

    def client(self, **options):
        return Client(self.path, timeout=30, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.terminate()
        status = self.proc.wait(10)
        if status != 0 and sys.exc_info()[0] is None:
            raise Failure(f"the service ended with {status}")


def expect(got, want, what):
    if got != want:
        raise Failure(f"{what}: expected {want!r}, got {got!r}")


def fails(code, function, *words, **params):
    """The call is an error of this code whose text has these words."""
    try:
        result = function(**params)
    except Error as e:
        expect(e.code, code, f"the code of {e}")
        for word in words:
            if word not in str(e):
                raise Failure(f"the error does not say '{word}': {e}") from None
        return e.data
    raise Failure(f"no error of code {code}, but {result!r}")


def count(s):
    with open(s.file("count"), encoding="ascii") as f:
        return int(f.read() or 0)


def counts_on(s):
    now = count(s)
    wait_for("the program to count", 10, lambda: count(s) > now)


def as_user(uid):
    def become():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    return become


ASK = """
import json, sys
sys.path.insert(0, %r)
from ckpt_client import Client, Error
with Client(%r, timeout=30) as c:
    for method, params in json.loads(sys.argv[1]):
        try:
            print(json.dumps({"result": c.call(method, **params)}), flush=True)
        except Error as e:
            print(json.dumps({"error": e.code, "text": str(e)}), flush=True)
"""


def ask_as(service, uid, *calls):
    """What a user other than root gets for these calls."""
    done = subprocess.run(["/usr/bin/python3", "-c", ASK % (CONTRIB, service.path), json.dumps(calls)], check=True,
                          stdout=subprocess.PIPE, preexec_fn=as_user(uid), cwd="/")
    return [json.loads(line) for line in done.stdout.splitlines()]
