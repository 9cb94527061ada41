"""TCP connections whose other end is not dumped."""
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import CKPT, Failure, no_children, proc_state, wait_for
from modes import Skip  # of test/e2e

# An echo server; every word comes back with its number.
SERVER = """
import socket, select
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 0))
s.listen(8)
with open("port.new", "w") as f:
    f.write(str(s.getsockname()[1]))
os.rename("port.new", "port")
c, _ = s.accept()
with open("ready", "w"):
    pass
n = 0
while True:
    word = c.recv(65536)
    if not word:
        break
    n += len(word)
    c.sendall(word)
c.sendall(b"end %d" % n)
c.close()
"""


def locked(s):
    """Whether the connections of the image are locked: by a list of all tables, over a netlink socket."""
    crid = json.loads(s.ckpt("verify", "--json", s.image))["crid"]
    return str(crid) in tables()


def tables():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    s.send(bytes.fromhex("14000000" "010a" "0103" "00000000" "00000000" "01000000"))
    text = b""
    while True:
        part = s.recv(65536)
        text += part
        if part[4:6] in (b"\3\0", b"\2\0") or b"\x14\0\0\0\3\0" in part:
            break
    s.close()
    return [name.split(b"\0")[0].decode() for name in text.split(b"ckpt-")[1:]]


def begin(s, server=SERVER):
    """The server runs, a client of ours is connected."""
    client = socket.socket()

    def connect():
        for _ in range(2000):
            if os.path.exists(s.file("port")):
                break
            time.sleep(0.005)
        with open(s.file("port"), encoding="ascii") as f:
            client.connect(("127.0.0.1", int(f.read())))
    thread = threading.Thread(target=connect)
    thread.start()
    s.begin(server)
    thread.join()
    client.settimeout(20)
    return client


def take(client, n):
    back = b""
    while len(back) < n:
        part = client.recv(65536)
        if not part:
            raise Failure(f"the connection ended after {len(back)} of {n} bytes")
        back += part
    return back


def echo(client, data):
    client.sendall(data)
    if take(client, len(data)) != data:
        raise Failure("what came back is not what was sent")


def scene_tcp_client_outside(s):
    """The client writes while the server is gone, and never notices."""
    client = begin(s)
    sent = 0
    for n in range(5):
        echo(client, b"x" * 1000)
        s.save("--force")
        if not locked(s):
            raise Failure("the connection is not locked")
        client.sendall(b"while it was gone")
        time.sleep(0.1)
        s.restore()
        echo_rest = take(client, 17)
        if echo_rest != b"while it was gone":
            raise Failure(f"came back: {echo_rest!r}")
        sent += 1017
        if locked(s):
            raise Failure("the lock is still there")
    client.shutdown(socket.SHUT_WR)
    last = b""
    while True:
        part = client.recv(100)
        if not part:
            break
        last += part
    if last != b"end %d" % sent:
        raise Failure(f"expected end {sent}, got {last!r}")
    s.verdict(s.reap_in_time())


# Says how its connection ends, and whether it can still write.
TELLER = """
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(8)
with open("port.new", "w") as f:
    f.write(str(s.getsockname()[1]))
os.rename("port.new", "port")
c, _ = s.accept()
pair = socket.socket()
pair.connect(s.getsockname())
other, _ = s.accept()
pair.send(b"inside")
with open("ready", "w"):
    pass
signal.sigwait([GO])
seen = []
for _ in range(3):
    try:
        word = c.recv(100)
        seen.append(word.decode() or "end")
    except OSError as e:
        seen.append(e.__class__.__name__)
try:
    c.send(b"x")
    seen.append("sent")
except OSError as e:
    seen.append(e.__class__.__name__)
check(other.recv(100), b"inside", "the connection inside the tree")
pair.close()
check(other.recv(100), b"", "its end")
with open("seen", "w") as f:
    f.write(" ".join(seen))
"""


def how_it_ended(client):
    try:
        return client.recv(100)
    except ConnectionResetError:
        return None


def not_kept(s, when, how, at_client, seen):
    client = begin(s, TELLER)
    client.sendall(b"before")
    time.sleep(0.05)
    s.save(*([f"--tcp={how}"] if when == "dump" else []))
    if when == "dump" and how_it_ended(client) != at_client:
        raise Failure("the client was told something else when the program died")
    s.restore(*([f"--tcp={how}"] if when == "restore" else []))
    if when == "restore" and how_it_ended(client) != at_client:
        raise Failure("the client was told something else when the program was back")
    s.finish()
    with open(s.file("seen"), encoding="ascii") as f:
        got = f.read()
    if got != seen:
        raise Failure(f"the program saw '{got}', expected '{seen}'")


