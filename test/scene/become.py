"""Scenes of `ckpt restore --exec`: the calling process becomes the program, as a shell or a supervisor sees it."""
import os
import random
import signal
import subprocess
import time

from front import CATCHER, Job, expect, got, job_control
from harness import CKPT, INCLUDE, Failure, no_children, proc_state, status_text, wait_for
from trial import proc_children  # of test/e2e
from service import Service
from victims import BUILD  # of test/e2e

USAGE, CONFLICT, SYSTEM = 2, 6, 9

# A root with two threads and two children, one of which has a child. Each writes who it is when it is told.
TREE = """
import threading, time
def say(name):
    with open(name + ".new", "w") as f:
        f.write(f"{os.getpid()} {os.getppid()}")
    os.rename(name + ".new", name)
def child(name, below=None):
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [GO])
        signal.signal(GO, lambda *_: say(name))
        if below:
            child(below)
        say(name)
        while True:
            time.sleep(10)
    return pid
heard = []
signal.signal(signal.SIGUSR2, lambda *_: heard.append(threading.current_thread() is threading.main_thread()))
main = threading.main_thread().ident
def other():
    signal.sigwait([GO])
    signal.pthread_kill(main, signal.SIGUSR2)  # by the number that libc knows it by
    while not heard:
        time.sleep(0.01)
    say("root")
told = []
signal.signal(signal.SIGCHLD, lambda *_: told.append(1))
kids = [child("a"), child("b", "c")]
while not all(os.path.exists(n) for n in "abc"):
    time.sleep(0.01)
thread = threading.Thread(target=other)
thread.start()
with open("ready", "w"):
    pass
while thread.is_alive():
    time.sleep(0.01)
for pid in kids:
    os.kill(pid, GO)
with open("c") as f:
    c = int(f.read().split()[0])
os.unlink("c")
os.kill(c, GO)
while not os.path.exists("c"):
    time.sleep(0.01)
os.kill(c, 9)
check(told, [], "signals of children that are none")
for pid in kids:
    os.kill(pid, 9)
    check(os.waitpid(pid, 0), (pid, 9), "its child")
try:
    check(os.waitpid(-1, os.WNOHANG), None, "a child more")
except ChildProcessError:
    os._exit(11)
"""


def words(s, *more):
    return [CKPT, "restore", "--exec", "-D", s.image, "--pidfile", s.file("pidfile"), *more]


def log(s):
    with open(s.file("log"), encoding="utf-8", errors="replace") as f:
        return f.read()


def start(s, argv, **options):
    with open(s.file("log"), "ab") as out:
        return subprocess.Popen(argv, cwd=s.dir, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)


def said(s, name):
    with open(s.file(name), encoding="ascii") as f:
        return [int(n) for n in f.read().split()]


def forget(s, *names):
    for name in names:
        if os.path.exists(s.file(name)):
            os.unlink(s.file(name))


def ends(proc, want):
    try:
        status = proc.wait(20)
    except subprocess.TimeoutExpired:
        raise Failure(f"it does not end: {proc_state(proc.pid)}") from None
    if status != want:
        raise Failure(f"expected {status_text(want)}, got {status_text(status)}")


def scene_become_supervised(s):
    """Who waits for the pid that it has started sees the program end; children keep their pids, and have it as parent."""
    s.begin(TREE)
    was = {name: said(s, name)[0] for name in "abc"}
    s.save()
    wait_for("the end of its children", 5, no_children)
    forget(s, "a", "b")
    proc = start(s, words(s))
    if s.runs(proc) != proc.pid:
        raise Failure(f"the pidfile says {s.runs()}, it was started as {proc.pid}")
    os.kill(proc.pid, signal.SIGRTMAX - 1)
    ends(proc, 11)
    want = {"root": [proc.pid, os.getpid()], "a": [was["a"], proc.pid], "b": [was["b"], proc.pid],
            "c": [was["c"], was["b"]]}
    now = {name: said(s, name) for name in want}
    if now != want:
        raise Failure(f"pids and parents: expected {want}, got {now}")


def scene_become_shell(s):
    """A shell sees the program's exit status, and the signal by which it dies."""
    s.begin(CATCHER)
    s.save()
    for sig, want in ((signal.SIGTERM, 7), (signal.SIGABRT, 128 + signal.SIGABRT)):
        forget(s, "pidfile", "status")
        shell = start(s, ["sh", "-c", '"$@"; echo $? > status', "sh", *words(s)])
        os.kill(s.runs(shell), sig)
        ends(shell, 0)
        with open(s.file("status"), encoding="ascii") as f:
            if int(f.read()) != want:
                raise Failure(f"the shell saw another status than {want}")


def scene_become_job(s):
    """Job control: the keys of the terminal reach it, the shell sees it stop, and brings it back."""
    s.begin(CATCHER)
    s.save()
    job_control(s, Job(s, words(s)), stops_within=0)  # what the shell sees stop is the program itself


