"""Scenes of the service: `ckpt serve`, spoken to by contrib/ckpt_client.py and byte by byte."""
import errno
import json
import os
import random
import signal
import socket
import subprocess
import time

from harness import CKPT, CONTRIB, ROOT, Failure, no_children, proc_state, wait_for
from service import (CANCELLED, COUNTER, INVALID, OPERATION, PARAMS, PARSE, PRIVILEGE,
                     SYSTEM, TARGET, UNKNOWN, Service, as_user, ask_as, counts_on, expect, fails)


def raw(service, data, shut=True):
    """What the service says to these bytes, until it closes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as c:
        c.settimeout(20)
        c.connect("\0" + service.path[1:])
        got = b""
        try:
            c.sendall(data)
            if shut:
                c.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass  # it was too much
        while True:
            try:
                more = c.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return got
            got += more


def request(number, method, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def scene_serve_protocol(s):
    """JSON-RPC 2.0: responses, errors of the specification, notifications, batches, two framings."""
    def says(data, *answers):
        expect([json.loads(line) for line in raw(service, data).splitlines()], list(answers), f"the answer to {data!r}")

    def error(number, code, message):
        return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}

    def line(value):
        return json.dumps(value).encode() + b"\n"
    pong = {"jsonrpc": "2.0", "id": 1, "result": "pong"}
    with Service(s) as service:
        says(line(request(1, "ping")), pong)
        says(line(request(1, "ping"))[:-1], pong)  # the last line needs no end
        says(b"\n \r\n" + line(request(1, "ping")) * 2, pong, pong)
        says(line({"jsonrpc": "2.0", "method": "ping"}))
        says(line(request(None, "ping")), dict(pong, id=None))
        says(line(request("a", "ping")), dict(pong, id="a"))
        got = json.loads(raw(service, b"{\n"))
        expect((got["id"], got["error"]["code"]), (None, PARSE), "the answer to half an object")
        says(b"[" * 33 + b"]" * 33 + b"\n",
             error(None, PARSE, "more than 32 arrays and objects in each other"))
        invalid = "this is no request of JSON-RPC 2.0"
        says(line({"id": 1, "method": "ping"}), error(1, INVALID, invalid))
        says(line({"jsonrpc": "2.0", "id": [], "method": "ping"}), error(None, INVALID, invalid))
        says(line([]), error(None, INVALID, "an empty batch"))
        says(line([1, 2]), [error(None, INVALID, invalid)] * 2)
        says(line(request(1, "nothing")), error(1, UNKNOWN, "no such method; rpc.discover lists them"))
        says(line([request(1, "ping"), {"jsonrpc": "2.0", "method": "ping"}, request(2, "ping")]),
             [pong, dict(pong, id=2)])
        says(line([{"jsonrpc": "2.0", "method": "ping"}] * 3))
        body = line(request(1, "ping"))[:-1]
        reply = json.dumps(pong, separators=(",", ":")).encode()
        got = raw(service, b"Content-Type: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        head, _, text = got.partition(b"\r\n\r\n")
        expect(json.loads(text), json.loads(reply), "the answer behind a header")
        expect(head, b"Content-Length: %d" % len(text), "the header")
        with service.client() as c:
            fails(PARAMS, c.dump, "--pid is missing")
            fails(PARAMS, c.dump, "no_such", pid=1, no_such=1)
            fails(PARAMS, c.dump, "neither true, false, a number nor text", pid={})
            fails(PARAMS, c.show, "absolute", dir="here")
            data = fails(OPERATION - TARGET, c.dump, "No such process", pid=4194304, dir=s.image)
            expect((data["kind"], data["errno"], data["pid"], data["target_state"]), ("target", 3, 4194304, "none"),
                   "the data of the error")


def scene_serve_discover(s):
    """rpc.discover names every verb and every parameter that the command line has."""
    with Service(s) as service, service.client() as c:
        document = c.call("rpc.discover")
    methods = {m["name"]: {p["name"] for p in m["params"]} for m in document["methods"]}
    for verb in ("dump", "restore", "show", "verify", "diff", "check", "explain"):
        text = s.ckpt(verb, "--help")
        names = {w.strip(" ,").lstrip("-").split("=")[0].split("[")[0].split(" ")[0].replace("-", "_")
                 for w in text.replace(", --", "\n  --").splitlines() if w.startswith("  --") or w.startswith("      --")}
        names -= {"json", "help", "log", "faults", "exec"}  # of the command alone: test/unit/lib/parity.c says why
        if not names <= methods[verb]:
            raise Failure(f"{verb}: the service lacks {names - methods[verb]}")


def scene_serve_document(s):
    """docs/RPC.md has the methods as they are; `make rpc-doc` writes them."""
    with open(os.path.join(ROOT, "docs", "RPC.md"), encoding="utf-8") as f:
        written = f.read().partition("## Methods\n")[2]
    with open(s.file("log.rpc"), "w+", encoding="utf-8") as f:
        subprocess.run([CKPT, "help", "--rpc"], stdout=f, check=True)
        f.seek(0)
        if f.read() != written:
            raise Failure("docs/RPC.md is out of date: make rpc-doc")


def scene_serve_dump_restore(s):
    """A program is dumped, dies, and comes back, by requests alone; a wait is told how it ended."""
    told = []
    with Service(s) as service, service.client(notified=lambda *m: told.append(m)) as c:
        s.begin(COUNTER)
        kept = c.dump(pid=s.pid, dir=s.image, leave_running=True)
        expect((kept["tasks"], kept["threads"], kept["dir"], kept["target"]), (1, 1, s.image, "running"), "the result")
        counts_on(s)
        saved = c.dump(pid=s.pid, dir=s.image, force=True)
        expect(s.reap_in_time(), -signal.SIGKILL, "the end of the program")
        expect(c.verify(dir=s.image)["crid"], saved["crid"], "the crid of the image")
        expect(c.show(dir=s.image)["manifest"]["root_pid"], s.pid, "the root that is shown")
        expect(c.diff(dir_a=s.image, dir_b=s.image)["differences"], [], "the differences of an image from itself")
        back = c.restore(dir=s.image)
        expect((back["pid"], back["crid"]), (s.pid, saved["crid"]), "the result of the restore")
        counts_on(s)
        waiting = c.begin("wait", pid=s.pid)
        os.kill(s.pid, signal.SIGRTMAX - 1)
        expect(c.finish(waiting)["exit_code"], 7, "the exit code")
        expect(c.ping(), "pong", "the answer afterwards")
        ends = [p for m, p in told if m == "exit"]
        expect([(p["pid"], p["exit_code"]) for p in ends], [(s.pid, 7)], "the notifications of its end")


def scene_serve_detached(s):
    """What was restored detached outlives the service; what was not outlives the connection."""
    for detach in True, False:
        s.begin(COUNTER)
        with Service(s) as service:
            with service.client() as c:
                c.dump(pid=s.pid, dir=s.image, force=True)
                s.reap_in_time()
                c.restore(dir=s.image, detach=detach)
        counts_on(s)
        os.kill(s.pid, signal.SIGRTMAX - 1)
        wait_for("its end", 10, lambda: proc_state(s.pid) in (None, "Z"))
        s.nothing_left()
        os.unlink(s.file("ready"))


def scene_serve_wait(s):
    """A wait is told how a process ended, whoever has restored it, where that is the caller's business."""
    for detach in False, True:
        s.begin(COUNTER)
        with Service(s) as service, service.client() as c, service.client() as other:
            c.dump(pid=s.pid, dir=s.image, force=True)
            s.reap_in_time()
            c.restore(dir=s.image, detach=detach)
            waiting = [client.begin("wait", pid=s.pid) for client in (c, other, other)]
            user = subprocess.Popen(["/usr/bin/python3", "-c", ASK_WAIT % (CONTRIB, service.path, s.pid)], cwd="/",
                                    stdout=subprocess.PIPE, preexec_fn=as_user(54321))
            user.stdout.readline()
            os.kill(s.pid, signal.SIGRTMAX - 1)
            wait_for("its end", 10, lambda: proc_state(s.pid) in (None, "Z"))
            no_children()  # the parent of what was restored detached
            want = {"pid": s.pid, "exit_code": 7}
            for client, number in zip((c, other, other), waiting):
                got = client.finish(number)
                expect({k: got[k] for k in ("pid", "exit_code") if k in got}, want, f"the answer, detach={detach}")
            expect(json.loads(user.stdout.read()), {"pid": s.pid}, "what another user is told")
            user.wait()
            fails(OPERATION - TARGET, c.wait, "no such process", pid=4194304)
            for bad in 0, -1, 2 ** 32 + 1, "1", None:
                fails(PARAMS, c.wait, "pid", pid=bad)
        os.unlink(s.file("ready"))


