"""Clients that connect anew for every question, so that a dump finds connections at every moment of their lives."""
import os
import socket
import sys
import time

from peer import PATIENCE_S, free_port
from trial import Failure, wait_for

CLIENTS, WORKERS = 8, 4

# Each process has a socket of its own that listens at the port which all share.
SERVER = """
import os, select, signal, socket, sys
def listener():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", int(sys.argv[1])))
    sock.listen(100)
    sock.setblocking(False)
    return sock
root = os.getpid()
workers = []
while os.getpid() == root and len(workers) + 1 < int(sys.argv[2]):
    workers.append(os.fork())
if os.getpid() == root:
    signal.signal(signal.SIGTERM, lambda *_: [os.kill(pid, signal.SIGTERM) for pid in workers] and sys.exit(0))
else:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
sock, ends, poll = listener(), {}, select.epoll()
poll.register(sock, select.EPOLLIN)
open(f"listens.{len(workers)}.{os.getpid()}", "w").close()
while True:
    for fd, _ in poll.poll():
        if fd == sock.fileno():
            try:
                end, _ = sock.accept()
            except BlockingIOError:
                continue
            ends[end.fileno()] = end
            poll.register(end, select.EPOLLIN)
        elif data := ends[fd].recv(1000):
            ends[fd].sendall(data[::-1])
        else:
            poll.unregister(fd)
            ends.pop(fd).close()
"""


def question(port, text):
    """Whether somebody listened."""
    try:
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    except ConnectionRefusedError:
        return False  # while the server is away
    with sock:
        sock.sendall(text)
        got = b""
        while len(got) < len(text):
            data = sock.recv(1000)
            if not data:
                break
            got += data
        if got != text[::-1]:
            raise Failure(f"asked {text}, answered {got}")
        sock.shutdown(socket.SHUT_WR)
        if data := sock.recv(1):
            raise Failure(f"{data} behind the answer")
    return True


def ask(client, port):
    count = 0
    while not client.stopped():
        at = time.monotonic()
        while not question(port, b"question %d of %d" % (count, client.pid)):
            time.sleep(0.005)
        count += 1
        client.counted(time.monotonic() - at)
    return f"{count}"


def peer_storm(p):
    port = free_port()
    root = p.serve([sys.executable, "-c", SERVER, str(port), str(WORKERS)])
    wait_for("all that listen", PATIENCE_S, lambda: sum(name.startswith("listens.") for name in os.listdir(p.dir)) == WORKERS)
    for n in range(CLIENTS):
        p.client(f"storm {n}", ask, port)
    said = p.all_rounds(root)
    p.end(root)
    return said