def scene_become_timeout(s):
    """timeout(1), which is told nothing, ends it; a signal that comes too early is the program's."""
    s.begin(CATCHER)
    s.save()
    proc = start(s, ["timeout", "1", *words(s)])
    s.runs(proc)
    ends(proc, 124)
    if got(s) != ["CONT", "TERM"] and got(s) != ["TERM", "CONT"] and got(s) != ["TERM"]:
        raise Failure(f"signals: {got(s)}")
    forget(s, "got", "pidfile")
    proc = start(s, ["sh", "-c", 'trap "" INT; kill -USR1 $$; exec "$@"', "sh", "env", "--block-signal=USR1", "sh", "-c",
                     'kill -USR1 $$; exec "$@"', "sh", *words(s)])
    ends(proc, -signal.SIGUSR1)  # before it was blocked: no business of ours
    proc = start(s, ["env", "--block-signal=USR1", "sh", "-c", 'kill -USR1 $$; exec "$@"', "sh", *words(s)])
    s.runs(proc)
    expect(s, "USR1")
    proc.send_signal(signal.SIGTERM)
    ends(proc, 7)


def scene_become_nohup(s):
    """What nohup(1) keeps from a program it keeps from this one, where that does nothing about it itself."""
    s.begin("ready()")
    s.save()
    proc = start(s, ["nohup", *words(s)])
    os.kill(s.runs(proc), signal.SIGHUP)
    time.sleep(0.05)
    os.kill(proc.pid, signal.SIGRTMAX - 1)
    ends(proc, 0)
    forget(s, "pidfile")
    proc = start(s, words(s), restore_signals=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    os.kill(s.runs(proc), signal.SIGHUP)
    ends(proc, -signal.SIGHUP)


def scene_become_frozen(s):
    """--frozen: it stands, as its parent sees, until a SIGCONT."""
    s.begin(CATCHER)
    s.save()
    proc = start(s, words(s, "--frozen"))
    s.runs(proc)
    _, status = os.waitpid(proc.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise Failure(f"it is not stopped: {status:#x}")
    proc.send_signal(signal.SIGCONT)
    expect(s, "CONT")
    proc.send_signal(signal.SIGTERM)
    ends(proc, 7)


def refused(s, want, argv, *texts):
    forget(s, "log")
    proc = start(s, argv)
    ends(proc, want)
    s.words(log(s), *texts)


def scene_become_refused(s):
    """What can't be is refused before anything is given up: children, --detach, a service."""
    s.begin(CATCHER)
    s.save()
    refused(s, CONFLICT, ["sh", "-c", 'sleep 0.3 & exec "$@"', "sh", *words(s)], "has children")
    refused(s, USAGE, words(s, "--detach"), "exclude each other")
    refused(s, USAGE, words(s, "--pidns"), "exclude each other")
    s.nothing_left()
    with Service(s) as service:
        refused(s, USAGE, [CKPT, "--socket", service.path, "restore", "--exec", s.image], "a service has no process")
        refused(s, USAGE, [CKPT, "call", "--socket", service.path, "restore",
                           '{"dir": "%s", "exec": true}' % s.image], "a service has no process")


def tree_saved(s):
    s.begin(TREE)
    s.family = [s.pid, *(said(s, name)[0] for name in "abc")]
    s.save()
    wait_for("the end of its children", 5, no_children)


def left(s):
    """Of the tree, as far as the numbers are still its own."""
    found = []
    for pid in [*s.family, *proc_children()]:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                text = f.read()
            if b"heard.append" in text or b"--exec" in text:
                found.append(pid)
        except OSError:
            pass
    return found


def gone(s, what):
    def look():
        for pid in proc_children():
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
        return not left(s)
    try:
        wait_for(what, 5, look)
    except Failure:
        raise Failure(f"{what}: there is left: {[(p, proc_state(p)) for p in left(s)]}\n{log(s)[-2000:]}") from None


def scene_become_faults(s):
    """Whatever fails: a message, a failure's exit status, and nothing is left of the tree."""
    tree_saved(s)
    _, text = s.ckpt("check", "--faults", ok=False)
    for fault in [f for f in text.split() if f.startswith("restore.")]:
        forget(s, "log", "pidfile")
        proc = start(s, words(s), env=dict(os.environ, CKPT_FAULT=fault))
        status = proc.wait(20)
        if status in (0, 1) or "fault" not in log(s):
            raise Failure(f"{fault}: {status_text(status)}\n{log(s)}")
        gone(s, fault)


def scene_become_taken(s):
    """The number of a child is taken: that is found late, and said all the same."""
    tree_saved(s)
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        tid = ctypes.c_int(s.family[1])
        args = (ctypes.c_uint64 * 11)(0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(tid), 1, 0)
        made = libc.syscall(435, args, 88)  # clone3
        if made == 0:
            os.write(go, b"x")
            time.sleep(20)
        os._exit(0 if made > 0 else 1)
    os.close(go)
    if os.read(ready, 1) != b"x":
        raise Failure(f"pid {s.family[1]} can't be taken")
    proc = start(s, words(s))
    ends(proc, CONFLICT)
    s.words(log(s), f"pid {s.family[1]} is taken by")
    os.kill(s.family[1], 9)
    gone(s, "a number that is taken")


def scene_become_killed(s):
    """Killed at random instants, be it the process itself or who makes its tree: the whole tree runs, or nothing is left."""
    tree_saved(s)
    seed = int(os.environ.get("CKPT_SEED", random.randrange(1 << 30)))
    rng = random.Random(seed)
    for n in range(int(os.environ.get("CKPT_ROUNDS", "12"))):
        forget(s, "log", "pidfile")
        proc = start(s, words(s))
        time.sleep(rng.uniform(0, 0.04))
        victims = [p for p in proc_children() if p != proc.pid and proc_state(p) not in (None, "Z")]
        try:
            # whoever has been made to make the tree is ours once its own maker has ended
            os.kill(victims[-1] if n % 2 and victims else proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        time.sleep(0.05)
        status = proc.poll()
        whole = all(proc_state(p) not in (None, "Z") for p in s.family[1:]) and os.path.exists(s.file("pidfile"))
        if status is None and not whole:
            wait_for(f"CKPT_SEED={seed} round {n}: the tree, or its end", 10, lambda: proc.poll() is not None or
                     os.path.exists(s.file("pidfile")))
        if status == 0:
            raise Failure(f"CKPT_SEED={seed} round {n}: exit status 0")
        for pid in [proc.pid, *s.family[1:]] if proc.poll() is None or whole else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        proc.wait(10)
        gone(s, f"CKPT_SEED={seed} round {n}")


LIBRARY = r"""
#include <ckpt.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <sys/time.h>
#include <sys/wait.h>
static void *rest(void *arg) { pause(); return arg; }
int main(int argc, char **argv)
{
	struct ckpt_restore_req req = {.dir = argv[1], .exec = true, .pidfile = argv[2]};
	struct itimerval soon = {.it_value = {.tv_usec = 300000}};
	struct ckpt_restore_result result;
	struct ckpt_error err;
	pthread_t t;

	if (argc > 3) {
		pthread_create(&t, NULL, rest, NULL);
		if (ckpt_restore(&req, &result, &err) == 0 || err.kind != CKPT_E_CONFLICT || !strstr(err.object, "2 threads"))
			return 3;
		return 4;
	}
	req.dir = "/nowhere";
	if (ckpt_restore(&req, &result, &err) == 0 || err.kind != CKPT_E_IMAGE)
		return 5;
	req.dir = argv[1];
	setitimer(ITIMER_REAL, &soon, NULL); /* that is not the program's */
	return ckpt_restore(&req, &result, NULL) == 0 ? 6 : 8;
}
"""


def scene_become_library(s):
    """A program calls ckpt_restore(), and is the other one from then on; with several threads it gets an error."""
    s.begin("ready()")
    s.save()
    with open(s.file("main.c"), "w", encoding="ascii") as f:
        f.write(LIBRARY)
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-Wall", "-Werror", "-pthread", "-I", INCLUDE, "main.c", "-o",
                    "main", "-L", BUILD, "-l:libckpt.so", f"-Wl,-rpath,{BUILD}"], cwd=s.dir, check=True)
    argv = [s.file("main"), s.image, s.file("pidfile")]
    ends(start(s, [*argv, "threads"]), 4)
    proc = start(s, argv)
    if s.runs(proc) != proc.pid:
        raise Failure("it is another process")
    time.sleep(0.4)
    os.kill(proc.pid, signal.SIGRTMAX - 1)
    ends(proc, 0)


# Checkpoints itself, and says of the restart whether its pid is another, and what libc and the kernel say of it.
TOLD = r"""
#define _GNU_SOURCE
#include <ckpt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static int changed;
static void restarted(void *arg, const struct ckpt_restart *r) { (void)arg; changed = r->pid_changed; }
int main(int argc, char **argv)
{
	const struct ckpt_hooks h = {.restarted = restarted};
	struct ckpt_self self = {.dir = argv[1], .command = argv[2]};
	pid_t was = getpid();
	pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP; /* knows its owner as libc does */
	int64_t crid = ckpt_hooks_add(&h) == 0 ? ckpt_checkpoint(&self) : -1;

	pthread_mutex_lock(&mutex);
	if (crid > 0)
		return 0;
	if (crid < 0)
		return 1;
	return changed == (getpid() != was) && mutex.__data.__owner == syscall(SYS_gettid) ? 20 + changed : 2 + argc;
}
"""


def scene_become_told(s):
    """A program that checkpoints itself is told after a restart whether its pid has changed."""
    with open(s.file("told.c"), "w", encoding="ascii") as f:
        f.write(TOLD)
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-Wall", "-pthread", "-I", INCLUDE, "told.c", "-o",
                    "told", "-L", BUILD, "-l:libckpt.so", f"-Wl,-rpath,{BUILD}"], cwd=s.dir, check=True)
    ends(start(s, [s.file("told"), s.image, CKPT]), 0)
    ends(start(s, [CKPT, "restore", s.image]), 20)
    ends(start(s, [CKPT, "restore", "--exec", s.image]), 21)
