"""Scenes of unix sockets whose other end is not in the tree, of files that are in the way, and of tmux."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import CONFLICT, Failure, no_children, wait_for
from trial import Skip  # of test/e2e
from service import Service, as_user, ask_as

REFUSED = 3

# A client of a server outside: a stream with something unread, and what it says afterwards.
CLIENT = """
import socket
s = socket.socket(socket.AF_UNIX, socket.{type})
s.connect({name!r})
s.send(b"hello")
ready()
{after}
"""

READS_ON = """
check(s.recv(100), b"unread", "what was unread")
check(s.recv(100), b"", "the end")
try:
    s.send(b"x")
    check(True, False, "it can send")
except BrokenPipeError:
    pass
"""

SENDS_ON = """
s.send(b"again")
check(s.recv(100) if s.type == socket.SOCK_STREAM else b"answer", b"answer", "the answer")
"""

# A server with a socket file, and a socket of each type that nobody is connected to.
SERVER = """
import socket
s = socket.socket(socket.AF_UNIX)
s.bind("server.sock")
s.listen()
ready()
c = socket.socket(socket.AF_UNIX)
c.connect("server.sock")
a = s.accept()[0]
a.send(b"x")
check(c.recv(10), b"x", "a connection to itself")
"""


def serve(name, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(name)
    if kind == socket.SOCK_STREAM:
        s.listen()
    s.settimeout(20)
    return s


def expect(what, got, want):
    if got != want:
        raise Failure(f"{what}: expected {want!r}, got {got!r}")


def begin_client(s, after, name=None, kind=socket.SOCK_STREAM):
    """The server, and its end of the connection, or of a datagram socket that itself."""
    name = name or s.file("outside.sock")
    server = serve(name, kind)
    s.begin(CLIENT.format(type="SOCK_STREAM" if kind == socket.SOCK_STREAM else "SOCK_DGRAM",
                          name=name, after=after))
    end = server.accept()[0] if kind == socket.SOCK_STREAM else server
    end.settimeout(20)
    expect("the client", end.recv(100), b"hello")
    return server, end


def scene_unix_outside_refused(s):
    """Both ends are named, before by explain and by the dump itself; a descriptor can be given up."""
    server, _ = begin_client(s, "os._exit(0 if not os.path.exists('/proc/self/fd/3') else 9)")
    status, text = s.ckpt("dump", "-t", str(s.pid), "-D", s.image, ok=False)
    expect("dump", status, REFUSED)
    s.words(text, "fd 3", f"of pid {os.getpid()}", "python3", "--unix-outside=close")
    status, text = s.ckpt("explain", "-t", str(s.pid), ok=False)
    expect("explain", status, REFUSED)
    s.words(text, "unix stream", f"of pid {os.getpid()}")
    s.no_words(s.ckpt("explain", "-t", str(s.pid), "--unix-outside=close"), "refused: 1")
    s.save("--resource", "unixsock=close")
    s.restore()
    s.finish()
    server.close()


def scene_unix_outside_close(s):
    """What was received is there, then the end, as if the server had been started again."""
    server, end = begin_client(s, READS_ON)
    end.send(b"unread")
    s.save("--unix-outside=close")
    try:
        expect("the server's end", end.recv(100), b"")
    except ConnectionResetError:
        pass  # it had not read all when it was ended
    server.close()
    s.restore()
    s.finish()


def scene_unix_outside_close_abstract(s):
    """The same where the server goes on and keeps its abstract name."""
    name = f"\0ckpt-scene-{os.getpid()}"
    _, end = begin_client(s, READS_ON, name)
    end.send(b"unread")
    s.save("--unix-outside=close")
    s.words(s.ckpt("show", s.image), "stream, its peer is gone, 6 bytes wait")
    s.restore()
    s.finish()


def scene_unix_outside_reconnect(s):
    """It is connected again, as the program itself, once there is a server."""
    server, end = begin_client(s, SENDS_ON)
    s.save("--unix-outside=reconnect")
    end.close()
    server.close()
    s.restore_fails(CONFLICT, "outside.sock", "start the program that serves it")
    os.unlink(s.file("outside.sock"))
    server = serve(s.file("outside.sock"))
    s.restore()
    end = server.accept()[0]
    peer = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    expect("who has connected", int.from_bytes(peer[:4], "little"), s.pid)
    end.send(b"answer")
    s.finish()
    expect("the client", end.recv(100), b"again")


def scene_unix_outside_logger(s):
    """A datagram socket of a logger, which is another one by then."""
    server, _ = begin_client(s, SENDS_ON, kind=socket.SOCK_DGRAM)
    s.save("--unix-outside=reconnect")
    server.close()
    os.unlink(s.file("outside.sock"))
    server = serve(s.file("outside.sock"), socket.SOCK_DGRAM)
    s.restore()
    s.finish()
    expect("the logger", server.recv(100), b"again")


def scene_unix_file_in_the_way(s):
    """What stands where the socket was is a conflict, unless it is a dead socket; nothing is touched."""
    path = s.file("server.sock")
    s.begin(SERVER)
    s.save()
    os.unlink(path)
    with open(path, "w", encoding="ascii") as f:
        f.write("mine")
    s.restore_fails(CONFLICT, path, "something else is there")
    with open(path, encoding="ascii") as f:
        expect("the file", f.read(), "mine")
    os.unlink(path)
    other = serve(path)
    s.restore_fails(CONFLICT, path, "in use")
    other.close()
    expect("leftovers", [n for n in os.listdir(s.dir) if n.startswith(".ckpt")], [])
    s.restore()
    s.finish()


def scene_unix_file_gone(s):
    """Without the old file the socket has its file again; without the directory it says so."""
    s.begin("import socket\nos.mkdir('d')\nos.chdir('d')\n" + SERVER.replace("ready()", "os.chdir('..')\nready()\nos.chdir('d')"))
    s.save()
    s.words(s.ckpt("show", s.image), "stream server.sock, listening (backlog ")
    shutil.rmtree(s.file("d"))
    s.restore_fails(CONFLICT, "d/server.sock", "make its directory")
    os.mkdir(s.file("d"))
    s.restore()
    s.finish()


def tmux(s, *words):
    done = subprocess.run(["tmux", "-S", s.file("tmux.sock"), *words], cwd=s.dir, capture_output=True, text=True,
                          timeout=30, check=False)
    if done.returncode:
        raise Failure(f"tmux {' '.join(words)}: {done.stderr}")
    return done.stdout


def screen(s, pane):
    return tmux(s, "capture-pane", "-p", "-t", pane)


def scene_unix_tmux(s, rounds=20):
    """tmux with bash, vim and a pipeline at work: its screens are the same, and clients can attach."""
    for program in ("tmux", "vim", "bash"):
        if not shutil.which(program):
            raise Skip(f"{program} is missing")
    env = dict(os.environ, TERM="screen", PS1="$ ", HISTFILE="")
    env.pop("TMUX", None)
    subprocess.run(["tmux", "-S", s.file("tmux.sock"), "-f", "/dev/null", "new-session", "-d", "-s", "w",
                    "-x", "80", "-y", "24", "bash --norc --noprofile"], env=env, cwd=s.dir, check=True)
    tmux(s, "new-window", "-t", "w:1", "vim -u NONE -n text")
    tmux(s, "new-window", "-t", "w:2", "while :; do echo tick; sleep 0.01; done | grep -n tick > ticks")
    tmux(s, "send-keys", "-t", "w:0", "echo in $((40 + 2))", "Enter")
    tmux(s, "send-keys", "-t", "w:1", "ihello from vim")
    wait_for("bash", 20, lambda: "in 42" in screen(s, "w:0"))
    wait_for("vim", 20, lambda: "hello from vim" in screen(s, "w:1"))
    s.pid = int(tmux(s, "display-message", "-p", "#{pid}"))
    for i in range(rounds):
        time.sleep(0.05)
        was = [screen(s, "w:0"), screen(s, "w:1")]
        s.save("--force")
        wait_for("the end of all", 20, no_children)
        s.restore("--new-ptys")
        expect(f"screens of round {i}", [screen(s, "w:0"), screen(s, "w:1")], was)
    ticks = os.path.getsize(s.file("ticks"))
    tmux(s, "send-keys", "-t", "w:1", " and more", "Escape")
    tmux(s, "send-keys", "-t", "w:0", "echo still $((1 + 1))", "Enter")
    wait_for("bash", 20, lambda: "still 2" in screen(s, "w:0"))
    wait_for("vim", 20, lambda: "hello from vim and more" in screen(s, "w:1"))
    wait_for("the pipeline", 20, lambda: os.path.getsize(s.file("ticks")) > ticks)
    client = subprocess.Popen(["tmux", "-S", s.file("tmux.sock"), "-C", "attach", "-t", "w"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    expect("an attached client", client.stdout.read(7), b"%begin ")
    tmux(s, "kill-server")
    client.stdin.close()
    client.wait(20)


# What a user may have without any right: each kind of name, connections, what is unread. It says what is wrong.
OF_A_USER = """
import os, signal, socket, struct
def sock(kind, name=None):
    s = socket.socket(socket.AF_UNIX, kind)
    if name: s.bind(name)
    return s
