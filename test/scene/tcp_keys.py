"""Scenes of TCP whose segments are signed by keys (TCP_MD5SIG), with clients that are not dumped."""
import os
import socket
import stat
import subprocess

from harness import CKPT, Failure
from tcp_peer import LISTEN, begin_with, echo, how_it_ended, port
from trial import Skip  # of test/e2e

REFUSED = 3  # of ckpt
SECRET = b"for no other eye"
TCP_MD5SIG = 14

# A key for one peer: struct tcp_md5sig, with a struct sockaddr_storage.
KEY = f"""
import socket, struct
def key(s, ip, secret={SECRET!r}):
    peer = struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton(ip))
    s.setsockopt(socket.IPPROTO_TCP, {TCP_MD5SIG}, peer + struct.pack("=BBHi80s", 0, 0, len(secret), 0, secret))
"""

SERVER = KEY + LISTEN + """
s = socket.socket()
key(s, "127.0.0.1")
listen(s)
c, _ = s.accept()
open("ready", "w").close()
try:
    while True:
        word = c.recv(65536)
        if not word:
            break
        c.sendall(word)
except ConnectionResetError:
    pass
"""


def keyed_socket():
    here = {}
    exec(KEY, here)  # the same function as the program's
    client = socket.socket()
    try:
        here["key"](client, "127.0.0.1")
    except OSError as e:
        raise Skip(f"TCP_MD5SIG: {e.strerror}") from None
    return client


def keyed(s):
    """A server, and a client of ours that signs by the same key."""
    client = keyed_socket()
    begin_with(s, SERVER, lambda: client.connect(("127.0.0.1", port(s))))
    client.settimeout(20)
    return client


def scene_tcp_keys(s):
    """A client that signs notices nothing; the key is in files of the owner's alone, and nobody shows it."""
    client = keyed(s)
    echo(client, b"before")
    s.save()
    for command in (("show",), ("show", "--json")):
        text = s.ckpt(*command, s.image)
        s.no_words(text, SECRET.decode(), SECRET.hex())
    s.words(s.ckpt("show", s.image), "1 key")
    for name in os.listdir(s.image):
        mode = stat.S_IMODE(os.stat(os.path.join(s.image, name)).st_mode)
        if mode & 0o077:
            raise Failure(f"{name} in the image has mode {mode:o}")
    s.restore()
    for _ in range(20):
        echo(client, os.urandom(50000))
    client.close()
    s.finish()


def ended(s, how, at_client):
    """What is injected in place of the program is signed, too: else its peer would not hear it."""
    client = keyed(s)
    echo(client, b"before")
    s.save()
    s.restore(f"--tcp={how}")
    if how_it_ended(client) != at_client:
        raise Failure(f"the client was told something else than --tcp={how}")
    s.finish()


def scene_tcp_keys_ended(s):
    """Of a connection that the dump has ended no key is saved; the socket that listens has its own."""
    client = keyed(s)
    s.save("--tcp=close")
    text = s.ckpt("show", s.image)
    if text.count("1 key") != 1:
        raise Failure(f"one socket has a key:\n{text}")
    client.close()
    s.restore()
    s.finish()


def scene_tcp_keys_close(s):
    """--tcp=close of a restore."""
    ended(s, "close", b"")


def scene_tcp_keys_reset(s):
    """--tcp=reset of a restore."""
    ended(s, "reset", None)


# The server's address changes: its client has a key for the old one.
MOVED = KEY + """
s = socket.socket()
key(s, "127.0.0.1")
s.bind(("127.0.0.2", 0))
s.listen(8)
c = socket.socket()
key(c, "127.0.0.2")
c.bind(("127.0.0.1", 0))
c.connect(s.getsockname())
d, _ = s.accept()
c.settimeout(20)
d.settimeout(20)
ready()
c.send(b"to the server")
check(d.recv(100), b"to the server", "what was sent")
d.send(b"to the client")
check(c.recv(100), b"to the client", "what was answered")
key(d, "127.0.0.1", b"another")
c.send(b"not heard")
d.settimeout(0.05)
try:
    check(d.recv(100), None, "signed by another key")
except TimeoutError:
    pass
"""


def scene_tcp_keys_map(s):
    """--tcp-map: a key for the old address is one for the new."""
    keyed_socket().close()
    s.begin(MOVED)
    s.save()
    s.restore("--tcp-map", "127.0.0.2=127.0.0.3")
    s.finish()


def scene_tcp_keys_without_rights(s):
    """The kernel tells keys to CAP_NET_ADMIN alone: without it a socket that has some is refused by name."""
    keyed_socket().close()
    s.begin(KEY + """
s = socket.socket()
key(s, "127.0.0.1")
s.bind(("127.0.0.1", 0))
s.listen(8)
ready()
""")
    for words in (("explain", "-t", str(s.pid)), ("dump", "-t", str(s.pid), "-D", s.image)):
        done = subprocess.run(["setpriv", "--bounding-set=-net_admin", CKPT, *words], cwd=s.dir, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != REFUSED:
            raise Failure(f"{words[0]}: expected exit status {REFUSED}, got {done.returncode}\n{done.stdout}")
        s.words(done.stdout, "TCP_MD5SIG", "CAP_NET_ADMIN", "run as root")
    s.finish()
