"""What the Python programs of trees share: one row for each step that was found right."""
import os
import sys

MASK = (1 << 64) - 1


class Chain:
    """The rows of a program with one worker."""

    def __init__(self):
        self.x, self.row = 0, 0

    def step(self):
        self.x = (self.x * 6364136223846793005 + 1442695040888963407 + self.row) & MASK
        print(self.row, 0, self.row, f"{self.x:016x}", flush=True)
        self.row += 1

    def wrong(self, text):
        print(f"row {self.row}: {text}", flush=True)
        os._exit(1)

    def finish(self):
        print("end", self.row, f"{self.x:016x}", flush=True)


def stopped():
    return os.path.exists("stop")


sys.dont_write_bytecode = True
