#!/usr/bin/env python3
"""Sends mutated messages to a living service over many connections, as root and as a user without rights.

  socket_fuzz.py CKPT [SECONDS [SEED]]     CKPT: the command, best built with sanitizers (make fuzz-socket)

What may come of it is an answer, an error, or a closed connection. Afterwards the service must answer, have no
session, no descriptor and no process left, the targets must run, and no sanitizer may have said anything.
"""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

NOBODY = 65534


def requests(targets, place):
    """Messages that do something, from which the others are made."""
    def line(*values):
        return b"".join(json.dumps(v).encode() + b"\n" for v in values)

    def r(number, method, **params):
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    pid, directory = random.choice(targets), f"{place}/{random.randrange(8)}"
    dump = r(1, "dump", pid=pid, dir=directory, leave_running=True, force=True)
    return random.choice((
        line(dump), line(dump, r(2, "cancel", id=1)), line([dump, r("x", "explain", pid=pid), r(3, "ping")]),
        line(r(1, "verify", dir=directory), r(2, "show", dir=directory)), line(r(1, "restore", dir=directory, detach=True)),
        line(r(1, "restore", dir=directory, plan=True)), line(r(1, "diff", dir_a=directory, dir_b=directory)),
        line(r(1, "wait", pid=pid), r(2, "rpc.discover")), line(r(1, "command", argv=["show", directory])),
        line(r(1, "dump", pid=pid, dir=directory, leave_running=True, hook=["/bin/true", "before-dump=/bin/false"])),
        b"Content-Length: %d\r\n\r\n" % len(line(dump)) + line(dump), b"[" * random.randrange(1, 50) + b"\n"))


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 5, 20))):
        at, kind = rng.randrange(len(data)), rng.randrange(5)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at:at + rng.randrange(1, 10)]
        elif kind == 2:
            data[at:at] = data[at:at + rng.randrange(1, 40)] * rng.randrange(1, 30)
        elif kind == 3:
            data[at:at] = rng.choice((b"-1", b"99999999999999999999", b"null", b"\\u0000", b"{}", b"[]", b"\x00", b"\xff", b"1e999"))
        else:
            del data[at:]
        data = data or bytearray(b"\n")
    return bytes(data)


def is_crash(answer):
    """A worker died of something else than the wish that it ends."""
    return b"ended without a reply" in answer and b"(signal 15)" not in answer


def one_client(address, targets, place, until, seed):
    rng = random.Random(seed)
    random.seed(seed)
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(2)
            try:
                c.connect(address)
                for _ in range(rng.randrange(1, 6)):
                    data = mutated(rng, requests(targets, place))
                    fds = [0, 1, 2][:rng.randrange(4)] if rng.random() < 0.3 else []
                    socket.send_fds(c, [data[:1]], fds)
                    c.sendall(data[1:])
                    if rng.random() < 0.6 and is_crash(c.recv(65536)):
                        os._exit(1)
                if rng.random() < 0.5:
                    c.shutdown(socket.SHUT_WR)
                    if is_crash(c.recv(65536)):
                        os._exit(1)
            except OSError:
                pass


def become(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def children(pid):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, check=False, text=True).stdout
    return [int(n) for n in out.split()]


def main():
    ckpt, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else int(time.time())
    print(f"seed {seed}", flush=True)
    name, base = f"ckpt-fuzz-{os.getpid()}", tempfile.mkdtemp()
    place = f"{base}/of/the/fuzzer/only"  # what a mutation changes in the name is below as well, most of the time
    os.makedirs(place)
    for part in "", "/of", "/of/the", "/of/the/fuzzer", "/of/the/fuzzer/only":
        os.chmod(base + part, 0o711)
    log = open(f"{place}/log", "w+b")
    os.mkdir(f"{place}/said")  # by sanitizers, in whatever process, as whatever user
    os.chmod(f"{place}/said", 0o777)
    said = f"log_path={place}/said/by"
    env = dict(os.environ, ASAN_OPTIONS=f"detect_leaks=0:abort_on_error=1:{said}",
               UBSAN_OPTIONS=f"halt_on_error=1:print_stacktrace=1:{said}")
    server = subprocess.Popen([ckpt, "serve", "--socket", "@" + name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=base)
    targets, clients = {}, []
    for uid in (0, NOBODY):
        os.mkdir(f"{place}/{uid}")
        os.chown(f"{place}/{uid}", uid, uid)
        targets[uid] = [subprocess.Popen(["/bin/sleep", "100000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/",
                                         stderr=subprocess.DEVNULL, preexec_fn=lambda u=uid: become(u)) for _ in range(3)]
    time.sleep(1)
    before = len(os.listdir(f"/proc/{server.pid}/fd"))
    until = time.monotonic() + seconds
    null = os.open(os.devnull, os.O_RDWR)
    for n in range(8):
        uid = (0, NOBODY)[n % 2]
        pid = os.fork()
        if pid == 0:
            for fd in 0, 1, 2:  # which are passed
                os.dup2(null, fd)
            become(uid)
            one_client("\0" + name, [t.pid for t in targets[uid]], f"{place}/{uid}", until, seed + n)
            os._exit(0)
        clients.append(pid)
    failures = [f"client {pid}: a worker crashed" for pid in clients if os.waitpid(pid, 0)[1]]
    for _ in range(300):
        if not children(server.pid):
            break
        time.sleep(0.1)
    with socket.socket(socket.AF_UNIX) as c:
        c.settimeout(10)
        c.connect("\0" + name)
        c.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        if b"pong" not in c.recv(1000):
            failures.append("no answer afterwards")
    time.sleep(1)
    failures += [f"left: process {p}" for p in children(server.pid)]
    after = len(os.listdir(f"/proc/{server.pid}/fd"))
    if after != before:
        failures.append(f"descriptors: {before} before, {after} after")
    for t in targets[0] + targets[NOBODY]:
        with open(f"/proc/{t.pid}/stat", encoding="ascii") as f:
            state = f.read().rpartition(")")[2].split()[0]
        if state not in "SR":
            failures.append(f"target {t.pid}: {state}")
        t.kill()
    server.send_signal(signal.SIGTERM)
    if server.wait(20):
        failures.append(f"the server: {server.returncode}")
    for entry in os.scandir(f"{place}/said"):
        with open(entry.path, encoding="utf-8", errors="replace") as f:
            failures.append("a sanitizer: " + f.read(4000))
    print("\n".join(failures) or "nothing found", flush=True)
    if not failures:
        subprocess.run(["rm", "-r", base], check=True)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
