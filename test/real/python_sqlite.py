#!/usr/bin/env python3
"""real: run: python3 {source}
real: threads: fixed

Four threads, a dictionary under a lock, and an sqlite data base in a file with a connection and
prepared statements for each thread.
"""
import os
import sqlite3
import sys
import threading
import time

MASK = (1 << 64) - 1


def chain(x, row):
    return (x * 6364136223846793005 + 1442695040888963407 + row) & MASK


class Program:
    def __init__(self):
        self.lock, self.x, self.rows = threading.Lock(), 0, {}
        self.steps = [0] * 4

    def step(self, worker, db):
        with self.lock:
            row = len(self.rows)
            self.x = chain(self.x, row)
            self.rows[row] = self.x
            with db:
                db.execute("insert into rows values (?, ?, ?)", (row, worker, f"{self.x:016x}"))
            print(row, worker, self.steps[worker], f"{self.x:016x}", flush=True)
            self.steps[worker] += 1

    def work(self, worker):
        db = sqlite3.connect("rows.db", timeout=60)
        while not os.path.exists("stop"):
            self.step(worker, db)
            time.sleep(0.02)
        db.close()

    def check(self):
        x = 0
        stored = sqlite3.connect("rows.db").execute("select row, x from rows order by row").fetchall()
        for row, value in self.rows.items():
            x = chain(x, row)
            if value != x or stored[row] != (row, f"{x:016x}"):
                sys.exit(f"row {row}: memory {value:016x}, data base {stored[row]}, expected {x:016x}")
        if len(stored) != len(self.rows):
            sys.exit(f"the data base has {len(stored)} rows, memory {len(self.rows)}")


def main():
    with sqlite3.connect("rows.db") as db:
        db.execute("create table rows (row integer primary key, worker integer, x text)")
    db.close()
    program = Program()
    threads = [threading.Thread(target=program.work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    program.check()
    print("end", len(program.rows), f"{program.x:016x}", flush=True)


main()
