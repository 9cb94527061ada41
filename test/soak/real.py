#!/usr/bin/env python3
"""Every real program, dumped and restored 200 times in a row (other options: see test/real/run.py)."""
import os
import sys

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real", "run.py")
os.execv(sys.executable, [sys.executable, RUN, "--rounds", "200", *sys.argv[1:]])
