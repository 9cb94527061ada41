#!/usr/bin/env python3
"""real: run: python3 {source}
real: steps: 2

A pool of four processes works on shared memory, with an Array under a lock, a Queue and the pool's own
pipes and semaphores. It is in the middle of a map nearly all the time.
"""
import multiprocessing
import os
import sys
from multiprocessing import shared_memory

sys.dont_write_bytecode = True
from _chain import Chain, stopped  # noqa: E402

WORKERS, PARTS, SIZE = 4, 24, 64 * 1024
memory = counts = queue = None


def begin(name, shared_counts, shared_queue):
    global memory, counts, queue
    memory = shared_memory.SharedMemory(name=name)
    counts, queue = shared_counts, shared_queue


def fill(value, part):
    """The bytes of a part in a round; slow on purpose."""
    x, out = value * 1000003 + part, bytearray(SIZE)
    for i in range(0, SIZE, 16):
        x = (x * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        out[i:i + 8] = x.to_bytes(8, "little")
    return out


def work(task):
    value, part = task
    memory.buf[part * SIZE:(part + 1) * SIZE] = fill(value, part)
    with counts.get_lock():
        counts[part] += 1
        counts[PARTS] += 1
    queue.put((part, os.getpid()))
    return part * value


def one_round(chain, pool, shared, shared_counts, shared_queue, pids):
    value = chain.row + 7
    if pool.map(work, [(value, part) for part in range(PARTS)], 1) != [p * value for p in range(PARTS)]:
        chain.wrong("the map's result")
    told = sorted(shared_queue.get() for _ in range(PARTS))
    if [part for part, _ in told] != list(range(PARTS)) or not {pid for _, pid in told} <= pids:
        chain.wrong(f"the queue had {told}, the workers are {pids}")
    for part in range(PARTS):
        if shared.buf[part * SIZE:(part + 1) * SIZE] != fill(value, part):
            chain.wrong(f"part {part} of the shared memory")
    if list(shared_counts) != [chain.row + 1] * PARTS + [(chain.row + 1) * PARTS]:
        chain.wrong(f"the array: {list(shared_counts)}")
    chain.step()


def main():
    multiprocessing.set_start_method("fork")
    chain = Chain()
    shared = shared_memory.SharedMemory(create=True, size=PARTS * SIZE)
    shared_counts = multiprocessing.Array("q", PARTS + 1)
    shared_queue = multiprocessing.Queue()
    with multiprocessing.Pool(WORKERS, begin, (shared.name, shared_counts, shared_queue)) as pool:
        pids = {child.pid for child in multiprocessing.active_children()}
        while not stopped():
            one_round(chain, pool, shared, shared_counts, shared_queue, pids)
        pool.close()
        pool.join()
    shared.close()
    shared.unlink()
    chain.finish()


main()
