"""Plays with redis and memcached."""
import random
import re
import socket
import time

import resp
from trial import Failure
from peer import PATIENCE_S, free_port, program, user

CONNECTIONS = 50
AWAY_S = 4  # by then a client's timer is at 3.2 s
UNTOLD = 6  # connections whose clients wait to be told what has arrived
LATE_S = 1  # at most one time-out that is not doubled, of 0.2 s


def start_redis(p, name="data", *more):
    owner, port = user("redis", "nobody"), free_port()
    root = p.serve([program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "yes", "--dir", p.own_dir(name, owner), *more], owner)
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


def follow(client, port, replica, seed):
    """What one end is given the other has soon, and each number once."""
    rng, n = random.Random(seed), 0
    gives, takes = resp.Single(port), resp.Single(replica)
    while not client.stopped():
        key, data, at = f"key:{n % 100}", rng.randbytes(rng.choice((1, 1000, 100000))), time.monotonic()
        for answer, want in ((gives.call("SET", key, data), b"OK"), (gives.call("INCR", "common"), n + 1)):
            if answer != want:
                raise Failure(f"expected {want!r}, got {answer!r}")
        while int(takes.call("GET", "common") or 0) <= n:
            if time.monotonic() > at + PATIENCE_S:
                raise Failure(f"the replica has not got {n + 1}")
            time.sleep(0.001)
        if takes.call("GET", key) != data:
            raise Failure(f"the replica has another value of {key}")
        client.counted(time.monotonic() - at)
        n += 1
    syncs = re.findall(rb"sync_full:(\d+)", gives.call("INFO", "stats"))
    if syncs != [b"1"]:
        raise Failure(f"the replica has begun anew: {syncs}")
    return f"{n} values"


def peer_redis_replica(p):
    """A server and its replica, of which one is away: their connection stays."""
    root, port = start_redis(p, "data", "--repl-diskless-sync-delay", "0")
    other, replica = start_redis(p, "replica", "--replicaof", "127.0.0.1", str(port))
    p.client("follow", follow, port, replica, p.random.random())
    said = p.all_rounds(lambda: p.random.choice((root, other)))
    p.end(other)
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
    for c in connections[:UNTOLD]:
        c.sock.sendall(b"get no")
    p.away(root)  # before it has acknowledged them
    for c in connections[:UNTOLD]:
        c.sock.sendall(b"thing\r\n")
    p.back(root)
    p.away(root)  # before they have sent that again
    for c in connections[UNTOLD:]:  # so that each has doubled its time differently often
        c.sock.sendall(b"get nothing\r\n")
        time.sleep(AWAY_S / (len(connections) - UNTOLD))
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
