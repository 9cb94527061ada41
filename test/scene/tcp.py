"""TCP connections whose other end is not dumped."""
import json
import os
import socket
import threading
import time

from harness import Failure

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


def begin(s):
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
    s.begin(SERVER)
    thread.join()
    client.settimeout(20)
    return client


def echo(client, data):
    client.sendall(data)
    back = b""
    while len(back) < len(data):
        part = client.recv(65536)
        if not part:
            raise Failure(f"the connection ended after {len(back)} of {len(data)} bytes")
        back += part
    if back != data:
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
        echo_rest = b""
        while len(echo_rest) < 17:
            echo_rest += client.recv(100)
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
