#!/usr/bin/env python3
"""One end of many TCP connections, for the soak: stream_end.py serve PORT, stream_end.py call PORT LARGEST HOST...

A connection begins with three numbers from the caller: a seed, and how many bytes it will send and get.
Then both send at once, at random paces, bytes that follow from the seed, and shut down their direction
when they are through; each compares every byte and its end. What is wrong goes into the file WORD.wrong,
a line each. WORD.count holds how many bytes were right and how many connections have ended as they must.
The caller ends when the file `stop` is there and its last connection is through, the server by SIGTERM.
"""
import os
import random
import selectors
import signal
import socket
import struct
import sys
import time

CALLS = 24  # at a time
BLOCK = random.Random(4).randbytes(1 << 20) * 2
HALF = len(BLOCK) // 2
SIZES = (0, 1, 3000, 300000)  # and the largest, which the caller is told


def piece(seed, at, n):
    """The bytes of a stream from a place on; at most HALF of them."""
    start = (seed * 7919 + at) % HALF
    return BLOCK[start:start + n]


class Wrong(Exception):
    pass


class End:
    """One end of a connection."""

    def __init__(self, sock, seed, out, inn, early=b""):
        self.sock, self.seed = sock, seed
        self.out, self.inn, self.early = out, inn, early  # bytes of the two directions; what comes before
        self.sent, self.got = 0, 0
        self.wait_read = self.wait_write = 0.0
        self.lazy = random.random() < 0.3  # leaves much unread, and so the other end's queue full
        self.shut = self.finished = False
        sock.setblocking(False)

    def write(self):
        if self.early:
            self.early = self.early[self.sock.send(self.early):]
        elif self.sent < self.out:
            n = min(random.choice((1, 1000, 100000)), self.out - self.sent)
            self.sent += self.sock.send(piece(self.seed, self.sent, n))
        elif not self.shut:
            self.sock.shutdown(socket.SHUT_WR)
            self.shut = True
        if random.random() < 0.1:
            self.wait_write = time.monotonic() + random.choice((0.001, 0.05))

    def read(self):
        data = self.sock.recv(random.choice((10, 5000, 200000)))
        if not data:
            if self.got != self.inn:
                raise Wrong(f"the end after {self.got} of {self.inn} bytes")
            self.finished = True
        elif data != piece(self.seed, self.got, len(data)) or self.got + len(data) > self.inn:
            found = BLOCK.find(data[-min(len(data), 64):], 0, HALF + 64) + min(len(data), 64) - len(data)
            raise Wrong(f"other bytes than were sent, at {self.got} of {self.inn}: {len(data)},"
                        f" the last {(found - self.seed * 7919 - self.got + HALF // 2) % HALF - HALF // 2} further on")
        self.got += len(data)
        if self.lazy or random.random() < 0.1:
            self.wait_read = time.monotonic() + random.choice((0.001, 0.1))
        return len(data)

    def wants(self, now):
        mask = selectors.EVENT_READ if not self.finished and now >= self.wait_read else 0
        return mask | (selectors.EVENT_WRITE if not self.shut and now >= self.wait_write else 0)


class Ends:
    """All connections of this process."""

    def __init__(self, word):
        self.word, self.ends = word, {}
        self.right, self.through = 0, 0
        self.count = os.open(f"{word}.count", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def wrong(self, text):
        with open(f"{self.word}.wrong", "a", encoding="utf-8") as f:
            f.write(f"{text}\n")

    def drop(self, end):
        self.ends.pop(end.sock)
        end.sock.close()

    def serve(self, end, mask):
        try:
            if mask & selectors.EVENT_READ:
                self.right += end.read()
            if mask & selectors.EVENT_WRITE:
                end.write()
        except BlockingIOError:
            return
        except (OSError, Wrong) as e:
            self.wrong(f"{end.sock} seed {end.seed}, sent {end.sent} of {end.out},"
                       f" got {end.got} of {end.inn}{', shut' if end.shut else ''}{', at its end' if end.finished else ''}: {e!r}")
            self.drop(end)
            return
        if end.shut and end.finished:
            self.through += 1
            self.drop(end)

    def step(self, others=()):
        """Serves what is ready; which of the others are so."""
        now = time.monotonic()
        waiting = [(sock, selectors.EVENT_READ, None) for sock in others]
        waiting += [(end.sock, end.wants(now), end) for end in self.ends.values()]
        with selectors.PollSelector() as poll:
            for sock, mask, end in waiting:
                if mask:
                    poll.register(sock, mask, end)
            ready = poll.select(0.01)
        for key, mask in ready:
            if key.data:
                self.serve(key.data, mask)
        os.pwrite(self.count, struct.pack("QQ", self.right, self.through), 0)
        return [key.fileobj for key, _ in ready if not key.data]


def greeting(sock):
    """The three numbers; they come at once, or the connection is not what it was."""
    sock.settimeout(60)
    data = b""
    while len(data) < 24:
        more = sock.recv(24 - len(data))
        if not more:
            raise Wrong(f"the end after {len(data)} bytes of the greeting")
        data += more
    return struct.unpack("QQQ", data)


def serve(port):
    ends, stop = Ends("serve"), []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    listeners = [socket.create_server(("", port)),
                 socket.create_server(("::", port + 1), family=socket.AF_INET6, dualstack_ipv6=True)]
    while not stop:
        for listener in ends.step(listeners):
            sock, _ = listener.accept()
            try:
                seed, inn, out = greeting(sock)
            except (OSError, Wrong) as e:
                ends.wrong(f"{sock}: {e!r}")
                continue
            ends.ends[sock] = End(sock, seed, out, inn)
    if ends.ends:
        ends.wrong(f"{len(ends.ends)} connections are open at the end")


def connect(port, hosts):
    """Nobody listens while the server is away, which is no error; None then."""
    host = random.choice(hosts)
    try:
        return socket.create_connection((host, port + 1 if ":" in host else port + random.randrange(2)), 60)
    except ConnectionRefusedError:
        return None


def call(port, largest, *hosts):
    ends, sizes = Ends("call"), (*SIZES, int(largest))
    while ends.ends or not os.path.exists("stop"):
        while len(ends.ends) < CALLS and not os.path.exists("stop"):
            sock = connect(port, hosts)
            if not sock:
                break
            seed, out, inn = random.getrandbits(32), random.choice(sizes), random.choice(sizes)
            ends.ends[sock] = End(sock, seed, out, inn, struct.pack("QQQ", seed, out, inn))
        ends.step()


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
