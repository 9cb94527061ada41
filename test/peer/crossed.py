"""Connections whose ends crossed: both sides have said that they send no more, and ours has much to send before that."""
import os
import socket
import sys
import threading
import time

from trial import Failure, wait_for
from peer import PATIENCE_S, free_port

CONNECTIONS, MUCH = 10, 3000000
NARROW = 16384  # the peer's window, of which much is acknowledged soon

SERVER = """
import os, socket, sys, time
TCP_CLOSING, SO_SNDBUFFORCE = 11, 32
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=%(n)d)
open("listens", "w").close()
for number in range(int(sys.argv[2])):
    ends = [listener.accept()[0] for _ in range(%(n)d)]
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * %(much)d)
        end.sendall(b"x" * %(much)d)
        end.shutdown(socket.SHUT_WR)
    open(f"said.{number}", "w").close()
    while any(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_CLOSING for end in ends):
        time.sleep(0.01)
    open(f"crossed.{number}", "w").close()
    for end in ends:
        end.settimeout(%(patience)d)
        if end.recv(1):
            sys.exit("bytes")
        while end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSING:
            time.sleep(0.01)
        end.close()
    open(f"heard.{number}", "w").close()
""" % {"n": CONNECTIONS, "much": MUCH, "patience": PATIENCE_S // 2}


def reader(sock, got):
    try:
        while data := sock.recv(1 << 16):
            got.append(len(data))
    except OSError as e:
        got.append(e)
    sock.close()


def begin(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
    sock.settimeout(PATIENCE_S)
    sock.connect(("127.0.0.1", port))
    return sock


def there(p, name):
    wait_for(name, PATIENCE_S, lambda: os.path.exists(p.file(name)))


def peer_crossed(p):
    """The server hears the end that it had heard, however much is acknowledged meanwhile."""
    port, rounds = free_port(), max(1, p.rounds)
    root = p.serve([sys.executable, "-c", SERVER, str(port), str(rounds)])
    there(p, "listens")
    for n in range(rounds):
        ends, got = [begin(port) for _ in range(CONNECTIONS)], [[] for _ in range(CONNECTIONS)]
        there(p, f"said.{n}")
        for end in ends:
            end.shutdown(socket.SHUT_WR)
        there(p, f"crossed.{n}")
        at = time.monotonic()
        dump_s = p.away(root) if p.rounds else 0
        threads = [threading.Thread(target=reader, args=pair, daemon=True) for pair in zip(ends, got)]
        for thread in threads:
            thread.start()
        if p.rounds:
            p.times.append((dump_s, p.back(root), time.monotonic() - at))
        for thread in threads:
            thread.join(PATIENCE_S)
        if any(any(isinstance(piece, OSError) for piece in pieces) or sum(pieces) != MUCH for pieces in got):
            raise Failure(f"round {n + 1}: other than {MUCH} bytes: {[pieces[-1:] for pieces in got]}")
        there(p, f"heard.{n}")
    status = wait_for("the server's end", PATIENCE_S, lambda: [s for s in [p.reap_root(root)] if s is not None])[0]
    if status:
        raise Failure(f"the server ended with {status}")
    return ", ".join([f"{rounds * CONNECTIONS} connections", *p.figures(0)])
