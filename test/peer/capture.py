"""Plays with tcpdump: whoever sends numbers its packets, and what was written down must have all but those that were
sent while tcpdump was away, each once and in order."""
import os
import socket
import struct
import time

from modes import Failure, wait_for
from peer import COUNT, free_port, program

PAUSE_S = 0.0005
FILE_HEAD, PACKET_HEAD, HEADERS = 24, 16, 14 + 20 + 8  # of the file, of a packet in it, of Ethernet, IP and UDP


def sender(client, port, magic):
    """Datagrams to a socket of its own; each holds its number."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        sink.bind(("127.0.0.1", port))
        out.connect(("127.0.0.1", port))
        while not client.stopped():
            number = client.get(COUNT) + 1
            out.send(struct.pack("!QQ", magic, number) + bytes((number % 256,)) * 200)
            client.counted()
            time.sleep(PAUSE_S)


def written(path, magic):
    """The numbers of all packets in a file that may be growing."""
    with open(path, "rb") as f:
        data = f.read()
    numbers, at = [], FILE_HEAD
    while at + PACKET_HEAD <= len(data):
        kept, size = struct.unpack_from("<8xII", data, at)
        at += PACKET_HEAD
        if at + kept > len(data):
            break
        found, number = struct.unpack_from("!QQ", data, at + HEADERS)
        if found != magic or kept != size or data[at + HEADERS + 16:at + kept] != bytes((number % 256,)) * 200:
            raise Failure(f"packet {len(numbers)} is torn, or none of ours: {data[at:at + kept]!r:.200}")
        numbers.append(number)
        at += kept
    return numbers


def check(numbers, away):
    """away: for each round the last number that was sent before it, and after it."""
    if not numbers or any(a >= b for a, b in zip(numbers, numbers[1:])):
        wrong = [(a, b) for a, b in zip(numbers, numbers[1:]) if a >= b]
        raise Failure(f"written down twice, or in another order, or not at all: {wrong[:5]}")
    for a, b in zip(numbers, numbers[1:]):
        if b != a + 1 and not any(first <= a and b <= last + 1 for first, last in away):
            raise Failure(f"packets {a + 1} to {b - 1} are missing; away: {away}")
    return sum(b - a - 1 for a, b in zip(numbers, numbers[1:]))


def capture(t, *options):
    port, path = free_port(), t.file("packets")
    magic = int.from_bytes(os.urandom(8), "big")
    root = t.serve([program("tcpdump"), "-i", "lo", "-n", "-U", *options, "-w", path,
                    f"udp and dst port {port}"])
    wait_for("the file of tcpdump", 30, lambda: t.look_after(root) or os.path.exists(path))
    client = t.client("sender", sender, port, magic)
    wait_for("packets", 30, lambda: t.look_after() or os.path.getsize(path) > 10 * HEADERS and written(path, magic))
    away, leave, come = [], t.away, t.back

    def leaves(r):
        """What was sent before is there already, or waits in the ring."""
        away.append([client.get(COUNT)])
        return leave(r)

    def comes(r):
        took = come(r)
        away[-1].append(client.get(COUNT))
        return took
    t.away, t.back = leaves, comes
    said = t.all_rounds(root)
    last = client.get(COUNT)
    wait_for("the last packet", 30, lambda: written(path, magic)[-1] == last)
    missed = check(written(path, magic), away)
    t.end(root)
    return f"{last} packets, {missed} while it was away; {said}"


def peer_tcpdump(t):
    """As users call it: its ring is of version 3."""
    return capture(t)


def peer_tcpdump_immediate(t):
    """A ring of version 2; of frames for the longest packets of lo it would have room for 16, which is soon full."""
    return capture(t, "--immediate-mode", "-s", "512")
