#!/usr/bin/env python3
"""Check the log of program.py from outside, without a look at the program's own memory.

usage: verify.py LOG ROWS_AT_DUMP     ROWS_AT_DUMP: log lines that stood when the program was saved

Fails, naming the first wrong line, unless the row numbers run on without a gap, every worker's own
steps run on without a gap from 0 under one thread id, every link follows from the one before, every
worker went on after the dump, and the program's last word confirms its whole table.
"""

import hashlib
import sys

FIRST_ROWS = 100_000
WORKERS = 5


def fail(line, what):
    sys.exit(f"log line {line}: {what}")


def main():
    path, lines_at_dump = sys.argv[1], int(sys.argv[2])
    link, row = bytes(32), 0
    while row < FIRST_ROWS:
        link = hashlib.sha256(link + row.to_bytes(8, "little")).digest()
        row += 1
    steps, tids, later, ended = {}, {}, {}, False
    with open(path, encoding="ascii") as log:
        lines = log.read().split("\n")
    if lines.pop() != "":
        fail(len(lines) + 1, "it is cut off")
    for number, text in enumerate(lines, 1):
        if ended:
            fail(number, "it stands after the end")
        word = text.split(" ")
        if word[0] == "end":
            if word[1:] != [str(row), link.hex()]:
                fail(number, f"the program ended with {word[1:]}, expected {[row, link.hex()]}")
            ended = True
            continue
        if len(word) != 5:
            fail(number, f"not a line of the program: {text[:80]!r}")
        worker = word[1]
        link = hashlib.sha256(link + row.to_bytes(8, "little")).digest()
        expected = [str(row), worker, tids.setdefault(worker, word[2]), str(steps.get(worker, 0))]
        if word[:4] != expected:
            fail(number, f"got {word[:4]}, expected {expected}")
        if word[4] != link.hex():
            fail(number, f"row {row}: the table's link is {word[4]}, expected {link.hex()}")
        row += 1
        steps[worker] = steps.get(worker, 0) + 1
        if number > lines_at_dump:
            later[worker] = later.get(worker, 0) + 1
    if not ended:
        fail(len(lines), "the program's last word is missing")
    if len(steps) != WORKERS or len(later) != WORKERS:
        sys.exit(f"{len(steps)} workers in the log, {len(later)} of them went on; expected {WORKERS}")
    print(f"{'thread':>12} {'tid':>8} {'steps before':>13} {'steps after':>12} {'gap':>5}")
    for worker in sorted(steps):
        before = steps[worker] - later[worker]
        print(f"{worker:>12} {tids[worker]:>8} {before:>13} {later[worker]:>12} {'none':>5}")
    print(f"table: {row} rows, each one checked by the program and derived again here")
    print(f"log:   {len(lines)} lines, {lines_at_dump} of them from before")


if __name__ == "__main__":
    main()