def scene_tcp_close_at_restore(s):
    """--tcp=close of a restore: both sides see the end; a connection inside the tree is kept."""
    not_kept(s, "restore", "close", b"", "before end end BrokenPipeError")


def scene_tcp_reset_at_restore(s):
    """--tcp=reset of a restore: both sides see a reset."""
    not_kept(s, "restore", "reset", None, "before ConnectionResetError end BrokenPipeError")


def scene_tcp_close_at_dump(s):
    """--tcp=close of a dump: the client sees what the death of the program does, the program an end."""
    # what the program had not read makes the kernel reset the connection
    not_kept(s, "dump", "close", None, "before end end BrokenPipeError")


def scene_tcp_reset_at_dump(s):
    """--tcp=reset of a dump."""
    not_kept(s, "dump", "reset", None, "before ConnectionResetError end BrokenPipeError")


# Both ends, and a server that listens, at addresses that change.
MOVED = """
import socket
s = socket.socket()
s.bind(("127.0.0.2", 0))
s.listen(8)
c = socket.socket()
c.connect(s.getsockname())
d, _ = s.accept()
c.send(b"before")
port = s.getsockname()[1]
client = c.getsockname()
ready()
check(s.getsockname(), ("127.0.0.3", port), "the listener")
check(d.getsockname(), ("127.0.0.3", port), "the server's end")
check(c.getpeername(), ("127.0.0.3", port), "the client's peer")
check(c.getsockname(), client, "the client's end")
check(d.recv(100), b"before", "what was unread")
d.send(b"after")
check(c.recv(100), b"after", "what was sent")
e = socket.create_connection(("127.0.0.3", port))
s.accept()[0].send(b"new")
check(e.recv(100), b"new", "a new connection")
"""


def scene_tcp_map(s):
    """--tcp-map: the server's address is another one, at both ends."""
    s.begin(MOVED)
    s.save()
    s.restore_fails(2, "--tcp-map", more=("--tcp-map", "127.0.0.2"))
    s.restore("--tcp-map", "127.0.0.2=127.0.0.3")
    s.finish()


# Accepts nobody before the go; then each, in order, is told what it has said.
LATE = """
import socket, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(8)
with open("port.new", "w") as f:
    f.write(str(s.getsockname()[1]))
os.rename("port.new", "port")
while not os.path.exists("connected"):
    time.sleep(0.01)
with open("ready", "w"):
    pass
signal.sigwait([GO])
for _ in range(4):
    c, _ = s.accept()
    try:
        word = c.recv(5)
        c.sendall(b"you said " + word)
        while True:
            word = c.recv(65536)
            if not word:
                break
            c.sendall(word)
    except ConnectionResetError:
        pass
    c.close()
"""


def waiting(s):
    """Four connections that nobody has accepted: two have said something, one its end as well."""
    clients = []

    def connect():
        wait_for("port", 10, lambda: os.path.exists(s.file("port")))
        with open(s.file("port"), encoding="ascii") as f:
            port = int(f.read())
        for n in range(4):
            clients.append(socket.create_connection(("127.0.0.1", port), 20))
            if n < 2:
                clients[n].sendall(b"word%d" % n)
        clients[1].shutdown(socket.SHUT_WR)
        with open(s.file("connected"), "w", encoding="ascii"):
            pass
    thread = threading.Thread(target=connect)
    thread.start()
    s.begin(LATE)
    thread.join()
    return clients


def all_are_served(clients, while_gone=b""):
    for n, c in enumerate(clients):
        if n > 1:
            c.sendall(b"word%d" % n)
        want = b"you said word%d" % n + (while_gone if n == 0 else b"")
        got = take(c, len(want))
        if got != want:
            raise Failure(f"client {n} was told {got!r}")
        if n != 1:
            echo(c, b"x" * 10000)
        c.close()


def scene_tcp_waiting(s):
    """Clients that nobody has accepted yet are served when the program is back, also what they say meanwhile."""
    clients = waiting(s)
    for _ in range(3):
        s.save("--force")
        if not locked(s):
            raise Failure("the connections are not locked")
        s.restore()
    s.save("--force")
    clients[0].sendall(b", and this")
    time.sleep(0.1)
    s.restore()
    os.kill(s.pid, signal.SIGRTMAX - 1)
    all_are_served(clients, b", and this")
    s.verdict(s.reap_in_time())


