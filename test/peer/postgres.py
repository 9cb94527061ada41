"""Plays with a whole cluster of PostgreSQL: the postmaster and all its processes."""
import glob
import os
import re
import subprocess
import time

from modes import Failure
from peer import PATIENCE_S, free_port, program, user

BIN = (sorted(glob.glob("/usr/lib/postgresql/*/bin")) or ["/usr/bin"])[-1]
LOADERS = 8  # connections of pgbench
RUN_S = 3  # of one run of pgbench; there is always one


class Cluster:
    """One in the play's directory, which nobody else uses."""

    def __init__(self, p, tcp=True):
        self.owner, self.port = user("postgres"), free_port()
        self.host = "127.0.0.1" if tcp else p.own_dir("socket", self.owner)
        self.env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": p.dir, "PGHOST": self.host,
                    "PGPORT": str(self.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
        self.psql, self.pgbench = program("psql", BIN), program("pgbench", BIN)
        data = p.own_dir("data", self.owner)
        self.run(program("initdb", BIN), "-D", data, "--auth=trust", "--no-sync", "-U", "postgres", owner=True)
        sockets = self.host if not tcp else data
        self.root = p.serve([program("postgres", BIN), "-D", data, "-p", str(self.port), "-k", sockets,
                             "-c", f"listen_addresses={self.host if tcp else ''}", "-c", "shared_buffers=16MB"],
                            self.owner)
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
    s, n = cluster.session(), 0
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
            expect("seen by others", cluster.ask("select count(*) from kept;"), "0")
        client.counted(time.monotonic() - at)
        n += 1
        time.sleep(0.005)
    expect("the server's process", s.ask("select pg_backend_pid();"), pid)
    s.ask("insert into kept select n from mine; drop table mine; commit;")
    s.end()
    expect("after the commit", cluster.ask("select count(*), sum(n) from kept;"), f"{n + 1}|{n * (n - 1) // 2 - 1}")
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


def loaders(client, cluster, directory):
    """
    Runs of pgbench, one after another. Its log has how long each transaction took, and what it has done is
    in the data base: a row of history for each, and sums that agree.
    """
    total, failed, longest = 0, 0, 0
    while not client.stopped():
        done = cluster.run(cluster.pgbench, "-n", "-c", str(LOADERS), "-T", str(RUN_S), "-l", "--log-prefix",
                           f"{directory}/bench", "postgres")
        count = re.search(r"number of transactions actually processed: (\d+)", done.stdout)
        failures = re.search(r"number of failed transactions: (\d+)", done.stdout)
        if not count or not failures:
            raise Failure(f"pgbench: {done.stdout}")
        total, failed = total + int(count.group(1)), failed + int(failures.group(1))
        if failed or "error" in done.stdout.lower():
            raise Failure(f"pgbench: {done.stdout}")
        for name in os.listdir(directory):
            if name.startswith("bench"):
                with open(f"{directory}/{name}", encoding="ascii") as f:
                    longest = max(longest, *(int(line.split()[2]) for line in f))
                os.unlink(f"{directory}/{name}")
    sums = cluster.ask("select (select count(*) from pgbench_history), (select sum(delta) from pgbench_history)"
                       " - (select sum(abalance) from pgbench_accounts), (select sum(delta) from"
                       " pgbench_history) - (select sum(bbalance) from pgbench_branches), (select sum(delta)"
                       " from pgbench_history) - (select sum(tbalance) from pgbench_tellers);")
    expect("transactions in the data base, and the differences of sums", sums, f"{total}|0|0|0")
    return f"{total} transactions of at most {longest / 1000:.0f} ms"


def peer_postgres(p):
    """With a transaction that is open, sessions that notify each other, and pgbench."""
    cluster = Cluster(p)
    cluster.ask("create table kept (n integer);")
    cluster.run(cluster.pgbench, "-i", "-q", "-s", "2", "postgres")
    p.client("transaction", transaction, cluster)
    p.client("listener", listener, cluster)
    p.client("pgbench", loaders, cluster, p.dir).prompt = False  # it says at its end how long each took
    said = p.all_rounds(cluster.root)
    p.end(cluster.root)
    return said


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
