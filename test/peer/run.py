#!/usr/bin/env python3
"""Real servers whose clients stay: the server is dumped and restored, its clients must see a pause and no more.

  run.py [--rounds N] [NAME...]    a play is a function peer_NAME in keyvalue.py, postgres.py, ssh.py, ...

The clients run outside of the dumped tree and talk to it over loopback; each counts what it got, and
compares it with what it must get. Play by play, the line that says "ok" ends with how many answers came
and how long the longest of the pauses was that a client saw.
"""
import argparse
import functools
import os
import random
import shutil
import sys
import tempfile

from peer import Peers
from stage import play_all  # of test/scene

import capture
import checkers
import crossed
import keyvalue
import mqtt
import postgres
import ssh
import storm
import streams
import web


def play(fn, name, opts, directory):
    return fn(Peers(name, directory, opts))


PLAYS = {name[5:]: fn for module in (capture, checkers, crossed, keyvalue, mqtt, postgres, ssh, storm, streams, web)
         for name, fn in vars(module).items() if name.startswith("peer_")}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="plays (all)")
    p.add_argument("--rounds", type=int, default=5, help="dumps and restores in a row; 0: undisturbed (5)")
    p.add_argument("--seconds", type=int, default=5, help="how long the soak takes (5)")
    p.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the moments of dumps")
    p.add_argument("--dir", help="where they are played; every user has to reach it (a new one in /tmp)")
    opts = p.parse_args()
    plays = {name: functools.partial(play, fn, name, opts) for name, fn in PLAYS.items()}
    directory = opts.dir or tempfile.mkdtemp(prefix="ckpt-peer.")
    os.chmod(directory, 0o755)
    again = f"{os.path.relpath(__file__)} --rounds {opts.rounds} --seconds {opts.seconds} --seed {opts.seed}"
    status = play_all(plays, opts.names, directory, again)
    if not opts.dir and not os.listdir(directory):
        shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main())