def scene_tcp_waiting_goes_on(s):
    """The same of a program that is dumped again and again and goes on, or whose dump fails, or is killed."""
    clients = waiting(s)
    for _ in range(3):
        s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R", "--force")
    shutil.rmtree(s.image)
    for fault in ("dump.write", "dump.commit", "dump.commit:kill", "dump.kill"):
        s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "--force", fault=fault, ok=False)
        time.sleep(0.1)
        if not alive(s.pid):
            raise Failure(f"{fault}: the program is dead")
    os.kill(s.pid, signal.SIGRTMAX - 1)
    all_are_served(clients)
    s.verdict(s.reap_in_time())


def scene_tcp_waiting_killed(s):
    """The same, with the tool killed at any instant."""
    clients = waiting(s)
    seed = int(os.environ.get("E2E_SEED", random.randrange(1 << 30)))
    random.seed(seed)
    at = time.monotonic()
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R", "--force")
    longest = 1.3 * (time.monotonic() - at)
    died = 0
    for n in range(15):
        after = kill_at_random(s, longest, "dump", "-t", str(s.pid), "-D", s.image, "--force")
        time.sleep(0.1)
        no_children()
        if not alive(s.pid):
            died += 1
            s.restore()
    os.kill(s.pid, signal.SIGRTMAX - 1)
    try:
        all_are_served(clients)
    except (Failure, OSError) as e:
        raise Failure(f"E2E_SEED={seed}: {e}") from None
    s.verdict(s.reap_in_time())
    return f"{died} of 15 died"


def scene_tcp_waiting_closed(s):
    """--tcp=close or reset of a restore: clients that nobody has accepted see that, the program does not."""
    for how, want in (("close", b""), ("reset", None)):
        for name in ("port", "connected", "ready"):
            if os.path.exists(s.file(name)):
                os.unlink(s.file(name))
        clients = waiting(s)
        s.save("--force")
        s.restore(f"--tcp={how}")
        for n, c in enumerate(clients):
            got = how_it_ended(c)
            if got != want:
                raise Failure(f"{how}: client {n} saw {got!r}")
        os.kill(s.pid, signal.SIGKILL)
        s.reap_in_time()


def scene_tcp_shared(s):
    """A connection that a process outside has as well: a dump that ends the program is refused and names both, one
    after which it goes on is not, nor one that does not keep connections; both processes can still use it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), 20)
        shared, _ = listener.accept()
    code = f"""
import socket
c = socket.socket(fileno={shared.fileno()})
ready()
check(c.recv(6), b"inside", "what the client has said")
c.sendall(b"answer")
"""
    s.begin(code, keep=(shared.fileno(),))
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R", "--force")
    status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "--force", ok=False)
    if status == 0:
        raise Failure("it was dumped")
    s.words(text, f"pid {s.pid}", f"fd {shared.fileno()} of pid {os.getpid()}", "outside")
    shared.sendall(b"from outside")
    if take(client, 12) != b"from outside":
        raise Failure("the process outside can't use it")
    client.sendall(b"inside")
    os.kill(s.pid, signal.SIGRTMAX - 1)
    if take(client, 6) != b"answer":
        raise Failure("the program can't use it")
    s.verdict(s.reap_in_time())


# Writes as much as gets in, unread by the client, and reads nothing; at each SIGUSR1 it reads and writes on for a round.
FULL = """
import socket, select, hashlib
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(8)
with open("port.new", "w") as f:
    f.write(str(s.getsockname()[1]))
os.rename("port.new", "port")
c, _ = s.accept()
c.setblocking(False)
sent = got = 0
def fill():
    global sent
    n = 0
    while n < 20:
        try:
            sent += c.send(b"s" * 65536)
            n = 0
        except BlockingIOError:
            n += 1
            signal.sigtimedwait([], 0.001)
fill()
with open("ready", "w"):
    pass
while True:
    with open("sent.new", "w") as f:
        f.write(str(sent))
    os.rename("sent.new", "sent")
    signal.sigwait([signal.SIGUSR1])
    with open("client") as f:
        want = int(f.read())
    while got < want:
        select.select([c], [], [])
        part = c.recv(65536)
        got += len(part)
        if not part or part.strip(b"c"):
            os._exit(3)
    fill()
