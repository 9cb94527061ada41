"""TCP connections whose other end is not dumped: that they are kept, or end, and who is told."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

from harness import Failure, no_children, wait_for
from tcp_peer import (LISTEN, alive, begin, dump_and_go_on, dump_killed_at_random, echo, how_it_ended, locked,
                      random_seed, tables, take)


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
TELLER = LISTEN + """
s = listen(socket.socket())
c, _ = s.accept()
pair = socket.socket()
pair.connect(s.getsockname())
other, _ = s.accept()
pair.send(b"inside")
open("ready", "w").close()
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


def scene_tcp_explain(s):
    """explain judges by the --tcp of the dump: of the connections that lead outside, not of those of the tree."""
    client = begin(s, TELLER)
    s.no_words(s.ckpt("explain", "-t", str(s.pid)), "its other end is outside")
    for how in ("close", "reset"):
        text = s.ckpt("explain", "-t", str(s.pid), f"--tcp={how}")
        s.words(text, f"both ends find it {'closed' if how == 'close' else 'reset'} (--tcp={how})")
        if text.count("its other end is outside") != 1:
            raise Failure(f"one connection leads outside:\n{text}")
    client.close()


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
    status, text = s.ckpt("explain", "-t", str(s.pid), ok=False)
    s.words(text, "would refuse", f"is fd {shared.fileno()} of pid {os.getpid()}", "(-R)")
    s.no_words(s.ckpt("explain", "-t", str(s.pid), "--tcp=reset"), "would refuse")
    dump_and_go_on(s)
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


def scene_tcp_killed(s):
    """The tool is killed at any instant of a dump, and at each point of a restore before packets flow: the
    server goes on with its client, or can be restored with it."""
    client = begin(s)
    seed = random_seed()
    faults = [f for f in s.ckpt("check", "--faults").split() if f.startswith("restore.")]
    died = 0
    longest = 1.3 * dump_and_go_on(s)
    for n in range(20):
        try:
            after = dump_killed_at_random(s, longest)
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
