"""Plays with servers that speak HTTP: nginx, and programs in JavaScript, Java and Python."""
import hashlib
import os
import random
import re
import shutil
import socket
import subprocess
import time

from modes import Failure
from peer import HERE, PATIENCE_S, free_port, program, user

KEEP_ALIVE = 8  # connections that ask again and again
LARGE = 100 << 20


class Connection:
    """One that is kept open; a request is the text of its first line."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.settimeout(PATIENCE_S)
        self.file = self.sock.makefile("rb")

    def send(self, *lines):
        self.sock.sendall(b"".join(b"%s HTTP/1.1\r\nHost: here\r\n\r\n" % line.encode() for line in lines))

    def head(self):
        """The length of the body that follows."""
        status, length = self.file.readline(), None
        if not status.startswith(b"HTTP/1.1 200 "):
            raise Failure(f"the server answers {status!r}")
        while True:
            line = self.file.readline()
            if not line.strip():
                break
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"connection" and value.strip().lower() == b"close":
                raise Failure("the server does not keep the connection")
        if length is None:
            raise Failure("an answer without length")
        return length

    def body(self):
        return self.file.read(self.head())


def visitors(client, port, seed, requests):
    """Several requests in one piece on each of some connections; requests(rng) gives one, and its answer."""
    rng = random.Random(seed)
    connections = [Connection(port) for _ in range(KEEP_ALIVE)]
    first = list(connections)  # that the server has them all before the first dump
    while first or not client.stopped():
        c = first.pop() if first else rng.choice(connections)
        asked = [requests(rng) for _ in range(rng.choice((1, 1, 5)))]
        at = time.monotonic()
        c.send(*(line for line, _ in asked))
        for line, want in asked:
            got = c.body()
            if got != want:
                raise Failure(f"to {line}: expected {want!r:.60}, got {got!r:.60}")
        if not first:
            client.counted(time.monotonic() - at, len(asked))
        time.sleep(rng.choice((0, 0.005)))


def download(client, port, digest):
    """Reads ever slower, to be in the middle in every round; only what is left in the end is fast."""
    c, got, left = Connection(port), hashlib.sha256(), LARGE
    c.send("GET /large")
    if c.head() != left:
        raise Failure(f"the file has not {LARGE} bytes")
    while left:
        at = time.monotonic()
        data = c.file.read1(min(left, 1 << 16))
        client.counted(time.monotonic() - at)
        if not data:
            raise Failure(f"the download ended {left} bytes early")
        got.update(data)
        left -= len(data)
        if not client.stopped():
            time.sleep(0.02 if left > LARGE // 2 else 0.2)
    if got.hexdigest() != digest:
        raise Failure("the download is not the file")
    return "100 MiB"


NGINX = """
daemon off;
worker_processes 2;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
	access_log {dir}/access.log;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	sendfile on;
	keepalive_requests 1000000;
	server {{
		listen 127.0.0.1:{port};
		root {dir}/files;
	}}
}}
"""


def peer_nginx(p):
    """A master with two workers."""
    owner, port = user("www-data", "nobody"), free_port()
    nginx, data = program("nginx"), p.own_dir("data", user("www-data", "nobody"))
    os.mkdir(f"{data}/files")
    rng, digest = random.Random(p.random.random()), hashlib.sha256()
    small = {f"/s{i}": rng.randbytes(rng.choice((1, 3000, 150000))) for i in range(20)}
    for path, text in small.items():
        with open(f"{data}/files{path}", "wb") as f:
            f.write(text)
    with open(f"{data}/files/large", "wb") as f:
        for _ in range(LARGE >> 20):
            piece = rng.randbytes(1 << 20)
            digest.update(piece)
            f.write(piece)
    with open(f"{data}/conf", "w", encoding="ascii") as f:
        f.write(NGINX.format(dir=data, port=port))
    paths = list(small)
    root = p.serve([nginx, "-e", f"{data}/error.log", "-c", f"{data}/conf"], owner)
    p.wait_port(port, root)

    def one(rng):
        path = rng.choice(paths)
        return f"GET {path}", small[path]
    p.client("visitors", visitors, port, p.random.random(), one)
    p.client("download", download, port, digest.hexdigest())
    said = p.all_rounds(root)
    p.end(root, want=(0,))
    return said


def answer_of(text):
    """What the programs of this folder answer to GET /TEXT."""
    x = 0
    for c in text.encode():
        x = (x * 31 + c) % 1000000007
    return f"{text} {x}\n".encode() * (1 + x % 50)


def one_text(rng):
    """A question to them, and the answer."""
    text = re.sub("[^a-z]", "", f"{rng.getrandbits(64):x}")
    return f"GET /{text}", answer_of(text)


def serve_http(p, words):
    """A program that answers at the port which is its last argument; its root and its port."""
    port = free_port()
    root = p.serve([*words, str(port)], user("nobody"))
    p.wait_port(port, root)
    return root, port


def visit(p, root, port, want):
    p.client("visitors", visitors, port, p.random.random(), one_text)
    said = p.all_rounds(root)
    p.end(root, want=want)
    return said


def start_node(p):
    return serve_http(p, [program("node"), shutil.copy(os.path.join(HERE, "server.js"), p.dir)])


def peer_node(p):
    return visit(p, *start_node(p), (0,))


def peer_java(p):
    java, javac = program("java"), program("javac")
    done = subprocess.run([javac, "-d", p.dir, os.path.join(HERE, "Server.java")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Failure(f"javac: {done.stdout}")
    return visit(p, *serve_http(p, [java, "-Xmx64m", "-cp", p.dir, "Server"]), (143,))