"""


def fill(client):
    sent = idle = 0
    client.setblocking(False)
    while idle < 20:
        try:
            sent += client.send(b"c" * 65536)
            idle = 0
        except BlockingIOError:
            idle += 1
            time.sleep(0.001)
    client.settimeout(20)
    return sent


def number_in(s, name):
    with open(s.file(name), encoding="ascii") as f:
        return int(f.read())


def scene_tcp_full(s):
    """Neither side takes any more, in both directions, when the server goes; its client reads while it is gone, so
    that the word of its open window is lost: all comes, soon, when the server is back."""
    client = begin(s, FULL)
    sent = got = 0
    longest = 0.0
    for _ in range(int(os.environ.get("E2E_ROUNDS", "3"))):
        sent += fill(client)
        wait_for("the server to be full", 10, lambda: os.path.exists(s.file("sent")))
        want = number_in(s, "sent")
        s.save("--force")
        there = len(client.recv(1 << 26, socket.MSG_PEEK))
        got += len(take(client, there))
        s.restore()
        at = time.monotonic()
        os.unlink(s.file("sent"))
        with open(s.file("client"), "w", encoding="ascii") as f:
            f.write(str(sent))
        os.kill(s.pid, signal.SIGUSR1)
        while got < want:
            got += len(take(client, 1))
        wait_for("the server to read all", 20, lambda: os.path.exists(s.file("sent")))
        longest = max(longest, time.monotonic() - at)
    os.kill(s.pid, signal.SIGKILL)
    if longest > 5:
        raise Failure(f"it took {longest:.1f} s to go on")
    return f"the longest took {longest:.2f} s"


def kill_at_random(s, longest, *words):
    """The command, killed after a random time."""
    with open(s.file("log"), "a", encoding="utf-8") as log:
        proc = subprocess.Popen([CKPT, *words], cwd=s.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        after = random.uniform(0, longest)
        time.sleep(after)
        proc.kill()
        proc.wait()
    return after


def alive(pid):
    return (proc_state(pid) or "Z") not in "ZX"


def scene_tcp_killed(s):
    """The tool is killed at any instant of a dump, and at each point of a restore before packets flow: the
    server goes on with its client, or can be restored with it."""
    client = begin(s)
    seed = int(os.environ.get("E2E_SEED", random.randrange(1 << 30)))
    random.seed(seed)
    faults = [f for f in s.ckpt("check", "--faults").split() if f.startswith("restore.")]
    died = 0
    at = time.monotonic()
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R", "--force")
    longest = 1.3 * (time.monotonic() - at)
    for n in range(20):
        try:
            after = kill_at_random(s, longest, "dump", "-t", str(s.pid), "-D", s.image, "--force")
            time.sleep(0.1)  # who was told to die does
            no_children()
            if not alive(s.pid):
                died += 1
                client.sendall(b"meanwhile")
                s.ckpt("restore", "-D", s.image, "-d", fault=f"{random.choice(faults)}:kill", ok=False)
                wait_for("the end of what was restored", 5, no_children)
                if not alive(s.pid):
                    s.restore()
                take(client, 9)
            echo(client, b"y" * 5000)
        except (Failure, OSError) as e:
            raise Failure(f"E2E_SEED={seed} round {n}, killed after {after * 1e3:.1f} ms: {e}") from None
    return f"{died} of 20 died"


def scene_tcp_leftover(s):
    """The lock of an image stays as long as the image is there, and goes with the next ckpt after it."""
    client = begin(s)
    s.save()
    crid = str(json.loads(s.ckpt("verify", "--json", s.image))["crid"])
    with subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, start_new_session=True) as sleep:
        try:
            leftover(s, crid, "dump", "-R", "--force", "-t", str(sleep.pid), "-D", s.file("other"))
        finally:
            sleep.kill()
    client.settimeout(20)
    try:
        client.sendall(b"x")
        take(client, 1)
    except (Failure, ConnectionResetError):
        return
    raise Failure("the client is answered by nobody")


def leftover(s, crid, *other):
    s.ckpt(*other)
    if crid not in tables():
        raise Failure("the lock of an image that can be restored was taken away")
    shutil.rmtree(s.image)
    text = s.ckpt(*other)
    if f"ckpt-{crid}" not in text or "removed" not in text:
        raise Failure(f"nothing is said of the leftover:\n{text}")
    if crid in tables():
        raise Failure("the lock of an image that is gone is still there")


WEB = """
import functools, http.server
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="www")
handler.func.protocol_version = "HTTP/1.1"
handler.func.log_message = lambda *a: None
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
with open("port.new", "w") as f:
    f.write(str(s.server_address[1]))
