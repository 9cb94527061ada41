#!/usr/bin/env python3
"""real: run: python3 {source}
real: steps: 3

Two processes write one sqlite data base in WAL mode, each in transactions that stay open for a while
(POSIX locks, and a file that both have mapped); a third reads. No row may be lost or half there.
"""
import os
import sqlite3
import sys
import time

sys.dont_write_bytecode = True
from _chain import Chain, stopped  # noqa: E402

ROWS = 8  # of a transaction


def connect():
    db = sqlite3.connect("rows.db", timeout=60, isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma wal_autocheckpoint = 50")
    return db


def transaction(db, writer, number):
    db.execute("begin immediate")
    for i in range(ROWS):
        db.execute("insert into rows values (?, ?, ?, ?)", (writer, number, i, f"{writer}-{number}-{i}" * 20))
        time.sleep(0.004)
    db.execute("commit")


def writer_child():
    db, number = connect(), 0
    try:
        while not stopped():
            transaction(db, 1, number)
            number += 1
        db.close()
        os._exit(number % 200)
    except Exception as e:
        print("writer:", e, flush=True)
        os._exit(255)


def reader_child():
    db = connect()
    try:
        while not stopped():
            db.execute("begin")
            first = db.execute("select count(*) from rows").fetchone()[0]
            time.sleep(0.01)
            if db.execute("select count(*) from rows").fetchone()[0] != first or first % ROWS:
                raise RuntimeError(f"a view that is not one: {first}")
            db.execute("commit")
        db.close()
        os._exit(0)
    except Exception as e:
        print("reader:", e, flush=True)
        os._exit(255)


def child(function):
    pid = os.fork()
    if pid == 0:
        function()
    return pid


def check(chain, db, numbers):
    for writer, number in numbers.items():
        stored = db.execute("select number, i, text from rows where writer = ? order by number, i", (writer,))
        expected = [(n, i, f"{writer}-{n}-{i}" * 20) for n in range(number) for i in range(ROWS)]
        if stored.fetchall() != expected:
            chain.wrong(f"the rows of writer {writer}")
    if db.execute("pragma integrity_check").fetchall() != [("ok",)]:
        chain.wrong("the data base is damaged")


def main():
    chain = Chain()
    db = connect()
    db.execute("create table rows (writer integer, number integer, i integer, text text)")
    db.close()
    writer, reader = child(writer_child), child(reader_child)
    db = connect()
    while not stopped():
        transaction(db, 0, chain.row)
        chain.step()
    status = os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1])
    read = os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1])
    count = db.execute("select max(number) + 1 from rows where writer = 1").fetchone()[0] or 0
    if status != count % 200 or read != 0:
        chain.wrong(f"the writer ended with {status} after {count}, the reader with {read}")
    check(chain, db, {0: chain.row, 1: count})
    db.close()
    chain.finish()


main()
