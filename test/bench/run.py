#!/usr/bin/env python3
"""Measures dump and restore as whole processes, beside what the machine can do with the same bytes.

Each run starts a program, dumps it (it dies), restores it detached, and asks it to check itself.
Times are medians. Files go to a tmpfs. Exit code 1 if a program came back wrong, and with --strict
also if a goal was missed.
"""
import argparse
import ctypes
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("E2E_BUILD", os.path.join(ROOT, "build")))
CKPT = os.environ.get("CKPT", os.path.join(BUILD, "ckpt"))
BIN = os.path.join(BUILD, "bench")

# name, kind, n, goal of dump and of restore: milliseconds, or "x1.3" of the limit for these bytes
LOADS = [
    ("small process", "mem", 1, 8, 8),
    ("256 MiB random", "mem", 256, None, None),
    ("1 GiB random", "mem", 1024, "x1.3", "x1.3"),
    ("1 GiB zero pages", "zero", 1024, None, None),
    ("8 threads", "threads", 8, None, None),
    ("500 threads", "threads", 500, 30, 30),
    ("4000 threads", "threads", 4000, None, None),
    ("1000 mappings", "vmas", 1000, None, None),
    ("50000 mappings", "vmas", 50000, 250, 250),
    ("100 files", "fds", 100, None, None),
    ("10000 files", "fds", 10000, 150, 150),
    ("200 processes of 2 MiB", "tree:2", 200, 120, 120),
    ("200 processes of 1 MiB", "tree:1", 200, None, None),
    ("1000 processes of 1 MiB", "tree:1", 1000, 600, 600),
    ("200 that share 512 MiB", "cow:512", 200, None, None),
    ("10000 connections", "tcp", 10000, 1500, 1500),
    ("1000 connections", "tcp", 1000, None, None),
    ("2000 unix sockets", "unix", 2000, None, None),
]
# Growth is measured between two rows of a kind: no worse than this times the ratio of their sizes.
SLACK = 1.3
# What many processes share is stored once and shared again: neither the image nor what they take
# afterwards may differ by more than this from what they took before.
SHARED_SLACK = 1.1


def compile_all():
    os.makedirs(BIN, exist_ok=True)
    for name in ("load", "limit"):
        source, out = os.path.join(HERE, name + ".c"), os.path.join(BIN, name)
        if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
            subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall",
                            "-pthread", source, "-o", out], check=True)


def timed(args, log):
    """Runs a command to its end; its wall time in ms."""
    with open(log, "ab") as out, open(os.devnull) as null:
        actions = [(os.POSIX_SPAWN_DUP2, null.fileno(), 0), (os.POSIX_SPAWN_DUP2, out.fileno(), 1),
                   (os.POSIX_SPAWN_DUP2, out.fileno(), 2)]
        begin = time.perf_counter()
        pid = os.posix_spawn(args[0], args, os.environ, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        took = (time.perf_counter() - begin) * 1000
    if status:
        with open(log, errors="replace") as f:
            raise RuntimeError(f"{' '.join(args)}: wait status {status:#x}\n{f.read(1000)}")
    return took


def image_bytes(directory):
    return sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(directory) for f in fs)


def memory_mib(kind, n):
    """What a program of that kind and size holds in memory."""
    name, _, size = kind.partition(":")
    return {"mem": n, "zero": n, "tree": n * int(size or 0), "cow": int(size or 0)}.get(name, 0)


def touch(kind, n):
    """What is measured next shall not have to fetch its memory from the host, see limit.c."""
    mib = memory_mib(kind, n) * 9 // 8 + 256
    subprocess.run([os.path.join(BIN, "limit"), str(mib)], check=True)


def tree_pss(root):
    """MiB that a process and its children take, where shared memory counts once."""
    with open(f"/proc/{root}/task/{root}/children") as f:
        pids = [root] + [int(x) for x in f.read().split()]
    kib = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            kib += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return kib / 1024


def reap_all(but=0):
    """The children of a program that has ended are ours, and keep their numbers until we have taken them."""
    me = os.getpid()
    while True:
        with open(f"/proc/{me}/task/{me}/children") as f:
            left = [int(x) for x in f.read().split() if int(x) != but]
        if not left:
            return
        os.waitpid(left[0], 0)