os.rename("port.new", "port")
with open("ready", "w"):
    pass
s.serve_forever()
"""


def scene_tcp_download(s):
    """100 MiB by HTTP, with the server dumped and restored in the middle, by one connection that stays."""
    os.mkdir(s.file("www"))
    want = hashlib.sha256()
    with open(s.file("www/big"), "wb") as f:
        for n in range(100):
            part = random.Random(n).randbytes(1 << 20)
            want.update(part)
            f.write(part)
    with open(s.file("www/small"), "w", encoding="ascii") as f:
        f.write("small")
    s.begin(WEB)
    with open(s.file("port"), encoding="ascii") as f:
        web = http.client.HTTPConnection("127.0.0.1", int(f.read()), timeout=20)
    for n in range(2):
        web.request("GET", "/big")
        answer, got, have = web.getresponse(), hashlib.sha256(), 0
        while True:
            part = answer.read(1 << 16)
            if not part:
                break
            got.update(part)
            have += len(part)
            if have % (20 << 20) < len(part) and have < 90 << 20:
                s.save("--force")
                s.restore()
        if have != 100 << 20 or got.digest() != want.digest():
            raise Failure(f"round {n}: {have} bytes, of another sum")
        web.request("GET", "/small")
        if web.getresponse().read() != b"small":
            raise Failure("the same connection is not good for more")
    os.kill(s.pid, signal.SIGKILL)


# In another network namespace: every word comes back, for as long as it is let.
LOADER = """
import os, socket, sys, time
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
n, longest = 0, 0.0
while not os.path.exists("enough"):
    word = n.to_bytes(8, "big") * (1 + n % 4000)
    at = time.monotonic()
    c.sendall(word)
    back = b""
    while len(back) < len(word):
        part = c.recv(1 << 16)
        if not part:
            sys.exit(f"round {n}: the connection has ended")
        back += part
    if back != word:
        sys.exit(f"round {n}: what came back is another")
    longest = max(longest, time.monotonic() - at)
    n += 1
print(f"{n} rounds, the longest of {longest:.2f} s")
"""


def ip(*words, ok=True):
    done = subprocess.run(["ip", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ok and done.returncode:
        raise Skip(f"ip {' '.join(words)}: {done.stdout.strip()}")
    return done.returncode == 0


def scene_tcp_other_namespace(s):
    """The client is in another network namespace, behind a pair of veth, with loss where the kernel has netem."""
    name, net = f"ckpt{os.getpid()}", "10.231.7."
    try:
        ip("netns", "add", name)
        ip("link", "add", f"v{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", net + "1/24", "dev", f"v{name}")
        ip("link", "set", f"v{name}", "up")
        ip("-n", name, "addr", "add", net + "2/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        lossy = subprocess.run(["tc", "qdisc", "add", "dev", f"v{name}", "root", "netem", "delay", "5ms", "3ms",
                                "loss", "2%", "reorder", "20%"], stderr=subprocess.DEVNULL, check=False)
        return under_load(s, name, net + "1") + (", with loss" if lossy.returncode == 0 else "")
    finally:
        ip("netns", "del", name, ok=False)
        ip("link", "del", f"v{name}", ok=False)


def under_load(s, name, address):
    with open(s.file("loader.py"), "w", encoding="ascii") as f:
        f.write(LOADER)
    server = SERVER.replace("127.0.0.1", address)
    proc = []

    def load():
        wait_for("port", 10, lambda: os.path.exists(s.file("port")))
        with open(s.file("port"), encoding="ascii") as f:
            proc.append(subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "loader.py", address, f.read()],
                                         cwd=s.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True))
    thread = threading.Thread(target=load)
    thread.start()
    s.begin(server)
    thread.join()
    for _ in range(5):
        time.sleep(0.3)
        if proc[0].poll() is not None:
            raise Failure(proc[0].communicate()[0])
        s.save("--force")
        time.sleep(0.2)
        s.restore()
    time.sleep(0.3)
    with open(s.file("enough"), "w", encoding="ascii"):
        pass
    text = proc[0].communicate(timeout=30)[0].strip()
    if proc[0].returncode:
        raise Failure(text)
    os.kill(s.pid, signal.SIGKILL)
    return text
