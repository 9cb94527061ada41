"""What scenes of TCP share: the program's end of a connection, and the other, which is ours and is not dumped."""
import json
import os
import random
import socket
import subprocess
import threading
import time

from harness import CKPT, Failure, proc_state, wait_for

# What programs begin with that listen, and tell their port.
LISTEN = """
import socket
def tell(port):
    with open("port.new", "w") as f:
        f.write(str(port))
    os.rename("port.new", "port")
def listen(s):
    s.bind(("127.0.0.1", 0))
    s.listen(8)
    tell(s.getsockname()[1])
    return s
"""

# An echo server; at the end it says how many bytes there were.
SERVER = LISTEN + """
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listen(s)
c, _ = s.accept()
open("ready", "w").close()
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


def number_in(s, name):
    with open(s.file(name), encoding="ascii") as f:
        return int(f.read())


def port(s):
    wait_for("port", 10, lambda: os.path.exists(s.file("port")))
    return number_in(s, "port")


def begin_with(s, server, connect):
    """The program is ready only when it has met its clients, which connect() makes: in a thread."""
    thread = threading.Thread(target=connect)
    thread.start()
    s.begin(server)
    thread.join()


def begin(s, server=SERVER):
    """The server runs, a client of ours is connected."""
    client = socket.socket()
    begin_with(s, server, lambda: client.connect(("127.0.0.1", port(s))))
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


def how_it_ended(client):
    try:
        return client.recv(100)
    except ConnectionResetError:
        return None


def random_seed():
    seed = int(os.environ.get("E2E_SEED", random.randrange(1 << 30)))
    random.seed(seed)
    return seed


def dump_and_go_on(s):
    """Return: how many seconds it took."""
    at = time.monotonic()
    s.ckpt("dump", "-t", str(s.pid), "-D", s.image, "-R", "--force")
    return time.monotonic() - at


def dump_killed_at_random(s, longest):
    """A dump, killed after a random time of up to that many seconds. Return: how many it has had"""
    with open(s.file("log"), "a", encoding="utf-8") as log:
        proc = subprocess.Popen([CKPT, "dump", "-t", str(s.pid), "-D", s.image, "--force"], cwd=s.dir,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        after = random.uniform(0, longest)
        time.sleep(after)
        proc.kill()
        proc.wait()
    return after


def alive(pid):
    return (proc_state(pid) or "Z") not in "ZX"
