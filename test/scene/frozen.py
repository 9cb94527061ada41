"""A scene of a tree that is left stopped by --frozen: sessions, groups, threads, and one that was stopped before."""
import os
import signal
import struct
import time

from harness import Failure, no_children, wait_for
from trial import proc_state, proc_tree

# Each of them counts in a place of its own of the file `counters`; the last one is stopped.
TREE = """
import mmap, threading, time
PLACES = 6
with open("counters", "wb") as f:
    f.write(bytes(8 * PLACES))
with open("counters", "r+b") as f:
    shared = mmap.mmap(f.fileno(), 8 * PLACES)
def count(place):
    n = 0
    while not os.path.exists("over"):
        n += 1
        shared[8 * place:8 * place + 8] = n.to_bytes(8, "little")
        time.sleep(0.001)
def child(place, session, threads):
    pid = os.fork()
    if pid:
        return pid
    os.setsid() if session else os.setpgid(0, 0)
    more = [threading.Thread(target=count, args=(place + 1 + i,)) for i in range(threads)]
    for t in more:
        t.start()
    count(place)
    for t in more:
        t.join()
    os._exit(7)
pids = [child(1, True, 0), child(2, False, 2), child(5, False, 0)]
root = threading.Thread(target=count, args=(0,))
root.start()
while min(shared[8 * i] + shared[8 * i + 1] for i in range(PLACES)) == 0:
    time.sleep(0.001)
os.kill(pids[2], signal.SIGSTOP)
os.waitpid(pids[2], os.WUNTRACED)
with open("stopped", "w") as f:
    f.write(str(pids[2]))
ready()
check(os.waitpid(-1, os.WUNTRACED | os.WNOHANG), (0, 0), "what wait tells of the children")
os.kill(pids[2], signal.SIGCONT)
with open("over", "w"):
    pass
for pid in pids:
    check(os.waitpid(pid, 0), (pid, 7 << 8), "a child")
root.join()
"""


def counters(s):
    with open(s.file("counters"), "rb") as f:
        return struct.unpack("6Q", f.read())


def thread_states(pid):
    states = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/stat", encoding="utf-8") as f:
            states.append(f.read().rsplit(")", 1)[1].split()[0])
    return states


def stand_still(s, pids):
    for pid in pids:
        if set(thread_states(pid)) != {"T"}:
            raise Failure(f"pid {pid}: threads in the states {thread_states(pid)}, expected T")
    before = counters(s)
    time.sleep(0.1)
    if counters(s) != before:
        raise Failure(f"something has run: {before}, then {counters(s)}")


def go_on(s, pids, stopped):
    before = counters(s)
    for pid in pids:
        if pid != stopped:
            os.kill(pid, signal.SIGCONT)
    wait_for("all that ran to count again", 5,
             lambda: all(now > was for now, was in zip(counters(s)[:5], before[:5])))
    if proc_state(stopped) != "T" or counters(s)[5] != before[5]:
        raise Failure(f"the one that was stopped before is in state {proc_state(stopped)}")


def frozen(s):
    """Its processes, and the one that was stopped before."""
    s.begin(TREE)
    with open(s.file("stopped"), encoding="utf-8") as f:
        stopped = int(f.read())
    s.save()
    wait_for("all to be dead", 5, no_children)
    s.restore("--frozen")
    pids = proc_tree(s.pid)
    if len(pids) != 4:
        raise Failure(f"expected 4 processes, got {pids}")
    stand_still(s, pids)
    return pids, stopped


def scene_frozen_tree(s):
    """Every thread of every process of the tree stands until SIGCONT; who stood before, stands on."""
    pids, stopped = frozen(s)
    go_on(s, pids, stopped)
    s.finish()


def scene_frozen_tree_group(s):
    """A SIGCONT to a process group wakes that group, nobody else."""
    pids, stopped = frozen(s)
    before = counters(s)
    leader = next(pid for pid in pids if len(thread_states(pid)) == 3)
    os.killpg(leader, signal.SIGCONT)
    wait_for("its threads to count", 5, lambda: all(counters(s)[i] > before[i] for i in (2, 3, 4)))
    if [counters(s)[i] for i in (0, 1, 5)] != [before[i] for i in (0, 1, 5)]:
        raise Failure("another one has run")
    go_on(s, pids, stopped)
    s.finish()
