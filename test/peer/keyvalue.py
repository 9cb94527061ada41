"""Plays with redis and memcached."""
import random
import socket
import time

import resp
from modes import Failure
from peer import PATIENCE_S, free_port, program, user

CONNECTIONS = 50
AWAY_S = 4  # by then a client's timer is at 3.2 s
LATE_S = 1  # at most one time-out that is not doubled, of 0.2 s


def start_redis(p):
    owner, port = user("redis", "nobody"), free_port()
    root = p.serve([program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "yes", "--dir", p.own_dir("data", owner)], owner)
    p.wait_port(port, root)
    return root, port


def peer_redis(p):
    """In the middle of pipelines and of MULTI, with clients that are blocked in it."""
    root, port = start_redis(p)
    p.client("crowd", resp.crowd, port, p.random.random(), CONNECTIONS)
    p.client("waiter", resp.waiter, port)
    said = p.all_rounds(root)
    p.end(root)
    return said


class Memcached:
    """One connection with the text protocol."""

    def __init__(self, port, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port))
        self.sock.settimeout(PATIENCE_S)
        self.file = self.sock.makefile("rb")

    def ask(self, text, *answers):
        self.sock.sendall(text)
        for answer in answers:
            got = self.file.read(len(answer))
            if got != answer:
                raise Failure(f"to {text!r:.60}: expected {answer!r:.60}, got {got!r:.60}")


def caches(client, port, seed):
    """Values of all sizes, counters, and a few questions in one piece."""
    rng = random.Random(seed)
    connections = [Memcached(port) for _ in range(16)]
    number = [0] * len(connections)
    for i, c in enumerate(connections):
        c.ask(b"set n%d 0 0 1\r\n0\r\n" % i, b"STORED\r\n")
    while not client.stopped():
        i = rng.randrange(len(connections))
        number[i] += 1
        data = rng.randbytes(rng.choice((1, 1000, 200000)))
        at = time.monotonic()
        connections[i].ask(
            b"set v%d 7 0 %d\r\n%s\r\nincr n%d 1\r\nget v%d\r\n" % (i, len(data), data, i, i),
            b"STORED\r\n", b"%d\r\n" % number[i], b"VALUE v%d 7 %d\r\n%s\r\nEND\r\n" % (i, len(data), data))
        client.counted(time.monotonic() - at)
        time.sleep(rng.choice((0, 0.005)))


def start_memcached(p):
    owner, port = user("memcache", "nobody"), free_port()
    root = p.serve([program("memcached"), "-l", "127.0.0.1,::1", "-p", str(port), "-U", "0", "-t", "4"], owner)
    p.wait_port(port, root)
    return root, port


def peer_memcached(p):
    root, port = start_memcached(p)
    p.client("caches", caches, port, p.random.random())
    said = p.all_rounds(root)
    p.end(root)
    return said


def peer_late(p):
    """After seconds away, whatever the clients have sent meanwhile is heard at once, not when their timers say so."""
    root, port = start_memcached(p)
    connections = [Memcached(port, host) for host in ("127.0.0.1", "::1") * 10]
    for c in connections:
        c.ask(b"version\r\n", b"VERSION ")
        c.file.readline()
    if not p.rounds:
        p.end(root)
        return "not away"
    p.away(root)
    for c in connections:  # so that each has doubled its time differently often
        c.sock.sendall(b"get nothing\r\n")
        time.sleep(AWAY_S / len(connections))
    p.back(root)
    at = time.monotonic()
    for c in connections:
        if c.file.readline() != b"END\r\n":
            raise Failure("another answer than END")
    took = time.monotonic() - at
    if took > LATE_S:
        raise Failure(f"the last answer came {took * 1000:.0f} ms after the restore")
    p.end(root)
    return f"{AWAY_S} s away, the last answer {took * 1000:.0f} ms after the restore"
