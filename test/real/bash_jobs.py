#!/usr/bin/env python3
"""real: run: python3 {source}
real: needs: bash
real: steps: 2

An interactive bash under a pseudo terminal, with a pipeline, a job that is stopped by ^Z, one in the
background, and a line that is half typed. What it shows is checked.
"""
import os
import pty
import select
import sys
import termios
import time

sys.dont_write_bytecode = True
from _chain import Chain, stopped  # noqa: E402

PROMPT = b"<ready>"


class Bash:
    """What a user at a terminal does."""

    def __init__(self, chain):
        self.chain = chain
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1=PROMPT.decode(), TERM="dumb")
            os.execlp("bash", "bash", "--norc", "--noprofile", "--noediting", "-i")
        mode = termios.tcgetattr(self.master)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(self.master, termios.TCSANOW, mode)

    def until(self, mark, seconds=60):
        """Reads to the mark; what stood before it."""
        shown, end = b"", time.monotonic() + seconds
        while not shown.endswith(mark):
            if not select.select([self.master], [], [], 1)[0]:
                if time.monotonic() > end:
                    self.chain.wrong(f"{mark} did not come, but {shown}")
                continue
            shown += os.read(self.master, 1)
        return shown[:-len(mark)].replace(b"\r", b"")

    def type(self, text):
        for half in (text[:len(text) // 2], text[len(text) // 2:]):
            os.write(self.master, half)
            time.sleep(0.01)

    def run(self, line):
        self.type(line + b"\n")
        return self.until(PROMPT)


    def foreground(self, job):
        """Waits until the keys of signals go to a job, or to bash itself."""
        end = time.monotonic() + 60
        while (os.tcgetpgrp(self.master) != self.pid) != job:
            if time.monotonic() > end:
                self.chain.wrong(f"in the foreground: {os.tcgetpgrp(self.master)}, bash is {self.pid}")
            time.sleep(0.001)


def one_round(chain, bash, job):
    number = b"%d" % (chain.row * 7919)
    shown = bash.run(b"n=" + number + b"; echo $n | tr 0-9 a-j | cat; jobs -p %1")
    expected = number.translate(bytes.maketrans(b"0123456789", b"abcdefghij"))
    if shown.split() != [expected, job]:
        chain.wrong(f"shown: {shown}, expected: {expected} and {job}")
    bash.type(b"sh -c 'echo on; exec sleep 1000'\n")  # says so when ^Z can reach it
    bash.until(b"on\r\n")
    bash.type(b"\x1a")
    if b"Stopped" not in bash.until(PROMPT):
        chain.wrong("^Z did not stop the sleep")
    if b"Stopped" not in bash.run(b"jobs %2") or b"Running" not in bash.run(b"jobs %1"):
        chain.wrong("the states of jobs")
    bash.type(b"fg %2\n")
    bash.until(b"exec sleep 1000'\r\n")
    bash.foreground(True)
    bash.type(b"\x03")
    bash.until(PROMPT)
    bash.foreground(False)
    if bash.run(b"echo $?").strip() != b"130":
        chain.wrong("^C did not end the sleep")
    chain.step()


def main():
    chain = Chain()
    bash = Bash(chain)
    bash.until(PROMPT)
    bash.run(b"sleep 1001 &")
    job = bash.run(b"jobs -p %1").strip()
    while not stopped():
        one_round(chain, bash, job)
    bash.run(b"kill %1; wait")
    bash.type(b"exit 5\n")
    status = os.waitstatus_to_exitcode(os.waitpid(bash.pid, 0)[1])
    if status != 5:
        chain.wrong(f"bash ended with {status}")
    chain.finish()


main()
