"""A session through an sshd that is dumped with it: the listener, the session's process, and its shell at a pty."""
import os
import random
import subprocess
import time

from trial import Failure
from peer import PATIENCE_S, free_port, program

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/user_key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin yes
PrintMotd no
PrintLastLog no
"""


SHELL = "exec bash --norc --noprofile --noediting -i"
PROMPT = b"<ready>"


class Shell:
    """A user at a terminal, far away."""

    def __init__(self, words, env):
        self.proc = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
        self.shown = b""
        self.type("PS1='<rea''dy>'; stty -echo; sleep 1001 & n=0; job=$!\n")
        self.until(PROMPT)

    def type(self, text):
        self.proc.stdin.write(text.encode())
        self.proc.stdin.flush()

    def until(self, mark):
        """Reads to the mark; what stood before it."""
        while mark not in self.shown:
            piece = os.read(self.proc.stdout.fileno(), 65536)
            if not piece:
                raise Failure(f"the session ended: {self.shown[-500:]!r}")
            self.shown += piece
        text, _, self.shown = self.shown.partition(mark)
        return text.decode().replace("\r", "")

    def run(self, line):
        self.type(line + "\n")
        return self.until(PROMPT)


def terminal(client, words, env):
    """Types to an interactive shell; its variables, its jobs and its terminal have to be as they were."""
    shell, rng, n = Shell(words, env), random.Random(1), 0
    tty = shell.run("tty")
    if not tty.startswith("/dev/pts/"):
        raise Failure(f"the terminal is {tty!r}")
    while not client.stopped():
        at = time.monotonic()
        rows = rng.choice((1, 10, 2000))
        got = shell.run(f"n=$((n + 1)); seq $n $((n + {rows - 1})); kill -0 $job && tty")
        n += 1
        if got != "".join(f"{i}\n" for i in range(n, n + rows)) + tty:
            raise Failure(f"row {n}: the shell shows {got:.200}")
        if n % 10 == 0:
            shell.type("sh -c 'echo on; exec sleep 1000'\n")
            shell.until(b"on\r\n")  # the program that shall be reached by ^C is there
            shell.type("\x03")
            shell.until(PROMPT)
            got = shell.run("echo $?")
            if got != "130\n":
                raise Failure(f"^C: the program ended with {got:.200}")
        client.counted(time.monotonic() - at)
        time.sleep(0.005)
    shell.type("kill $job; exit 5\n")
    status = shell.proc.wait(PATIENCE_S)
    if status != 5:
        raise Failure(f"the session ended with {status}: {shell.proc.stdout.read()!r:.300}")
    return f"{n} commands"


def stream(client, words, env):
    """Bytes through a command without a terminal, in both directions, until its end of input."""
    proc, sent, rng = subprocess.Popen(words + ["cat"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE), 0, \
        random.Random(2)
    while not client.stopped():
        data = rng.randbytes(rng.choice((1, 1000, 60000)))
        at = time.monotonic()
        proc.stdin.write(data)
        proc.stdin.flush()
        if proc.stdout.read(len(data)) != data:
            raise Failure(f"other bytes than the {len(data)} that were sent after {sent}")
        sent += len(data)
        client.counted(time.monotonic() - at)
    proc.stdin.close()
    rest = proc.stdout.read()
    if rest or proc.wait(PATIENCE_S):
        raise Failure(f"{len(rest)} bytes more than were sent; the end: {proc.returncode}")
    return f"{sent >> 10} KiB"


def peer_ssh(p):
    port, sshd, ssh, keygen = free_port(), program("sshd"), program("ssh"), program("ssh-keygen")
    os.makedirs("/run/sshd", exist_ok=True)  # which sshd wants, and the package's service would make
    for key in ("host_key", "user_key"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", p.file(key)], check=True)
    with open(p.file("config"), "w", encoding="ascii") as f:
        f.write(CONFIG.format(port=port, dir=p.dir))
    root = p.serve([sshd, "-D", "-e", "-f", p.file("config")])
    p.wait_port(port, root)
    words = [ssh, "-F", "none", "-q", "-p", str(port), "-i", p.file("user_key"), "-o", "StrictHostKeyChecking=no",
             "-o", f"UserKnownHostsFile={p.file('known')}", "-o", "BatchMode=yes"]
    env = {"PATH": os.environ["PATH"], "HOME": p.dir, "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    p.client("terminal", terminal, [*words, "-tt", "root@127.0.0.1", SHELL], env)
    p.client("stream", stream, [*words, "-T", "root@127.0.0.1"], env)
    said = p.all_rounds(root)
    p.end(root, want=(0, 255))
    return said