here = os.getcwd()
listener = sock(socket.SOCK_STREAM, here + "/listener.sock")
listener.listen()
client = sock(socket.SOCK_STREAM, here + "/client.sock")
client.connect(here + "/listener.sock")
server = listener.accept()[0]
client.send(b"unread")
gone = sock(socket.SOCK_SEQPACKET, here + "/gone.sock")
gone.listen()
packets = sock(socket.SOCK_SEQPACKET)
packets.connect(here + "/gone.sock")
other = gone.accept()[0]
gone.close()
os.unlink("gone.sock")
packets.send(b"one"), packets.send(b"two")
log = sock(socket.SOCK_DGRAM, "log.sock")
sender = sock(socket.SOCK_DGRAM)
sender.connect("log.sock")
sender.send(b"a line"), sender.send(b"")
a, b = socket.socketpair()
socket.send_fds(a, [b"with"], [log.fileno()])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
names = [s.getsockname() for s in (listener, client, server, packets, other, log, udp)]
peers = [s.getpeername() for s in (client, server, packets, other, sender)]
cred = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
open("ready", "w").close()
signal.sigwait([signal.SIGUSR1])
wrong = []
def check(what, got, want):
    if got != want: wrong.append(f"{what}: {got!r}, not {want!r}")
check("names", [s.getsockname() for s in (listener, client, server, packets, other, log, udp)], names)
check("peers", [s.getpeername() for s in (client, server, packets, other, sender)], peers)
check("SO_PEERCRED", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12), cred)
check("stream", server.recv(100), b"unread")
check("packets", [other.recv(100), other.recv(100)], [b"one", b"two"])
check("datagrams", [log.recv(100), log.recv(100)], [b"a line", b""])
data, fds, _, _ = socket.recv_fds(b, 100, 4)
check("what came with a descriptor", data, b"with")
check("the descriptor", os.fstat(fds[0]).st_ino, os.fstat(log.fileno()).st_ino)
new = sock(socket.SOCK_STREAM)
new.connect(here + "/listener.sock")
listener.accept()[0].send(b"x")
check("a new connection", new.recv(10), b"x")
server.send(b"back")
check("the old one", client.recv(10), b"back")
udp.sendto(b"to itself", udp.getsockname())
check("udp", udp.recv(100), b"to itself")
with open("said.new", "w") as f: f.write("; ".join(wrong) or "fine")
os.rename("said.new", "said")
"""


def scene_unix_user(s):
    """Sockets of a user without any right, saved and brought back for them by the service."""
    uid, home = 54321, tempfile.mkdtemp(prefix="ckpt-scene-")
    os.chown(home, uid, uid)

    def has(name):
        return lambda: os.path.exists(os.path.join(home, name))
    program = subprocess.Popen(["/usr/bin/python3", "-c", OF_A_USER], cwd=home, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                               preexec_fn=as_user(uid))
    s.pid = program.pid
    try:
        wait_for("ready", 10, has("ready"))
        with Service(s) as service:
            saved = ask_as(service, uid, ("dump", {"pid": s.pid, "dir": home + "/image"}))
            program.wait()
            expect(f"it is saved: {saved}", "result" in saved[0], True)
            back = ask_as(service, uid, ("restore", {"dir": home + "/image", "detach": True}))
            expect(f"it is brought back: {back}", "result" in back[0], True)
            expect("whose it is", os.stat(f"/proc/{s.pid}").st_uid, uid)
            os.kill(s.pid, signal.SIGUSR1)
            wait_for("what it says", 10, has("said"))
            with open(home + "/said", encoding="ascii") as f:
                expect("what it says", f.read(), "fine")
    finally:
        if os.path.exists(f"/proc/{s.pid}/cwd") and os.readlink(f"/proc/{s.pid}/cwd") == home:
            os.kill(s.pid, signal.SIGKILL)
        shutil.rmtree(home)


# Descriptor 30 is given up at the restore; the same, in flight, is not. A pidfd can be opened late only.
IN_FLIGHT = """
import os, socket
a, b = socket.socketpair()
with open("file", "w+") as f:
    f.write("kept")
    f.flush()
    os.dup2(f.fileno(), 30)
