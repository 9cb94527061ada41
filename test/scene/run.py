#!/usr/bin/env python3
"""Plays scenes with the command: what it does and says when the world around it differs.

  run.py [NAME...]      a scene is a function scene_NAME in cgroup.py, command.py, files.py, front.py, outside.py, policy.py, relay.py or
  terminal.py

Each scene runs in a process and a directory of its own. A failed one keeps its directory.
"""
import argparse
import os
import shutil
import sys
import time
import traceback

import cgroup
import command
import files
import front
import outside
import policy
import relay
import terminal
from harness import CKPT, Failure, Scene
from modes import FAIL, PASS, SKIP, Skip  # of test/e2e, as are the next two
from run import end_children, subreaper, unmount
from victims import BUILD

SCENES = {name[6:]: fn for module in (cgroup, command, files, front, outside, policy, relay, terminal)
          for name, fn in vars(module).items() if name.startswith("scene_")}


def play(name, directory):
    """In the scene's own process: everything that it leaves behind becomes its child, and is ended."""
    subreaper()
    text, status = "", PASS
    try:
        SCENES[name](Scene(name, directory))
    except Skip as e:
        text, status = str(e), SKIP
    except Failure as e:
        text, status = str(e), FAIL
    except BaseException:
        text, status = traceback.format_exc(), FAIL
    end_children()
    unmount(directory)
    with open(os.path.join(directory, "result.text"), "w", encoding="utf-8") as f:
        f.write(text)
    return status


def report(name, directory, status, seconds):
    try:
        with open(os.path.join(directory, "result.text"), encoding="utf-8") as f:
            text = f.read().strip()
    except OSError:
        text = "its process died"
    if status == PASS:
        print(f"ok      {name} ({seconds:.1f} s)", flush=True)
    elif status == SKIP:
        print(f"skipped {name}: {text}", flush=True)
    else:
        print(f"FAILED  {name}: " + text.replace("\n", "\n    "), flush=True)
        with open(os.path.join(directory, "out"), "a+", encoding="utf-8", errors="replace") as f:
            f.seek(0)
            for line in f.readlines()[-10:]:
                print("    | " + line.rstrip())
        print(f"    kept: {directory}\n    again: {os.path.relpath(__file__)} {name}", flush=True)
        return
    shutil.rmtree(directory, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="scenes (all)")
    p.add_argument("--dir", default=os.path.join(BUILD, "scene-run"), help="where they are played")
    opts = p.parse_args()
    unknown = set(opts.names) - set(SCENES)
    if unknown:
        sys.exit(f"no such scene: {', '.join(sorted(unknown))}; there are: {' '.join(SCENES)}")
    if not os.access(CKPT, os.X_OK):
        sys.exit(f"{CKPT} is not there: build it first, or set CKPT")
    count = {PASS: 0, FAIL: 0, SKIP: 0}
    for name in opts.names or SCENES:
        directory = os.path.join(os.path.abspath(opts.dir), name)
        unmount(directory)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        sys.stdout.flush()
        at, pid = time.monotonic(), os.fork()
        if pid == 0:
            status = FAIL
            try:
                status = play(name, directory)
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        status = status if status in (PASS, SKIP) else FAIL
        count[status] += 1
        report(name, directory, status, time.monotonic() - at)
    print(f"{count[PASS]} passed, {count[FAIL]} failed, {count[SKIP]} skipped")
    return 1 if count[FAIL] else 0


if __name__ == "__main__":
    sys.exit(main())
