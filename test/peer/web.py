"""Plays with servers that speak HTTP: nginx, haproxy, and programs in JavaScript, Java and Python."""
import hashlib
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time

from trial import Failure
from peer import HERE, PATIENCE_S, free_port, program, user

KEEP_ALIVE = 8  # connections that ask again and again
LARGE = 100 << 20


class Connection:
    """One that is kept open; a request is the text of its first line."""

    def __init__(self, port, tls=None):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.settimeout(PATIENCE_S)
        if tls:
            self.sock = tls.wrap_socket(self.sock)
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


def visitors(client, port, seed, requests, tls=None, most=5):
    """Up to so many requests in one piece on each of some connections; requests(rng) gives one, and its answer."""
    rng = random.Random(seed)
    connections = [Connection(port, tls) for _ in range(KEEP_ALIVE)]
    first = list(connections)  # that the server has them all before the first dump
    while first or not client.stopped():
        c = first.pop() if first else rng.choice(connections)
        asked = [requests(rng) for _ in range(rng.choice((1, 1, most)))]
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


def visit(p, root, port, want, *more):
    p.client("visitors", visitors, port, p.random.random(), one_text, *more)
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


def peer_python(p):
    """A thread for each connection."""
    port = free_port()
    root = p.serve([sys.executable, os.path.join(HERE, "server.py"), str(port)])
    p.wait_port(port, root)
    return visit(p, root, port, (0,))


def peer_gunicorn(p):
    """A master with two workers, who do not look for a second request in what they have read."""
    shutil.copy(os.path.join(HERE, "server.py"), p.dir)
    port = free_port()
    root = p.serve([program("gunicorn"), "-w", "2", "-k", "gthread", "--threads", str(KEEP_ALIVE + 1), "--keep-alive", "1000",
                    "-b", f"127.0.0.1:{port}", "server:application"], user("nobody"))
    p.wait_port(port, root)
    return visit(p, root, port, (0,), None, 1)


HAPROXY = """
global
	nbthread 2
defaults
	mode http
	timeout connect 60s
	timeout client 60s
	timeout server 60s
frontend front
	bind 127.0.0.1:{port} ssl crt {dir}/pem
	default_backend back
backend back
	http-reuse never
	server one 127.0.0.1:{behind}
"""


def make_certificate(directory):
    """Its key and itself are in the file `pem`."""
    done = subprocess.run([program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=here", "-days", "2", "-keyout",
                           f"{directory}/key", "-out", f"{directory}/crt"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Failure(f"openssl: {done.stdout}")
    with open(f"{directory}/pem", "w", encoding="ascii") as pem:
        for name in ("key", "crt"):
            with open(f"{directory}/{name}", encoding="ascii") as f:
                pem.write(f.read())


def peer_haproxy(p):
    """A master with its worker between clients with TLS and a server; both are outside."""
    behind_root, behind = start_node(p)
    port = free_port()
    make_certificate(p.dir)
    with open(p.file("conf"), "w", encoding="ascii") as f:
        f.write(HAPROXY.format(dir=p.dir, port=port, behind=behind))
    root = p.serve([program("haproxy"), "-W", "-f", p.file("conf")])
    p.wait_port(port, root)
    tls = ssl.create_default_context(cafile=p.file("crt"))
    tls.check_hostname = False
    p.client("visitors", visitors, port, p.random.random(), one_text, tls)
    said = p.all_rounds(root)
    p.end(root, want=(0, 143))
    p.end(behind_root)
    return said
