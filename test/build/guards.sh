#!/usr/bin/env bash
# Do the guards of the build bite? The agent's linker script must refuse what would need a relocation
# or writable data, and the layer check each kind of wrong include. Each guard is also shown what is
# allowed, so that one which refuses everything fails here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0

verdict() { # NAME WANTED GOT
	if [ "$2" != "$3" ]; then
		echo "failed: $1: wanted $2, got $3"
		sed 's/^/    /' "$dir/out"
		bad=1
	fi
}

# agent NAME WANTED CODE: the link of an agent that has this code besides its entry
agent() {
	local got=ok
	printf '%s\n' "$3" '__attribute__((section(".text.head"))) void agent_main(void) {}' >"$dir/a.c"
	"${CC:-gcc}" -O2 -ffreestanding -fPIC -fno-asynchronous-unwind-tables -c -o "$dir/a.o" "$dir/a.c"
	ld -pie --no-dynamic-linker -z notext -z noexecstack --build-id=none --fatal-warnings \
		-T src/agent/agent.lds -o "$dir/a.elf" "$dir/a.o" >"$dir/out" 2>&1 || got=refused
	verdict "agent: $1" "$2" $got
}

agent 'code and constants' ok 'static const int t[] = {3, 1, 4}; int f(int i); int f(int i) { return t[i]; }'
agent 'a table of addresses' refused 'const char *const t[] = {"a", "b"};'
agent 'initialised data' refused 'int x = 1;'
agent 'zeroed data' refused 'int x; int f(void); int f(void) { return x++; }'
agent 'a call into libc' refused 'int getpid(void); int f(void); int f(void) { return getpid(); }'
agent 'another first byte' refused '__attribute__((section(".text.head"))) int z(void) { return 1; }'

# layers NAME WANTED FILE LINE: the layer check on a tree in which FILE has this line
layers() {
	local got=ok
	rm -rf "$dir/tree"
	mkdir -p "$dir/tree/proto" "$dir/tree/src/$(dirname "$3")"
	touch "$dir/tree/proto/pipe.proto" "$dir/tree/proto/mm.proto"
	printf '%s\n' "$4" >"$dir/tree/src/$3"
	python3 contrib/check-layers.py "$dir/tree" >"$dir/out" 2>&1 || got=refused
	verdict "layers: $1" "$2" $got
}

layers 'downwards' ok model/a.c '#include "util/fd.h"'
layers 'upwards' refused util/a.c '#include "core/op.h"'
layers 'beside' refused dump/a.c '#include "restore/plan.h"'
layers 'no layer' refused core/a.c '#include "op.h"'
layers 'no such layer' refused misc/a.c '/* nothing */'
layers 'a resource by a resource' refused res/file/reg.c '#include "res/file/pipe.h"'
layers 'a resource by itself' ok res/file/pipe.c '#include "res/file/pipe.h"'
layers 'the header of a folder of resources' ok res/file/reg.c '#include "res/mm/mm.h"'
layers 'the agent and its interface' ok agent/a.c '#include "agent/abi.h"'
layers 'the agent and libc' refused agent/a.c '#include <stdio.h>'
layers 'the agent by others' refused inject/a.c '#include "agent/inside.h"'
layers 'util that prints' refused util/a.c 'void f(void) { printf("x"); }'
layers 'a comment about printing' ok util/a.c '/* never calls printf() or abort() */'
layers 'dump that aborts' refused dump/a.c 'void f(void) { abort(); }'
exit $bad
