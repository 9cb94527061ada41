"""A play with mosquitto: what is published at every quality of service is numbered, and counted by who subscribes."""
import random
import socket
import struct
import time

from trial import Failure
from peer import PATIENCE_S, free_port, program, user

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK = range(1, 10)
LISTENERS = 5


def text_of(data):
    return struct.pack("!H", len(data)) + data


class Mqtt:
    """One connection, by version 3.1.1 of the protocol."""

    def __init__(self, port, name):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.settimeout(PATIENCE_S)
        self.file, self.packet_id = self.sock.makefile("rb"), 0
        self.send(CONNECT, 0, text_of(b"MQTT") + b"\x04\x02\0\0" + text_of(name.encode()))
        self.expect(CONNACK, b"\0\0")

    def send(self, kind, flags, body):
        head, left = bytes((kind << 4 | flags,)), len(body)
        while True:
            head += bytes((left & 127 | (128 if left > 127 else 0),))
            left >>= 7
            if not left:
                break
        self.sock.sendall(head + body)

    def exactly(self, n):
        data = self.file.read(n)
        if len(data) != n:
            raise Failure("closed by the broker")
        return data

    def receive(self):
        """Kind, flags and body of a packet."""
        first, length, shift = self.exactly(1)[0], 0, 0
        while True:
            byte = self.exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first >> 4, first & 15, self.exactly(length)

    def expect(self, kind, body):
        got = self.receive()
        if (got[0], got[2]) != (kind, body):
            raise Failure(f"expected packet {kind} {body!r}, got {got[0]} {got[2]!r:.100}")

    def next_id(self):
        self.packet_id = self.packet_id % 65535 + 1
        return struct.pack("!H", self.packet_id)

    def subscribe(self, topic):
        at = self.next_id()
        self.send(SUBSCRIBE, 2, at + text_of(topic) + b"\x02")
        self.expect(SUBACK, at + b"\x02")

    def publish(self, topic, data, quality):
        """With all that is said until both sides are sure that it was."""
        at = self.next_id() if quality else b""
        self.send(PUBLISH, quality << 1, text_of(topic) + at + data)
        if quality == 1:
            self.expect(PUBACK, at)
        elif quality == 2:
            self.expect(PUBREC, at)
            self.send(PUBREL, 2, at)
            self.expect(PUBCOMP, at)

    def heard(self):
        """A message: its quality and contents."""
        kind, flags, body = self.receive()
        if kind != PUBLISH:
            raise Failure(f"expected a message, got packet {kind} {body!r:.100}")
        quality, at = flags >> 1 & 3, 2 + struct.unpack_from("!H", body)[0]
        if flags & 8:
            raise Failure("a message is sent again on the same connection")
        number, data = (body[at:at + 2], body[at + 2:]) if quality else (b"", body[at:])
        if quality == 1:
            self.send(PUBACK, 0, number)
        elif quality == 2:
            self.send(PUBREC, 0, number)
            self.expect(PUBREL, number)
            self.send(PUBCOMP, 0, number)
        return quality, data


def talk(client, port, seed):
    """Each message reaches every listener once, as it was published."""
    rng, n = random.Random(seed), 0
    listeners = [Mqtt(port, f"listener{i}") for i in range(LISTENERS)]
    for listener in listeners:
        listener.subscribe(b"news/#")
    speaker = Mqtt(port, "speaker")
    while not client.stopped():
        quality = rng.randrange(3)
        data = b"%d " % n + rng.randbytes(rng.choice((1, 1000, 100000)))
        at = time.monotonic()
        speaker.publish(b"news/%d" % (n % 7), data, quality)
        for listener in listeners:
            if listener.heard() != (quality, data):
                raise Failure(f"message {n} is not heard as it was published")
        client.counted(time.monotonic() - at)
        n += 1
        time.sleep(rng.choice((0, 0.005)))
    return f"{n} messages"


def peer_mosquitto(p):
    owner, port = user("mosquitto", "nobody"), free_port()
    data = p.own_dir("data", owner)
    with open(f"{data}/conf", "w", encoding="ascii") as f:
        f.write(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {data}/\n"
                "autosave_interval 1\n")
    root = p.serve([program("mosquitto"), "-c", f"{data}/conf"], owner)
    p.wait_port(port, root)
    p.client("talk", talk, port, p.random.random())
    said = p.all_rounds(root)
    p.end(root)
    return said
