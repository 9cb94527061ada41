#!/usr/bin/env python3
"""real: run: python3 {source}
real: steps: 5

A multiprocessing Manager in a process of its own, with a dict, a list and a lock; workers that reach it by
unix sockets, connecting anew in each round; a Listener whose Clients hand over descriptors.
"""
import multiprocessing
import os
import sys
from multiprocessing.connection import Client, Listener
from multiprocessing.reduction import recv_handle, send_handle

sys.dont_write_bytecode = True
from _chain import Chain, stopped  # noqa: E402

WORKERS, TURNS, KEY = 3, 20, b"not secret"


def work(number, shared, seen, lock, address, rounds):
    """In each round: counts under the lock, and hands over a pipe that says which round it is."""
    while (turn := rounds.get()) is not None:
        for _ in range(TURNS):
            with lock:
                shared["count"] = shared["count"] + 1
        seen.append((number, turn))
        with Client(address, "AF_UNIX", authkey=KEY) as c:
            r, w = os.pipe()
            c.send((number, turn))
            send_handle(c, r, os.getppid())
            os.write(w, b"%d" % turn)
            c.recv()
            os.close(r)
            os.close(w)


def one_round(chain, listener, shared, seen, rounds):
    turn = chain.row
    for q in rounds:
        q.put(turn)
    told = []
    for _ in range(WORKERS):
        with listener.accept() as c:
            told.append(c.recv())
            handle = recv_handle(c)
            if os.read(handle, 100) != b"%d" % turn:
                chain.wrong("the pipe that was handed over")
            os.close(handle)
            c.send("done")
    want = [(n, turn) for n in range(WORKERS)]
    if sorted(told) != want or sorted(s for s in seen if s[1] == turn) != want:
        chain.wrong(f"round {turn}: {told}, {list(seen)}")
    if shared["count"] != WORKERS * TURNS * (turn + 1):
        chain.wrong(f"round {turn}: counted {shared['count']}")
    del seen[:]
    chain.step()


def main():
    multiprocessing.set_start_method("fork")
    chain = Chain()
    with multiprocessing.Manager() as manager, Listener("listener", "AF_UNIX", authkey=KEY) as listener:
        shared, seen, lock = manager.dict(count=0), manager.list(), manager.Lock()
        rounds = [multiprocessing.SimpleQueue() for _ in range(WORKERS)]
        workers = [multiprocessing.Process(target=work, args=(n, shared, seen, lock, "listener", rounds[n]))
                   for n in range(WORKERS)]
        for w in workers:
            w.start()
        while not stopped():
            one_round(chain, listener, shared, seen, rounds)
        for q, w in zip(rounds, workers):
            q.put(None)
            w.join()
            if w.exitcode:
                chain.wrong(f"a worker ended with {w.exitcode}")
    chain.finish()


main()
