"""Plays with a whole cluster of PostgreSQL: the postmaster and all its processes."""
import glob
import os
import re
import signal
import subprocess
import time

from trial import Failure, wait_for
from peer import PATIENCE_S, free_port, program, user

BIN = (sorted(glob.glob("/usr/lib/postgresql/*/bin")) or ["/usr/bin"])[-1]
LOADERS = 8  # connections of pgbench


class Cluster:
    """One in the play's directory, which nobody else uses."""

    def __init__(self, p, tcp=True, script=None):
        """With a script that is the root of the tree, and begins with the postmaster's command as "$@"."""
        self.owner, self.port = user("postgres"), free_port()
        self.host = "127.0.0.1" if tcp else p.own_dir("socket", self.owner)
        self.env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": p.dir, "PGHOST": self.host,
                    "PGPORT": str(self.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
        self.psql, self.pgbench = program("psql", BIN), program("pgbench", BIN)
        data = p.own_dir("data", self.owner)
        self.run(program("initdb", BIN), "-D", data, "--auth=trust", "--no-sync", "-U", "postgres", owner=True)
        sockets = self.host if not tcp else data
        words = [program("postgres", BIN), "-D", data, "-p", str(self.port), "-k", sockets,
                 "-c", f"listen_addresses={self.host if tcp else ''}", "-c", "shared_buffers=16MB",
                 "-c", "huge_pages=off"]  # others of this machine may take them while it is away
        self.root = p.serve(["sh", "-c", script, "sh", *words] if script else words, self.owner, data, self.env)
        end = time.monotonic() + 60
        while self.run(program("pg_isready", BIN), fails=True).returncode:
            p.look_after(self.root)
            if time.monotonic() > end:
                raise Failure("the cluster does not get ready")
            time.sleep(0.1)

    def run(self, *words, owner=False, fails=False):
        ids = {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []} if owner else {}
        done = subprocess.run(words, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, **ids)
        if done.returncode and not fails:
            raise Failure(f"{' '.join(words)}: {done.stdout}")
        return done

    def ask(self, sql):
        return self.run(self.psql, "-XAtqc", sql).stdout.strip()

    def session(self):
        return Session(self)


class Session:
    """A psql that stays, to which lines are typed."""

    def __init__(self, cluster):
        self.proc = subprocess.Popen([cluster.psql, "-XAtq", "-v", "ON_ERROR_STOP=1"], env=cluster.env,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.numbered = 0

    def ask(self, sql):
        """What it shows up to a mark; after an error it ends."""
        self.numbered += 1
        mark = f"-- {self.numbered}"
        self.proc.stdin.write(f"{sql}\n\\echo '{mark}'\n".encode())
        self.proc.stdin.flush()
        shown = []
        while True:
            line = self.proc.stdout.readline().decode()
            if not line:
                raise Failure(f"psql ended at {sql}: {''.join(shown)}")
            if line.rstrip("\n") == mark:
                return "".join(shown).strip()
            shown.append(line)

    def end(self):
        self.proc.stdin.close()
        if self.proc.wait(PATIENCE_S) != 0:
            raise Failure(f"psql ended with {self.proc.returncode}")


def expect(what, got, want):
    if got != want:
        raise Failure(f"{what}: expected {want!r}, got {got!r}")


def transaction(client, cluster):
    """One that is open all the time, with a temporary table, a cursor, and a row that only it sees."""
    s, other, n = cluster.session(), cluster.session(), 0
    s.ask("begin; create temp table mine (n integer, text text); insert into kept values (-1);")
    s.ask("declare c cursor for select generate_series(0, 100000000);")
    pid = s.ask("select pg_backend_pid();")
    while not client.stopped():
        at = time.monotonic()
        expect("insert", s.ask(f"insert into mine values ({n}, repeat('x', {n % 3000})) returning n;"), str(n))
        expect("fetch", s.ask("fetch c;"), str(n))
        if n % 20 == 0:
            expect("the temporary table", s.ask("select count(*), sum(n), sum(length(text)) from mine;"),
                   f"{n + 1}|{n * (n + 1) // 2}|{sum(i % 3000 for i in range(n + 1))}")
            expect("seen by others", other.ask("select count(*) from kept;"), "0")
        client.counted(time.monotonic() - at)
        n += 1
        time.sleep(0.005)
    expect("the server's process", s.ask("select pg_backend_pid();"), pid)
    s.ask("insert into kept select n from mine; drop table mine; commit;")
    s.end()
    expect("after the commit", other.ask("select count(*), sum(n) from kept;"), f"{n + 1}|{n * (n - 1) // 2 - 1}")
    other.end()
    return f"{n} statements"


def listener(client, cluster):
    """NOTIFY reaches LISTEN, once and in order, through the processes of two sessions."""
    hears, tells, n = cluster.session(), cluster.session(), 0
    hears.ask("listen news;")
    while not client.stopped():
        at = time.monotonic()
        tells.ask(f"notify news, '{n}';")
        shown = hears.ask("select 1;")
        while "payload" not in shown and time.monotonic() < at + PATIENCE_S:
            shown = hears.ask("select 1;")
        expect("notified", re.findall(r'payload "(\d+)"', shown), [str(n)])
        client.counted(time.monotonic() - at)
        n += 1
        time.sleep(0.01)
    hears.end()
    tells.end()
    return f"{n} notifications"


def agree(cluster, total):
    """What pgbench leaves: a row of history for each transaction, and sums that are the same everywhere."""
    sums = ", ".join(f"(select sum({what}) from pgbench_{table})" for what, table in (
        ("delta", "history"), ("abalance", "accounts"), ("bbalance", "branches"), ("tbalance", "tellers")))
    count, *rest = cluster.ask(f"select (select count(*) from pgbench_history), {sums};").split("|")
    if int(count) != total or len(set(rest)) != 1:
        raise Failure(f"pgbench did {total} transactions, the data base has {count}; its sums are {rest}")


def loaders(client, cluster, directory):
    """One run of pgbench, which SIGALRM ends before its time; its log has how long each transaction took."""
    proc = subprocess.Popen([cluster.pgbench, "-n", "-c", str(LOADERS), "-T", "100000", "-l", "--log-prefix",
                             f"{directory}/bench"], env=cluster.env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not client.stopped() and proc.poll() is None:
        time.sleep(0.01)
    proc.send_signal(signal.SIGALRM)
    said = proc.communicate(timeout=PATIENCE_S)[0]
    counts = [re.search(f"number of {what}: (\\d+)", said)
              for what in ("transactions actually processed", "failed transactions")]
    if not client.stopped() or proc.returncode or not all(counts) or int(counts[1].group(1)) or "error" in said:
        raise Failure(f"pgbench: {said}")
    with open(f"{directory}/bench.{proc.pid}", encoding="ascii") as f:
        longest = max(int(line.split()[2]) for line in f)
    agree(cluster, int(counts[0].group(1)))
    return f"{counts[0].group(1)} transactions of at most {longest / 1000:.0f} ms"


def peer_postgres(p):
    """With a transaction that is open, sessions that notify each other, and pgbench."""
    cluster = Cluster(p)
    cluster.ask("create table kept (n integer);")
    cluster.run(cluster.pgbench, "-i", "-q", "-s", "2", "postgres")
    p.client("transaction", transaction, cluster)
    p.client("listener", listener, cluster)
    p.client("pgbench", loaders, cluster, p.dir).prompt = False  # it says at its end what it did
    said = p.all_rounds(cluster.root)
    p.end(cluster.root)
    return said


INSIDE = """
	"$@" & postmaster=$!
	until [ -e ../begin ]; do sleep 0.1; done
	until [ -e ../stop ]; do {pgbench} -n -c {loaders} -T 1 >>pgbench.out 2>&1 || exit 1; done
	touch done
	until [ -e ../end ]; do sleep 0.1; done
	kill -INT $postmaster && wait $postmaster
"""


def peer_postgres_inside(p):
    """pgbench is in the tree as well, and connects to a path: both ends of every connection are dumped."""
    cluster = Cluster(p, False, INSIDE.format(pgbench=program("pgbench", BIN), loaders=LOADERS))
    cluster.run(cluster.pgbench, "-i", "-q", "-s", "2", "postgres")
    out = p.file("data/pgbench.out")

    def processed():
        with open(out, encoding="utf-8") as f:
            text = f.read()
        return [[int(n) for n in re.findall(f"{what}: (\\d+)", text)]
                for what in ("transactions actually processed", "failed transactions")]

    def another_run(_=0):
        runs = len(processed()[0])
        wait_for("a run of pgbench to its end", PATIENCE_S, lambda: p.look_after() or len(processed()[0]) > runs)
    with open(out, "w", encoding="ascii"), open(p.file("begin"), "w", encoding="ascii"):
        os.chown(out, cluster.owner.pw_uid, cluster.owner.pw_gid)
    another_run()
    said = p.all_rounds(cluster.root, another_run)
    with open(p.file("stop"), "w", encoding="ascii"):
        wait_for("pgbench's end", PATIENCE_S, lambda: os.path.exists(p.file("data/done")))
    counts, failed = processed()
    expect("failed transactions", failed, [0] * len(counts))
    agree(cluster, sum(counts))
    with open(p.file("end"), "w", encoding="ascii"):
        p.end(cluster.root, 0)
    return ", ".join([f"{sum(counts)} transactions", *filter(None, [said])])


def peer_postgres_idle(p):
    """No connection is open when it is dumped; it listens at a path."""
    cluster = Cluster(p, tcp=False)
    cluster.ask("create table kept (n integer);")

    def ask(n):
        cluster.ask(f"insert into kept values ({n});")
        expect("rows", cluster.ask("select count(*), max(n) from kept;"), f"{n + 1}|{n}")
    said = p.all_rounds(cluster.root, ask)
    p.end(cluster.root)
    return said