def one_run(kind, n, scratch):
    """
    Of one program: ms of its dump, ms of its restore, bytes of its image, and of one whose processes
    share memory MiB before and after, else 0. RuntimeError if it came back wrong.
    """
    ready, image = os.path.join(scratch, "ready"), os.path.join(scratch, "image")
    log = os.path.join(scratch, "log")
    child = subprocess.Popen([os.path.join(BIN, "load"), kind, str(n), ready], cwd="/",
                             start_new_session=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid, outside = child.pid, 0
    try:
        while not os.path.exists(ready):
            if child.poll() is not None:
                raise RuntimeError(f"load {kind} {n} did not start: {child.returncode}")
            time.sleep(0.01)
        time.sleep(0.05)
        with open(ready) as f:
            outside = int(f.read() or 0)  # has the other ends of connections
        shares = kind.startswith("cow")
        before = tree_pss(pid) if shares else 0
        touch(kind, n)
        dump = timed([CKPT, "dump", "-t", str(pid), "-D", image], log)
        child.wait(10)
        reap_all(outside)
        touch(kind, n)
        restore = timed([CKPT, "restore", "-d", "-D", image], log)
        size = image_bytes(image)
        after = tree_pss(pid) if shares else 0
        os.kill(pid, signal.SIGUSR1)
        _, status = os.waitpid(pid, 0)
        if status:
            raise RuntimeError(f"load {kind} {n} is not what it was: wait status {status:#x}")
        return dump, restore, size, before, after
    except BaseException:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        raise
    finally:
        if outside:
            os.kill(outside, signal.SIGKILL)
        reap_all()
        for f in (ready, log):
            if os.path.exists(f):
                os.unlink(f)
        shutil.rmtree(image, ignore_errors=True)


def limit_run(mib, scratch):
    """ms: two writers, two readers, one writer, one reader."""
    out = subprocess.run([os.path.join(BIN, "limit"), str(mib), scratch], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return [int(x) / 1000 for x in out.split()]


def verdict(took, goal, limit):
    if goal is None:
        return "", True
    if isinstance(goal, str):
        ratio = took / limit
        return f"{ratio:.2f} x limit (goal {goal[1:]})", ratio <= float(goal[1:])
    return f"goal {goal} ms", took <= goal


def sharing(size, before, after):
    """The same for what is shared, stored once and shared again."""
    if not before:
        return "", True
    mib = size / 2**20
    ok = max(mib, after) <= SHARED_SLACK * before and after >= before / SHARED_SLACK
    return f"memory {before:.0f} MiB, restored {after:.0f} MiB (goal: within 10 %)", ok


def growth(results):
    """Of each kind the two largest rows: does the cost grow no faster than the size?"""
    bad = 0
    for kind in dict.fromkeys(r["kind"] for r in results):
        rows = sorted((r for r in results if r["kind"] == kind), key=lambda r: r["n"])[-2:]
        if len(rows) < 2:
            continue
        a, b = rows
        for what in ("dump_ms", "restore_ms"):
            ratio = b[what] / a[what]
            ok = ratio <= SLACK * b["n"] / a["n"]
            bad += not ok
            print(f"  {kind}: {what[:-3]} of {b['n'] // a['n']} times as much takes {ratio:.1f} "
                  f"times as long{'' if ok else '   MORE THAN LINEAR'}")
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("loads", nargs="*", help="only loads whose name contains one of these")
    p.add_argument("--runs", type=int, default=3, help="of each, the median counts (3)")
    p.add_argument("--dir", default="/dev/shm", help="on a tmpfs (/dev/shm)")
    p.add_argument("--json", help="write the numbers there")
    p.add_argument("--strict", action="store_true", help="a missed goal is a failure")
    opts = p.parse_args()
    compile_all()
    # Restored programs become our children when their `ckpt restore -d` has gone.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    scratch = tempfile.mkdtemp(prefix="ckpt-bench.", dir=opts.dir)
    results, broken, missed = [], 0, 0
    try:
        wanted = [l for l in LOADS if not opts.loads or any(w in l[0] for w in opts.loads)]
        print(f"{'':24}{'dump':>9}{'restore':>10}{'image':>12}")
        for name, kind, n, dump_goal, restore_goal in wanted:
            runs, limits = [], []
            try:
                for _ in range(opts.runs if n != 1 else max(opts.runs, 7)):
                    runs.append(one_run(kind, n, scratch))
                    # in turns: a machine that others use is not equally fast for long
                    limits.append(limit_run(memory_mib(kind, n), scratch) if isinstance(dump_goal, str) else [0] * 4)
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                print(f"{name:24}FAILED: {e}")
                broken += 1
                continue
            dump, restore, size, before, after = (statistics.median(column) for column in zip(*runs))
            limit = [statistics.median(column) for column in zip(*limits)]
            notes = []
            for text, ok in (verdict(dump, dump_goal, limit[0]),
                             verdict(restore, restore_goal, limit[1]),
                             sharing(size, before, after)):
                missed += not ok
                notes += [text + ("" if ok else " MISSED")] if text else []
            print(f"{name:24}{dump:6.1f} ms{restore:7.1f} ms{size / 2**20:8.1f} MiB"
                  f"   {'; '.join(notes)}", flush=True)
            if limit[0]:
                print(f"{'  limit, 2 workers':24}{limit[0]:6.1f} ms{limit[1]:7.1f} ms\n"
                      f"{'  limit, 1 worker':24}{limit[2]:6.1f} ms{limit[3]:7.1f} ms", flush=True)
            results.append({"name": name, "kind": kind, "n": n, "dump_ms": dump,
                            "restore_ms": restore, "image_bytes": size, "limit_ms": limit,
                            "memory_mib": before, "restored_mib": after})
        missed += growth(results)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if opts.json:
        with open(opts.json, "w") as f:
            json.dump(results, f, indent=1)
    print(f"{len(results)} loads measured, {missed} goals missed, {broken} came back wrong")
    return 1 if broken or (opts.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