os.dup2(os.pidfd_open(os.getpid()), 31)
socket.send_fds(a, [b"x"], [30, 31])
ready()
check([os.readlink(f"/proc/self/fd/{n}") for n in (30, 31)], ["/dev/null"] * 2, "what it became")
fds = socket.recv_fds(b, 10, 4)[1]
check(os.pread(fds[0], 10, 0), b"kept", "what was in flight")
check(f"Pid:\\t{os.getpid()}\\n" in open(f"/proc/self/fdinfo/{fds[1]}").read(), True, "the pidfd")
"""


def scene_unix_fd(s):
    """--fd N=null says nothing of what is in flight in a socket."""
    s.begin(IN_FLIGHT)
    s.save()
    s.restore("--fd", "30=null", "--fd", "31=null")


# Pipes that lead outside: standard output, which is here, too, and one that is in flight alone.
OUTSIDE_IN_FLIGHT = """
import os, socket
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [1])
socket.send_fds(a, [b"y"], [30])
os.close(30)
ready()
fds = [socket.recv_fds(b, 1, 2)[1][0] for _ in range(2)]
os.write(fds[0], b"by what was in flight")
check(os.readlink(f"/proc/self/fd/{fds[1]}"), "/dev/null", "the other")
"""


def scene_unix_outside_in_flight(s):
    """Standard output is in flight: it is that of the restore command, as the program's own number is."""
    r, w = os.pipe()
    other = os.pipe()
    os.dup2(other[1], 30, inheritable=True)
    s.begin(OUTSIDE_IN_FLIGHT, stdout=w, keep=(30,))
    s.save()
    for fd in (r, w, *other, 30):
        os.close(fd)
    r, w = os.pipe()
    proc = s.front(stdout=w)
    os.close(w)
    s.go()
    s.ends(proc, 0)
    expect("standard output", os.read(r, 100), b"by what was in flight")
    os.close(r)
