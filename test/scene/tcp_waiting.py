"""TCP connections that nobody has accepted when their server is dumped."""
import os
import shutil
import signal
import socket
import time

from harness import Failure, no_children
from tcp_peer import (LISTEN, alive, begin_with, dump_and_go_on, dump_killed_at_random, echo, how_it_ended, locked,
                      port, random_seed, take)

# Accepts nobody before the go; then each, in order, is told what it has said.
LATE = LISTEN + """
import time
s = listen(socket.socket())
while not os.path.exists("connected"):
    time.sleep(0.01)
open("ready", "w").close()
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
        for n in range(4):
            clients.append(socket.create_connection(("127.0.0.1", port(s)), 20))
            if n < 2:
                clients[n].sendall(b"word%d" % n)
        clients[1].shutdown(socket.SHUT_WR)
        with open(s.file("connected"), "w", encoding="ascii"):
            pass
    begin_with(s, LATE, connect)
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
        dump_and_go_on(s)
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
    seed = random_seed()
    longest = 1.3 * dump_and_go_on(s)
    died = 0
    for _ in range(15):
        dump_killed_at_random(s, longest)
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