def scene_serve_restore_cut(s):
    """A restore whose caller goes away in the middle leaves all of the tree, or nothing of it."""
    rng = random.Random(int(os.environ.get("CKPT_SEED", "1")))
    s.begin(TREE)
    tree = [int(n) for n in open(s.file("tree"), encoding="ascii").read().split()]
    with Service(s) as service:
        with service.client() as c:
            c.dump(pid=s.pid, dir=s.image)
        wait_for("the tree to die", 10, lambda: all(proc_state(p) in (None, "Z") for p in tree))
        s.reap_in_time()
        no_children()
        for n in range(8):
            c = service.client()
            c.begin("restore", dir=s.image)
            time.sleep(rng.random() * (0.02 if n < 4 else 0.1))
            c.close()
            wait_for("the end of its worker", 10, lambda: not others_than(service.proc.pid, tree))
            alive = [p for p in tree if proc_state(p) not in (None, "Z")]
            if alive and alive != tree:
                raise Failure(f"of the tree {tree} only {alive} are left")
            if alive:
                before = os.stat(s.file("count")).st_mtime_ns
                wait_for("the tree to run", 10, lambda b=before: os.stat(s.file("count")).st_mtime_ns > b)
                for p in tree:
                    os.kill(p, signal.SIGKILL)
                wait_for("the tree to die", 10, lambda: all(proc_state(p) in (None, "Z") for p in tree))
                no_children()


