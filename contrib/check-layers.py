#!/usr/bin/env python3
"""Checks that the layers of src/ look one way only.

Includes are spelled with their layer ("util/fd.h"), so the include lines are all there is to read.
The order, low to high; layers of one row do not see each other:

    util < kernel < core < arch < image, inject < model < res < dump, restore < lib < serve < cli

- `agent` stands apart: it sees agent/abi.h, the ISA's raw system calls (isa/...) and the kernel's
  uapi; of it the others see only agent/abi.h.
- A resource (a file of src/res that has a proto/ file of its name) is included by no other one;
  a folder's header (res/mm/mm.h) is for all.
- util and kernel know no ckpt type; they neither log nor print.
- Below lib nothing aborts or exits: a target may be frozen at that moment. _exit of a child is fine.

usage: check-layers.py [ROOT]      exit code 1 and one line per offence
"""
import os
import re
import sys

ROWS = [["util"], ["kernel"], ["core"], ["arch"], ["image", "inject"], ["model"], ["res"],
        ["dump", "restore"], ["lib"], ["serve"], ["cli"]]
RANK = {layer: rank for rank, row in enumerate(ROWS) for layer in row}
# Not a layer's folder, but seen from there upwards.
RANK_OF_OTHERS = {"gen": RANK["util"], "ckpt.h": RANK["core"], "isa": RANK["arch"],
                  "agent": RANK["arch"], "proto": RANK["image"]}
FREESTANDING = re.compile(r"^(linux|asm|asm-generic)/|^(stdint|stddef|stdbool|stdarg|limits)\.h$")

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
STOPS = re.compile(r"(?<![\w.>])(abort|exit|assert|err|errx)\s*\(")
TALKS = re.compile(r"(?<![\w.>])(v?printf|v?fprintf|v?dprintf|perror|puts|syslog|ckpt_log\w*|op_log\w*"
                   r"|warnx?|vsyslog)\s*\(")
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)


def blanked(text):
    """The text without comments and strings, every line at its place."""
    return COMMENT_OR_STRING.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def base(path):
    return os.path.splitext(os.path.basename(path))[0]


class Checker:
    def __init__(self, root):
        self.root = root
        self.offences = []
        self.files = 0
        proto = os.path.join(root, "proto")
        self.resources = {base(f) for _, _, names in os.walk(proto) for f in names}

    def say(self, path, line, text):
        self.offences.append(f"{os.path.relpath(path, self.root)}:{line}: {text}")

    def agent_include(self, quoted, system):
        if quoted:
            return quoted == "agent/abi.h" or quoted.startswith("isa/")
        return bool(FREESTANDING.match(system))

    def include_error(self, path, layer, quoted, system):
        if layer == "agent":
            return None if self.agent_include(quoted, system) else \
                f"the agent may not see {quoted or system}"
        if quoted is None:
            return None
        other = quoted.split("/")[0]
        if other not in RANK and other not in RANK_OF_OTHERS:
            return f'"{quoted}" is not spelled with a layer'
        if other == "agent" and quoted != "agent/abi.h":
            return f"{layer} may see only agent/abi.h of the agent"
        mine, its = RANK[layer], RANK.get(other, RANK_OF_OTHERS.get(other))
        if its > mine or (its == mine and other in RANK and other != layer):
            return f"{layer} may not see {quoted}"
        if layer == "res" and other == "res" and self.resource(quoted) and \
                base(quoted) != base(path) and not base(path).startswith(base(quoted) + "_"):
            if os.path.dirname(path) != os.path.join(self.root, "src", "res"):
                return f"a resource includes another one: {quoted}"
        return None

    def resource(self, quoted):
        # res/mm/mm.h declares what the folder holds, whether or not there is a resource of its name.
        folder = os.path.basename(os.path.dirname(quoted))
        return base(quoted) in self.resources and quoted.count("/") > 1 and base(quoted) != folder

    def check(self, path, layer):
        self.files += 1
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for n, line in enumerate(text.splitlines(), 1):
            m = INCLUDE.match(line)
            error = self.include_error(path, layer, *m.groups()) if m else None
            if error:
                self.say(path, n, error)
        for n, line in enumerate(blanked(text).splitlines(), 1):
            if layer != "agent" and RANK[layer] < RANK["lib"] and STOPS.search(line):
                self.say(path, n, f"{layer} may not end the process: {line.strip()}")
            if layer in ("util", "kernel") and TALKS.search(line):
                self.say(path, n, f"{layer} does not log: {line.strip()}")

    def walk(self):
        src = os.path.join(self.root, "src")
        for folder, _, names in sorted(os.walk(src)):
            layer = os.path.relpath(folder, src).split(os.sep)[0]
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not name.endswith((".c", ".h", ".S")):
                    continue
                if layer != "agent" and layer not in RANK:
                    self.say(path, 1, f"src/{layer} is no layer")
                elif not name.endswith("agent_entry.S"):
                    self.check(path, layer)
                else:
                    self.check(path, "agent")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    checker = Checker(os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.dirname(here))
    checker.walk()
    for line in checker.offences:
        print(line)
    if not checker.files:
        print("check-layers: no source was found")
    return 1 if checker.offences or not checker.files else 0


if __name__ == "__main__":
    sys.exit(main())
