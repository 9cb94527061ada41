#!/usr/bin/env python3
"""Plays scenes with the command: what it does and says when the world around it differs.

  run.py [NAME...]      a scene is a function scene_NAME in any file here

Each scene runs in a process and a directory of its own. A failed one keeps its directory.
"""
import argparse
import functools
import importlib
import os
import sys

from harness import HERE, Scene
from stage import play_all
from victims import BUILD  # of test/e2e


def scene(fn, name, directory):
    fn(Scene(name, directory))


MODULES = [importlib.import_module(name[:-3]) for name in sorted(os.listdir(HERE))
           if name.endswith(".py") and name != os.path.basename(__file__)]
SCENES = {name[6:]: functools.partial(scene, fn, name[6:])
          for module in MODULES for name, fn in vars(module).items() if name.startswith("scene_")}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="scenes (all)")
    p.add_argument("--dir", default=os.path.join(BUILD, "scene-run"), help="where they are played")
    opts = p.parse_args()
    return play_all(SCENES, opts.names, opts.dir, os.path.relpath(__file__))


if __name__ == "__main__":
    sys.exit(main())
