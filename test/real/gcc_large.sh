#!/bin/sh
# real: run: sh {source}
# real: needs: gcc
# real: steps: 1
#
# gcc compiles one large file, with its compiler and its assembler at the two ends of a pipe. The
# object is compared with an undisturbed one.
# shellcheck source=test/real/_chain.sh
. "${0%/*}/_chain.sh"
export TMPDIR="$PWD/tmp"
mkdir tmp
seq 1 700 | sed 's/.*/unsigned f&(unsigned *p, unsigned n) { unsigned s = &; for (unsigned i = 0; i < n; i++) \
	{ if (p[i] % & == 3) s ^= p[i] * &u; else s += p[i] >> (& % 31); p[i] = s; } return s; }/' >large.c
gcc -O2 -pipe -c -o reference.o large.c || wrong "gcc: $?"
while [ ! -e stop ]; do
	rm -f large.o
	gcc -O2 -pipe -c -o large.o large.c || wrong "gcc: $?"
	cmp large.o reference.o || wrong "the object differs"
	set -- tmp/*
	[ ! -e "$1" ] || wrong "gcc left files: $*"
	step
done
finish
