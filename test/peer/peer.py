"""What the plays share: servers that are dumped and restored, and clients beside them that count."""
import mmap
import os
import pwd
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scene"))
from harness import CONFLICT  # noqa: E402
from trial import Failure, Skip, Test, proc_children, status_text, wait_for  # noqa: E402, of test/e2e

REFUSED = 3  # ckpt's exit status: the target holds something that cannot be saved
PAUSE_S = 0.25  # a dump comes at a random moment of this time after the clients' last answer
PATIENCE_S = 30  # a client that gets no answer for so long is an error
STOP, COUNT, GAP = 0, 8, 16  # offsets in what a client shares with the driver: 64 bits each


def free_port():
    """Nobody has it now; outside of the range from which clients get theirs."""
    for port in random.sample(range(20000, 30000), 200):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Skip("no free port between 20000 and 30000")


def program(name, *more):
    """Where a program is, also one that is not in PATH."""
    found = shutil.which(name, path=":".join((os.environ["PATH"], "/usr/sbin", "/sbin", *more)))
    if not found:
        raise Skip(f"{name} is not installed")
    return found


def user(*names):
    """The first of these users that is here; a program that wants its own gets it."""
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise Skip(f"there is no user {' or '.join(names)}")


class Client:
    """A process beside the servers; function(client, ...) runs in it and raises what it finds wrong."""

    def __init__(self, name, directory, function, args):
        self.name, self.path = name, os.path.join(directory, f"client.{name}")
        self.shared = mmap.mmap(-1, mmap.PAGESIZE)
        self.prompt = True  # answers come all the time, so that a round can wait for one
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self.run(function, args)

    def run(self, function, args):
        try:
            signal.alarm(0)
            text, status = function(self, *args) or "", 0
        except Failure as e:
            text, status = str(e), 1
        except BaseException:
            text, status = traceback.format_exc(), 1
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        os._exit(status)

    def get(self, what):
        return struct.unpack_from("Q", self.shared, what)[0]

    def put(self, what, value):
        struct.pack_into("Q", self.shared, what, value)

    # For the client itself.
    def stopped(self):
        return self.get(STOP)

    def counted(self, waited_s=0.0, answers=1):
        """Answers came, and the client has waited so long for them."""
        self.put(COUNT, self.get(COUNT) + answers)
        self.put(GAP, max(self.get(GAP), int(waited_s * 1e6)))

    # For the driver.
    def result(self):
        with open(self.path, encoding="utf-8") as f:
            return f.read().strip()

    def look(self):
        """None while it runs; then its exit status."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


class Play:
    """In the place of an e2e victim: a name and how long it may take."""
    may_fail = False
    timeout = 86400.0

    def __init__(self, name):
        self.name = name


class Peers(Test):
    """One play in its directory."""

    def __init__(self, name, directory, opts):
        super().__init__(Play(name), "peer", directory, 1)
        self.rounds, self.seconds = opts.rounds, opts.seconds
        self.random = random.Random(f"{opts.seed} {name}")
        self.clients, self.roots = [], []
        self.gaps, self.times, self.refusals = [], [], []
        open(self.file("out"), "w", encoding="ascii").close()

    def file(self, name):
        return os.path.join(self.dir, name)

    def own_dir(self, name, owner):
        """A directory that belongs to the server's user."""
        path = self.file(name)
        os.makedirs(path)
        os.chown(path, owner.pw_uid, owner.pw_gid)
        return path

    # ---- programs ------------------------------------------------------------------------------

    def serve(self, words, owner=None, cwd=None, env=None):
        """Starts the root of a tree that can be dumped, of which it leads the session."""
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": self.dir, **(env or {})}
        ids = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        with open(self.file("out"), "ab") as out:
            proc = subprocess.Popen(words, cwd=cwd or self.dir, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=out, start_new_session=True, **ids)
        proc.returncode = 0  # this file waits for it by pid, Popen must not
        self.roots.append(proc.pid)
        return proc.pid

    def wait_port(self, port, root):
        def look():
            self.look_after(root)
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        wait_for(f"somebody who listens at {port}", 30, look)

    def look_after(self, *roots):
        """A server or client that has ended by itself is a failure."""
        for pid in roots or self.roots:
            got, status = os.waitpid(pid, os.WNOHANG)
            if got:
                self.roots.remove(pid)
                raise Failure(f"process {pid} ended by itself: {status_text(os.waitstatus_to_exitcode(status))}")
        for client in self.clients:
            status = client.look()
            if status is not None:
                self.clients.remove(client)
                raise Failure(f"client {client.name} ended early: {client.result() or status_text(status)}")

    def client(self, name, function, *args):
        self.clients.append(Client(name, self.dir, function, args))
        return self.clients[-1]

    # ---- rounds --------------------------------------------------------------------------------

    def strangers_gone(self):
        """Reaps what was started by a tree that is dead; true when there is nobody left of it."""
        known = {client.pid for client in self.clients} | set(self.roots)
        left = [pid for pid in proc_children() if pid not in known]
        for pid in left:
            os.waitpid(pid, os.WNOHANG)
        return not left

    def image(self, root):
        return self.file(f"image.{root}")

    def away(self, root, *more):
        """Dumps a tree, which dies."""
        at = time.monotonic()
        for _ in range(50):
            status, text = self.ckpt("dump", "-t", str(root), "-D", self.image(root), *more, ok=False)
            if status != REFUSED:
                break
            self.refusals.append(text)  # what is only so for a moment
            time.sleep(0.013)
        if status == REFUSED:
            raise Skip(f"refused by ckpt: {text.splitlines()[0]:.300}")
        if status != 0:
            raise Failure(f"dump: {status_text(status)}\n{text}")
        took = time.monotonic() - at
        status = wait_for(f"the death of {root}", 20, lambda: self.reap_root(root))
        if status != -signal.SIGKILL:
            raise Failure(f"process {root} ended by itself: {status_text(status)}")
        wait_for("the death of the whole tree", 20, self.strangers_gone)
        return took

    def reap_root(self, root):
        pid, status = os.waitpid(root, os.WNOHANG)
        if not pid:
            return None
        self.roots.remove(root)
        return os.waitstatus_to_exitcode(status)

    def back(self, root, *more):
        """Restores it. A pid or terminal that somebody else on this machine has for a moment is waited for."""
        at = time.monotonic()
        end = at + 10
        while True:
            status, text = self.ckpt("restore", "-D", self.image(root), "-d", *more, ok=False)
            if status != CONFLICT or time.monotonic() > end:
                break
            time.sleep(0.05)
        if status != 0:
            raise Failure(f"restore: {status_text(status)}\n{text}")
        self.roots.append(root)
        shutil.rmtree(self.image(root))
        return time.monotonic() - at

    def progress(self, n=1):
        """Every client gets so many more answers."""
        before = [(client, client.get(COUNT)) for client in self.clients if client.prompt]

        def look():
            self.look_after()
            return all(client.get(COUNT) >= count + n for client, count in before if client in self.clients)
        try:
            wait_for("answers", PATIENCE_S, look)
        except Failure as e:
            stuck = [client.name for client, count in before if client.get(COUNT) < count + n]
            raise Failure(f"{e}, of {' '.join(stuck)}" if stuck else str(e)) from None

    def round(self, root):
        time.sleep(self.random.random() * PAUSE_S)
        at = time.monotonic()
        dump_s = self.away(root)
        restore_s = self.back(root)
        self.times.append((dump_s, restore_s, time.monotonic() - at))
        self.progress()
        self.gaps.append(self.gap())

    def gap(self):
        """Seconds of the longest that a client has waited since this was asked last."""
        longest = max([client.get(GAP) for client in self.clients], default=0) / 1e6
        for client in self.clients:
            client.put(GAP, 0)
        return longest

    def all_rounds(self, root, each=lambda n: None):
        """All the rounds of a server, then its clients end and say what they found; what there is to say.

        root may be a function that says whose turn it is.
        """
        refused = None
        self.progress()
        undisturbed = self.gap()
        for n in range(self.rounds):
            try:
                self.round(root() if callable(root) else root)
                each(n)
            except Failure as e:
                raise Failure(f"round {n + 1}: {e}") from None
            except Skip as e:
                refused = e
                break
        if not self.rounds:
            time.sleep(2)
        self.progress()
        self.gaps.append(self.gap())  # of a connection that was not the first to be answered
        said = self.clients_end()
        self.look_after()
        if refused:
            raise refused  # but all has gone on as if nothing had been
        return ", ".join(said + self.figures(undisturbed))

    def clients_end(self):
        """Their counts, and whatever they were not content with."""
        said, wrong = [], []
        for client in self.clients:
            client.put(STOP, 1)
        for client in self.clients:
            try:
                # 0 is a result as well, so it is wrapped
                status = wait_for("the end", PATIENCE_S, lambda c=client: [s for s in [c.look()] if s is not None])[0]
            except Failure as e:
                wrong.append(f"client {client.name}: {e}")
                os.kill(client.pid, signal.SIGKILL)
                os.waitpid(client.pid, 0)
                continue
            text = client.result() if os.path.exists(client.path) else ""
            (wrong if status else said).append(f"{client.name}: {text or client.get(COUNT)}")
        self.clients.clear()
        if wrong:
            raise Failure("\n".join(wrong))
        return said

    def figures(self, undisturbed):
        if not self.times:
            return []
        dump, restore, gone = (sorted(column)[len(column) // 2] * 1000 for column in zip(*self.times))
        said = [f"{len(self.times)} rounds: dump {dump:.0f} ms, restore {restore:.0f} ms, gone {gone:.0f} ms"]
        if any(self.gaps):
            said.append(f"pause of a client {sorted(self.gaps)[len(self.gaps) // 2] * 1000:.0f} ms,"
                        f" at most {max(self.gaps) * 1000:.0f} ms (before {undisturbed * 1000:.0f} ms)")
        return said + ([f"{len(self.refusals)} dumps refused and tried again: {self.refusals[0]:.300}"]
                       if self.refusals else [])

    def end(self, root, sig=signal.SIGTERM, want=(0,)):
        """The server ends as it does without us."""
        os.kill(root, sig)
        status = wait_for("the server's end", 30, lambda: [s for s in [self.reap_root(root)] if s is not None])[0]
        if status not in want:
            raise Failure(f"the server ended with {status_text(status)}")
        wait_for("the end of all that it has started", 20, self.strangers_gone)
