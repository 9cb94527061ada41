#!/usr/bin/env python3
"""What programs that link libckpt rely on: its symbols, and the layout of what include/ckpt.h declares.

  abi.py --table            rows for a C program (build/gen/abi_table.h, of which a unit test makes use)
  abi.py LIBRARY            print it all: functions with their versions, structs, enumerators
  abi.py LIBRARY --write    into test/abi/libckpt.abi, where a change of it is seen in a review
  abi.py LIBRARY --check    compare with that file
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = os.path.join(ROOT, "include", "ckpt.h")
TEXT = os.path.join(ROOT, "test", "abi", "libckpt.abi")

PROGRAM = """
#include <stddef.h>
#include <stdio.h>
#include "ckpt.h"
struct abi_field { const char *record, *name; size_t offset, size; };
struct abi_enum { const char *name; long value; };
#define ABI_ENUMS
%s
int main(void)
{
	for (size_t i = 0; abi_fields[i].record; i++)
		if (!abi_fields[i].name)
			printf("struct %%s %%zu\\n", abi_fields[i].record, abi_fields[i].size);
		else
			printf("\\t%%s %%zu %%zu\\n", abi_fields[i].name, abi_fields[i].offset, abi_fields[i].size);
	for (size_t i = 0; abi_enums[i].name; i++)
		printf("%%s %%ld\\n", abi_enums[i].name, abi_enums[i].value);
	return 0;
}
"""


def code():
    with open(HEADER, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", " ", f.read(), flags=re.S)
    return re.sub(r"^\s*#(?:[^\n\\]|\\.)*$", "", text, flags=re.M | re.S)


def field_names(declaration):
    """The names in one declaration of a struct's body, without its semicolon."""
    pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", declaration)
    if pointer:
        return [pointer[1]]
    return [re.search(r"(\w+)\s*(?:\[[^]]*\]\s*)*$", part.strip())[1] for part in declaration.split(",")]


def structs(text):
    for name, body in re.findall(r"\bstruct\s+(ckpt_\w+)\s*\{(.*?)\}\s*;", text, flags=re.S):
        yield name, [n for d in body.split(";") if d.strip() for n in field_names(d)]


def enumerators(text):
    for body in re.findall(r"\benum\s+ckpt_\w+\s*\{(.*?)\}\s*;", text, flags=re.S):
        yield from (part.split("=")[0].strip() for part in body.split(",") if part.strip())


def functions(text):
    text = re.sub(r"\{[^{}]*\}", " ", text)
    return sorted(set(re.findall(r"\b(ckpt_\w+)\s*\([^*]", text)))


def table():
    text = code()
    lines = ["static const struct abi_field abi_fields[] = {"]
    for name, fields in structs(text):
        lines.append(f'\t{{"{name}", NULL, 0, sizeof(struct {name})}},')
        lines += [f'\t{{"{name}", "{f}", offsetof(struct {name}, {f}), sizeof(((struct {name} *)0)->{f})}},' for f in fields]
    lines += ["\t{NULL, NULL, 0, 0},", "};", "#ifdef ABI_ENUMS", "static const struct abi_enum abi_enums[] = {"]
    lines += [f'\t{{"{e}", {e}}},' for e in enumerators(text)]
    lines += ["\t{NULL, 0},", "};", "#else", "static const struct abi_function abi_functions[] = {"]
    lines += [f'\t{{"{f}", (void *){f}}},' for f in functions(text)]
    return "\n".join(lines + ["\t{NULL, NULL},", "};", "#endif", ""])


def symbols(library):
    """What it exports; of data and of what has no version the line says so."""
    out = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library], stdout=subprocess.PIPE,
                         check=True, text=True).stdout
    for _, kind, name in (line.split() for line in out.splitlines()):
        if kind != "A":  # the name of the version itself
            yield f"{'function' if kind == 'T' else 'DATA ' + kind} {name}\n"


def layout():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "abi.c")
        with open(path, "w", encoding="utf-8") as f:
            f.write(PROGRAM % table())
        subprocess.run([os.environ.get("CC", "cc"), "-I", os.path.dirname(HEADER), path, "-o", path[:-2]], check=True)
        return subprocess.run([path[:-2]], stdout=subprocess.PIPE, check=True, text=True).stdout


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("library", nargs="?")
    for option in "--table", "--write", "--check":
        p.add_argument(option, action="store_true")
    o = p.parse_args()
    if o.table:
        sys.stdout.write(table())
        return 0
    if not o.library:
        p.error("which library?")
    text = "".join(sorted(symbols(o.library))) + layout()
    if o.write:
        os.makedirs(os.path.dirname(TEXT), exist_ok=True)
        with open(TEXT, "w", encoding="utf-8") as f:
            f.write(text)
        return 0
    if not o.check:
        sys.stdout.write(text)
        return 0
    with open(TEXT, encoding="utf-8") as f:
        was = f.read()
    if was != text:
        subprocess.run(["diff", "-u", TEXT, "-"], input=text, text=True, check=False)
        print("what libckpt exports has changed: if it may, make abi", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
