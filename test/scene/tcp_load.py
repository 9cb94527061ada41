"""TCP connections under load: full in both directions, a large download, a client in another network namespace."""
import hashlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time

from harness import Failure, wait_for
from trial import Skip  # of test/e2e
from tcp_peer import LISTEN, SERVER, begin, begin_with, number_in, port, take

# Writes as much as gets in, unread by the client, and reads nothing; at each SIGUSR1 it reads and writes on for a round.
FULL = LISTEN + """
import select
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
s = listen(socket.socket())
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
open("ready", "w").close()
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


WEB = LISTEN + """
import functools, http.server
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="www")
handler.func.protocol_version = "HTTP/1.1"
handler.func.log_message = lambda *a: None
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
tell(s.server_address[1])
open("ready", "w").close()
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
    web = http.client.HTTPConnection("127.0.0.1", port(s), timeout=20)
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
    proc = []

    def load():
        words = ["ip", "netns", "exec", name, sys.executable, "loader.py", address, str(port(s))]
        proc.append(subprocess.Popen(words, cwd=s.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True))
    begin_with(s, SERVER.replace("127.0.0.1", address), load)
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
