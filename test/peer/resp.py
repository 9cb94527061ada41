"""Fifty clients of redis, each a socket that speaks RESP: what each must be answered is known before it asks.

A client of the crowd sends pipelines of commands in pieces of any length, some of them in MULTI, and every
answer is compared in turn, so that one that is lost, doubled or exchanged does not fit. Counters that all
increment together have to give each number once. Others wait for a list (BLPOP) and for messages
(SUBSCRIBE), which are numbered.
"""
import collections
import random
import selectors
import socket
import time

from trial import Failure
from peer import PATIENCE_S

KEYS = 1000
ANY = object()  # an answer of which only the kind is known: a number


def request(*words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


def value_of(key, version):
    return b"%d.%d." % (key, version) * (1 + key % 97)


class Parser:
    """Bytes in, answers out."""

    def __init__(self):
        self.data, self.at = bytearray(), 0

    def line(self):
        end = self.data.find(b"\r\n", self.at)
        if end < 0:
            raise BlockingIOError
        text, self.at = bytes(self.data[self.at:end]), end + 2
        return text

    def value(self):
        text = self.line()
        kind, rest = text[:1], text[1:]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            n = int(rest)
            if n < 0:
                return None
            if len(self.data) < self.at + n + 2:
                raise BlockingIOError
            self.at += n + 2
            return bytes(self.data[self.at - n - 2:self.at - 2])
        if kind == b"*":
            return [self.value() for _ in range(int(rest))]
        raise Failure(f"the server says {text!r}")

    def feed(self, data):
        """The answers that are complete now."""
        self.data += data
        got = []
        while self.at < len(self.data):
            try:
                start = self.at
                got.append(self.value())
            except BlockingIOError:
                self.at = start
                break
        del self.data[:self.at]
        self.at = 0
        return got


class Member:
    """One connection of the crowd."""

    def __init__(self, number, port, seed):
        self.number, self.random = number, random.Random(f"{seed} {number}")
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.sendall(request("PING"))
        if self.sock.recv(7) != b"+PONG\r\n":  # the server has it before the first dump
            raise Failure("PING")
        self.sock.setblocking(False)
        self.parser, self.out = Parser(), bytearray()
        self.expected = collections.deque()
        self.rows, self.taken = 0, []  # how many it has pushed; the numbers that it got of the common counter
        self.versions = {}  # of the keys that are its own
        self.silent_since, self.next_at = None, 0.0
        self.answers, self.longest, self.ending = 0, 0.0, False

    def ask(self, answer, *words):
        self.out += request(*words)
        self.expected.append(answer)

    def one(self, queue):
        """A random command; queue collects the answers that EXEC will give, None outside of MULTI."""
        what = self.random.randrange(5)
        key = self.number + 50 * self.random.randrange(KEYS // 50)  # nobody else writes it
        if what == 0:
            self.rows += 1
            answer, words = self.rows, ("RPUSH", f"rows:{self.number}", self.rows - 1)
        elif what == 1:
            answer, words = ANY, ("INCR", "common")
        elif what == 2:
            self.versions[key] = self.versions.get(key, 0) + 1
            answer, words = b"OK", ("SET", f"key:{key}", value_of(key, self.versions[key]))
        elif what == 3:
            answer, words = value_of(key, self.versions.get(key, 0)), ("GET", f"key:{key}")
        else:
            text = self.random.randbytes(self.random.randrange(2000))
            answer, words = text, ("ECHO", text)
        if queue is None:
            self.ask(answer, *words)
        else:
            self.ask(b"QUEUED", *words)
            queue.append(answer)

    def transaction(self):
        queue = []
        self.ask(b"OK", "MULTI")
        for _ in range(self.random.randrange(1, 6)):
            self.one(queue)
        self.ask(queue, "EXEC")

    def pipeline(self):
        for _ in range(self.random.choice((1, 2, 8, 40))):
            if self.random.random() < 0.2:
                self.transaction()
            else:
                self.one(None)

    def compare(self, got, want):
        if want is ANY:
            if not isinstance(got, int):
                raise Failure(f"connection {self.number}: expected a number, got {got!r}")
            if self.taken and got <= self.taken[-1]:
                raise Failure(f"connection {self.number}: the counter went from {self.taken[-1]} to {got}")
            self.taken.append(got)
        elif isinstance(want, list):
            if not isinstance(got, list) or len(got) != len(want):
                raise Failure(f"connection {self.number}: EXEC answers {got!r}, expected {want!r}")
            for one, other in zip(got, want):
                self.compare(one, other)
        elif got != want:
            raise Failure(f"connection {self.number}: expected {want!r:.100}, got {got!r:.100}")

    def receive(self, now):
        data = self.sock.recv(65536)
        if not data:
            raise Failure(f"connection {self.number}: closed by the server")
        for got in self.parser.feed(data):
            if not self.expected:
                raise Failure(f"connection {self.number}: an answer that nobody asked for: {got!r:.100}")
            self.compare(got, self.expected.popleft())
            self.answers += 1
        self.longest = max(self.longest, now - self.silent_since) if self.silent_since else self.longest
        self.silent_since = now if self.expected else None

    def send(self, now):
        """A piece of what is to be sent, which may end in the middle of a command or of a MULTI."""
        if not self.out and not self.expected and not self.ending and now >= self.next_at:
            self.pipeline()
        if self.out and now >= self.next_at:
            try:
                n = self.sock.send(self.out[:self.random.choice((10, 1000, 100000))])
            except BlockingIOError:
                n = 0
            del self.out[:n]
            self.silent_since = self.silent_since or now
            self.next_at = now + self.random.choice((0, 0.001, 0.03))


def watch(members, client):
    """Until nothing is outstanding any more, once the driver has said that it is enough."""
    with selectors.DefaultSelector() as selector:
        for member in members:
            selector.register(member.sock, selectors.EVENT_READ, member)
        while True:
            now = time.monotonic()
            for member in members:
                member.ending = bool(client.stopped())
                member.send(now)
            for key, _ in selector.select(0.002):
                key.data.receive(time.monotonic())
            client.counted(max(m.longest for m in members), sum(m.answers for m in members))
            for member in members:
                if member.silent_since and now - member.silent_since > PATIENCE_S:
                    raise Failure(f"connection {member.number}: no answer for {PATIENCE_S} s,"
                                  f" {len(member.expected)} outstanding")
                member.answers, member.longest = 0, 0.0
            if client.stopped() and not any(m.out or m.expected for m in members):
                return


class Single:
    """One connection that asks and waits."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.settimeout(PATIENCE_S)
        self.parser, self.got = Parser(), collections.deque()

    def answer(self):
        while not self.got:
            data = self.sock.recv(65536)
            if not data:
                raise Failure("closed by the server")
            self.got.extend(self.parser.feed(data))
        return self.got.popleft()

    def call(self, *words):
        self.sock.sendall(request(*words))
        return self.answer()


def crowd(client, port, seed, size):
    """The pipelines; afterwards the data base is asked for all that they must have left."""
    single = Single(port)
    for key in range(KEYS):
        single.call("SET", f"key:{key}", value_of(key, 0))
    members = [Member(number, port, seed) for number in range(size)]
    watch(members, client)
    numbers = sorted(n for member in members for n in member.taken)
    if numbers != list(range(1, len(numbers) + 1)) or int(single.call("GET", "common") or 0) != len(numbers):
        raise Failure("a number of the common counter was given twice, or never")
    for member in members:
        rows = single.call("LRANGE", f"rows:{member.number}", 0, -1)
        if rows != [b"%d" % n for n in range(member.rows)]:
            raise Failure(f"the rows of connection {member.number}")
        for key, version in member.versions.items():
            if single.call("GET", f"key:{key}") != value_of(key, version):
                raise Failure(f"key {key}")
    return f"{client.get(8)} answers"


def waiter(client, port):
    """Waits for a list and for messages most of the time; what comes is numbered."""
    pop, heard, tell = Single(port), Single(port), Single(port)
    if heard.call("SUBSCRIBE", "news") != [b"subscribe", b"news", 1]:
        raise Failure("SUBSCRIBE")
    n = 0
    while not client.stopped():
        at = time.monotonic()
        pop.sock.sendall(request("BLPOP", "queue", 0))
        time.sleep(0.02)  # it is blocked in the server meanwhile
        for answer, want in ((tell.call("PUBLISH", "news", n), 1), (tell.call("RPUSH", "queue", n), 1),
                             (pop.answer(), [b"queue", b"%d" % n]),
                             (heard.answer(), [b"message", b"news", b"%d" % n])):
            if answer != want:
                raise Failure(f"expected {want}, got {answer}")
        client.counted(time.monotonic() - at - 0.02)
        n += 1
    return f"{n} messages"
