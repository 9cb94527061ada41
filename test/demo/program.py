#!/usr/bin/env python3
"""The program that the demo saves and brings back. It knows nothing of ckpt.

Five workers share one table under one lock. Every step adds one row to the table and one line to
the log:

    <row> <worker> <tid> <step> <link>

The row numbers count over all workers, the steps count within one worker, and each link is the
SHA-256 of the link before it and its row number: whoever lost, doubled or damaged anything, in
memory or in the log, cannot produce the right next line. The log is one file, opened once and
written at its current position.

On SIGTERM the program checks its whole table and ends the log with "end <rows> <link>".
"""

import hashlib
import os
import signal
import sys
import threading
import time

WORKERS = 5
FIRST_ROWS = 100_000
ROW_REPEAT = 8  # a row holds its link this many times: 256 bytes


def next_link(link, row):
    return hashlib.sha256(link + row.to_bytes(8, "little")).digest()


class Ledger:
    """The shared table, its lock, and the log that follows it."""

    def __init__(self, log_path):
        self.lock = threading.Lock()
        self.rows = {}
        self.link = bytes(32)
        self.stop = threading.Event()
        self.log = open(log_path, "w", encoding="ascii")
        for _ in range(FIRST_ROWS):
            self._add_row()

    def _add_row(self):
        row = len(self.rows)
        self.link = next_link(self.link, row)
        self.rows[row] = self.link * ROW_REPEAT
        return row

    def add(self, worker, tid, step):
        with self.lock:
            row = self._add_row()
            self.log.write(f"{row} {worker} {tid} {step} {self.link.hex()}\n")
            self.log.flush()

    def check(self):
        """Walk the whole table again from nothing; return the number of bad rows."""
        link, bad = bytes(32), 0
        for row in range(len(self.rows)):
            link = next_link(link, row)
            bad += self.rows.get(row) != link * ROW_REPEAT
        return bad + (link != self.link)


def name_thread(name):
    """Give this thread a name that `ps -L` and /proc show."""
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w", encoding="ascii") as comm:
        comm.write(name)


def work(ledger, worker):
    name_thread(worker)
    tid = threading.get_native_id()
    step = 0
    while not ledger.stop.is_set():
        ledger.add(worker, tid, step)
        step += 1
        time.sleep(0.01)


def main():
    ledger = Ledger(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: ledger.stop.set())
    workers = [
        threading.Thread(target=work, args=(ledger, f"worker-{i + 1}")) for i in range(WORKERS)
    ]
    for thread in workers:
        thread.start()
    ledger.stop.wait()
    for thread in workers:
        thread.join()
    bad = ledger.check()
    if bad:
        ledger.log.write(f"bad {bad}\n")
        return 1
    ledger.log.write(f"end {len(ledger.rows)} {ledger.link.hex()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