# 600 MiB that take a while to be saved.
LARGE = """
block = bytearray(os.urandom(1 << 20)) * 600
""" + COUNTER


def scene_serve_cancel(s):
    """A dump that is cancelled, or whose caller goes away, leaves the program running, and no image."""
    with Service(s) as service:
        s.begin(LARGE)
        with service.client() as c:
            begun = c.begin("dump", pid=s.pid, dir=s.image)
            time.sleep(0.05)
            expect(c.call("cancel", id=begun), {"cancelled": True}, "the answer to cancel")
        with service.client() as c:
            c.begin("dump", pid=s.pid, dir=s.image)
            time.sleep(0.05)
        with service.client() as c:
            wait_for("the end of that dump", 10, lambda: len(others_than(service.proc.pid, ())) <= 1)  # the session of this one
            begun = c.begin("dump", pid=s.pid, dir=s.image)
            time.sleep(0.02)
            c.begin("cancel", id=begun)
            fails(OPERATION - CANCELLED, lambda: c.finish(begun), "cancelled")
            counts_on(s)
            wait_for("no image", 10, lambda: not os.path.exists(s.image) or not os.listdir(s.image))
            c.dump(pid=s.pid, dir=s.image, leave_running=True)


ASK_WAIT = """
import json, sys
sys.path.insert(0, %r)
from ckpt_client import Client
with Client(%r, timeout=30) as c:
    begun = c.begin("wait", pid=%d)
    print("begun", c.ping(), flush=True)
    print(json.dumps(c.finish(begun)))
"""

# Three processes, one of which counts.
TREE = """
import time
def count():
    n = 0
    while True:
        n += 1
        with open("count", "w") as f:
            f.write(str(n))
        time.sleep(0.005)
block = bytearray(os.urandom(1 << 20)) * 60
pids = [os.getpid()]
for child in (count, lambda: time.sleep(1000)):
    pid = os.fork()
    if pid == 0:
        child()
    pids.append(pid)
with open("tree", "w") as f:
    f.write(" ".join(map(str, pids)))
with open("ready", "w"):
    pass
while True:
    time.sleep(1)
"""


def others_than(pid, tree):
    """The descendants of a process that are not of the tree: sessions and workers."""
    out = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, check=False, text=True).stdout
    rows = [(int(r[0]), int(r[1])) for r in (line.split() for line in out.splitlines()) if not r[2].startswith("Z")]
    found, grown = {pid}, True
    while grown:
        more = {p for p, parent in rows if parent in found and p not in tree} - found
        found, grown = found | more, bool(more)
    return found - {pid}


