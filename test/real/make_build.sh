#!/bin/sh
# real: run: sh {source}
# real: needs: make gcc
# real: steps: 1
#
# Builds a project of 30 files with make -j2, which starts two more that share its jobs, again and
# again. Everything that is built is compared, byte by byte, with what one undisturbed gcc made of the same files, and so is the program's output.
# shellcheck source=test/real/_chain.sh
. "${0%/*}/_chain.sh"
export TMPDIR="$PWD/tmp"
mkdir tmp src reference

n=0
while [ $n -lt 30 ]; do
	cat >"src/f$n.c" <<-END
		#include <stdint.h>
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		#include "all.h"
		static int by_value(const void *a, const void *b)
		{
			uint32_t l = *(const uint32_t *)a, r = *(const uint32_t *)b;
			return l < r ? -1 : l > r;
		}
		uint32_t f$n(uint32_t x)
		{
			uint32_t field[64];
			char text[32];
			for (unsigned i = 0; i < 64; i++)
				field[i] = x = x * (2 * $n + 5u) + i;
			qsort(field, 64, sizeof(*field), by_value);
			for (unsigned i = 1; i < 64; i++)
				x = (x << 5 | x >> 27) ^ (field[i] - field[i - 1]);
			snprintf(text, sizeof(text), "%08x", x);
			return x + (uint32_t)strlen(text);
		}
	END
	echo "uint32_t f$n(uint32_t x);" >>src/all.h
	calls="$calls x = f$n(x); printf(\"%08x\\n\", x);"
	n=$((n + 1))
done
printf '#include <stdint.h>\n#include <stdio.h>\n#include "all.h"\nint main(void) { uint32_t x = 1; %s return 0; }\n' \
	"$calls" >src/main.c
cat >Makefile <<'END'
objects = $(patsubst src/%.c,obj/%.o,$(wildcard $(1)))
prog: part1 part2
	gcc -o $@ $(sort $(call objects,src/*.c))
part1: files = src/f?.c src/main.c
part2: files = src/f??.c
part1 part2: | obj
	+$(MAKE) -s files='$(files)' of-files
of-files: $(call objects,$(files))
obj/%.o: src/%.c | obj
	gcc -O2 -MMD -c -o $@ $<
obj:
	mkdir $@
clean:
	rm -rf obj prog
.PHONY: part1 part2 of-files clean
END

for file in src/*.c; do
	name=${file##*/}
	gcc -O2 -c -o "reference/${name%.c}.o" "$file" || wrong "gcc $file: $?"
done
gcc -o reference/prog reference/*.o || wrong "gcc: $?"
reference/prog >expected

while [ ! -e stop ]; do
	make -s clean || wrong "make clean: $?"
	make -s -j2 || wrong "make: $?"
	for object in obj/*.o; do
		cmp "$object" "reference/${object##*/}" || wrong "$object differs"
	done
	set -- obj/*.o
	[ $# = 31 ] || wrong "there are $# objects"
	./prog | cmp - expected || wrong "the output differs"
	set -- tmp/*
	[ ! -e "$1" ] || wrong "gcc left files: $*"
	step
done
finish
