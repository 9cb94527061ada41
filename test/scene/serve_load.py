"""Scenes of the service with many callers at a time."""
import os
import random
import subprocess
import sys
import time

from harness import Failure, proc_state, wait_for
from service import Client, Error, Service, as_user, expect

CROWD = """
import socket
all = []
for n in range(80):
    c = socket.socket(socket.AF_UNIX)
    c.settimeout(10)
    c.connect("\\0%s")
    all.append(c)
    try:
        c.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\\n')
        if b"pong" not in c.recv(100):
            break
    except OSError:
        break
print(n, flush=True)
input()
"""


def scene_serve_crowd(s):
    """A user who opens all connections that it can get takes none from others; they come back when it goes."""
    def crowd(uid):
        p = subprocess.Popen(["/usr/bin/python3", "-c", CROWD % service.path[1:]], stdin=subprocess.PIPE, cwd="/",
                             stdout=subprocess.PIPE, preexec_fn=as_user(uid))
        return p, int(p.stdout.readline())
    with Service(s) as service:
        one, n = crowd(54321)
        expect(n, 64, "the connections of one user")
        two, n = crowd(54322)
        expect(n, 64, "the connections of another")
        with service.client() as c:
            expect(c.ping(), "pong", "the answer to root")
        for p in one, two:
            p.communicate(b"\n")

        def free():
            p, got = crowd(54321)
            p.communicate(b"\n")
            return got == 64
        wait_for("the connections to be free again", 10, free)


IDLE = "import time\nwhile True:\n    time.sleep(0.01)\n"


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]


def one_client(path, targets, place, dumps, seed):
    """Dumps some of the targets; now and then it goes away in the middle of one. Returns how many it finished."""
    rng, client, done = random.Random(seed), Client(path, timeout=60), 0
    for n in range(dumps):
        directory = f"{place}/{seed}-{n}"
        begun = client.begin("dump", pid=rng.choice(targets), dir=directory, leave_running=True)
        if rng.random() < 0.2:
            time.sleep(rng.random() * 0.02)
            client.close()
            client = Client(path, timeout=60)
            continue
        try:
            client.finish(begun)
        except Error as e:
            # another client was there first, and may be through by the time that we ask who it is
            if "traced" not in str(e) and "PTRACE_SEIZE" not in str(e):
                raise
        done += 1
    client.close()
    return done


def scene_serve_load(s):
    """Many clients dump many targets at once, and some die; nothing is left over, in the server or on the disk.

    CKPT_SERVE_LOAD=TARGETS,CLIENTS,DUMPS for more than the usual 6, 6 and 60."""
    n_targets, n_clients, n_dumps = map(int, os.environ.get("CKPT_SERVE_LOAD", "6,6,60").split(","))
    targets = [subprocess.Popen([sys.executable, "-c", IDLE], stdin=subprocess.DEVNULL, start_new_session=True)
               for _ in range(n_targets)]
    place = s.file("images")
    os.mkdir(place)
    try:
        with Service(s) as service:
            for t in targets:
                wait_for("a target", 10, lambda p=t.pid: os.path.exists(f"/proc/{p}/fd/0"))
            time.sleep(0.3)

            def crowd(dumps):
                clients = []
                for k in range(n_clients):
                    pid = os.fork()
                    if pid == 0:
                        status = 1
                        try:
                            one_client(service.path, [t.pid for t in targets], place, dumps // n_clients,
                                       dumps * n_clients + k)
                            status = 0
                        except Exception as e:  # pylint: disable=broad-except
                            with open(s.file("out"), "a", encoding="utf-8") as f:
                                f.write(f"client {k}: {e!r}\n")
                        finally:
                            os._exit(status)
                    clients.append(pid)
                expect([os.waitpid(pid, 0)[1] for pid in clients], [0] * n_clients, "the status of the clients")

                def alone():
                    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(service.proc.pid)], stdout=subprocess.PIPE,
                                         check=False)
                    return not out.stdout.split()
                wait_for("all sessions to end", 30, alone)
            crowd(n_clients)
            before = descriptors(service.proc.pid), resident_kb(service.proc.pid)
            crowd(n_dumps)
            after = descriptors(service.proc.pid), resident_kb(service.proc.pid)
            expect(after[0], before[0], "the descriptors of the server")
            if after[1] > before[1] + 256:
                raise Failure(f"the server has grown from {before[1]} to {after[1]} KiB")
        left = [d for d in os.listdir(place) if not os.path.exists(f"{place}/{d}/manifest")]
        expect(left, [], "directories that are no image")
        for t in targets:
            expect(t.poll(), None, "the end of a target")
            expect(proc_state(t.pid) in "SR", True, "the state of a target")
    finally:
        for t in targets:
            t.kill()
            t.wait()