def scene_serve_user(s):
    """A user may do with the service what it could do itself: nothing of others' processes and files."""
    uid, other = 54321, 54322
    place = f"/tmp/ckpt-scene-{os.getpid()}"
    os.mkdir(place)
    os.chown(place, uid, uid)
    secret = s.file("secret")
    with open(secret, "w", encoding="ascii") as f:
        f.write("fd 1=close\n")
    os.chmod(secret, 0o600)
    own = subprocess.Popen(["/bin/sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, preexec_fn=as_user(uid), cwd="/")
    foreign = subprocess.Popen(["/bin/sleep", "1000"], preexec_fn=as_user(other), cwd="/")
    try:
        with Service(s) as service:
            s.begin(COUNTER)
            got = ask_as(service, uid, ("dump", {"pid": s.pid, "dir": place + "/a"}),
                         ("dump", {"pid": foreign.pid, "dir": place + "/b"}),
                         ("explain", {"pid": s.pid}),
                         ("dump", {"pid": own.pid, "dir": "/etc/ckpt-scene"}),
                         ("dump", {"pid": own.pid, "dir": place + "/c", "policy": secret}),
                         ("dump", {"pid": own.pid, "dir": place + "/c", "leave_running": True}))
            for i, words in enumerate((["not permitted", "denied"], ["not permitted", "denied"], None, ["denied"], ["denied"])):
                if words and ("error" not in got[i] or not any(w in got[i]["text"] for w in words)):
                    raise Failure(f"call {i}: {got[i]}")
            if "result" not in got[5]:
                raise Failure(f"its own process: {got[5]}")
            expect(os.stat(place + "/c").st_uid, uid, "the owner of the image")
            expect(proc_state(foreign.pid), "S", "the state of the other user's process")
            # what it can't do by itself, as it takes a right that only the service has: its own pid again
            got = ask_as(service, uid, ("dump", {"pid": own.pid, "dir": place + "/d"}))
            own.wait()
            got += ask_as(service, uid, ("restore", {"dir": place + "/d", "detach": True}))
            if "result" not in got[1]:
                raise Failure(f"its own process is not brought back: {got}")
            expect(os.stat(f"/proc/{own.pid}").st_uid, uid, "the owner of what came back")
            with open(f"/proc/{own.pid}/status", encoding="ascii") as f:
                expect([line.split()[1] for line in f if line.startswith("CapPrm")], ["0000000000000000"], "its capabilities")
            os.kill(own.pid, signal.SIGKILL)
            # an image whose process is root's is not brought back for a user
            with service.client() as c:
                c.dump(pid=s.pid, dir=place + "/root", leave_running=False)
            s.reap_in_time()
            subprocess.run(["chown", "-R", str(uid), place + "/root"], check=True)
            got = ask_as(service, uid, ("restore", {"dir": place + "/root", "detach": True}))
            if got[0].get("error") != OPERATION - PRIVILEGE:
                raise Failure(f"a restore of root's process: {got[0]}")
            expect(proc_state(s.pid), None, "the state of root's process")
    finally:
        own.kill()
        foreign.kill()
        own.wait()
        foreign.wait()
        subprocess.run(["rm", "-r", place], check=True)


def scene_serve_command(s):
    """`ckpt --socket PATH VERB ...` does what `ckpt VERB ...` does, in the caller's directory."""
    path = s.file("socket")
    with Service(s, path=path):
        s.begin(COUNTER)
        text = s.ckpt("--socket", path, "dump", "-t", str(s.pid), "-D", os.path.basename(s.image))
        s.words(text, f"saved pid {s.pid} as checkpoint", "it is gone")
        s.reap_in_time()
        status, text = s.ckpt("--socket", path, "show", "-D", "nowhere", ok=False)
        expect(status, 5 if "image" in text else status, "the exit status")
        s.ckpt("--socket", path, "restore", "-d", "-D", s.image)
        counts_on(s)
        text = s.ckpt("call", "--socket", path, "explain", json.dumps({"pid": s.pid}))
        expect(json.loads(text)["pid"], s.pid, "the pid of the result")
        os.kill(s.pid, signal.SIGKILL)
        # the fourth descriptor of a command is its directory
        with socket.socket(socket.AF_UNIX) as c, open(os.devnull, "rb") as null:
            c.settimeout(10)
            c.connect(path)
            socket.send_fds(c, [json.dumps(request(1, "command", argv=["check"])).encode() + b"\n"], [null.fileno()] * 4)
            error = json.loads(c.recv(65536))["error"]
            expect((error["code"], error["data"]["errno"]), (OPERATION - SYSTEM, errno.ENOTDIR), "the error of a wrong directory")
    if os.path.exists(path):
        raise Failure("the socket is left")


def scene_serve_garbage(s):
    """Whoever sends rubbish, half a message, or nothing, harms nobody else."""
    rng = random.Random(int(os.environ.get("CKPT_SEED", "1")))
    good = json.dumps([request(1, "check"), request(2, "explain", pid=1), request(3, "wait", pid=1)]).encode() + b"\n"
    with Service(s) as service:
        silent = [service.client() for _ in range(10)]
        half = service.client()
        half.socket.sendall(b'{"jsonrpc": "2.0", "id": 1')
        for _ in range(200):
            data = bytearray(good)
            for _ in range(rng.randrange(1, 20)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            data = rng.choice((bytes(data), rng.randbytes(rng.randrange(1, 5000)), b"Content-Length: " + bytes(data)))
            c = service.client()
            c.socket.sendall(data)
            if rng.random() < 0.5:
                c.socket.shutdown(socket.SHUT_WR)
            c.close()
        raw(service, b"x" * (2 << 20))
        raw(service, b"Content-Length: 99999999999\r\n\r\n")
        with service.client() as c:
            expect(c.ping(), "pong", "the answer to somebody else")
        for c in silent + [half]:
            c.close()

        def alone():
            out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(service.proc.pid)], stdout=subprocess.PIPE, check=False)
            return not out.stdout.split()
        wait_for("all sessions to end", 20, alone)
