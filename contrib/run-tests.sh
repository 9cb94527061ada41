#!/usr/bin/env bash
# Runs groups of tests and closes with one line that sums them: N passed, N failed, N skipped
#
#   contrib/run-tests.sh [GROUP...]     default: unit e2e real scene peer lint
#
# Groups: unit; e2e, real, scene and peer (need root); lint (each cheap piece counts as one test); clang
# (builds with clang, warnings are errors); san (the unit tests under ASan and UBSan). Logs: $B/log/GROUP.log.
# Environment: B (build directory), E2E_JOBS, E2E_TIMEOUT_S, REAL_TIMEOUT_S.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

B=${B:-build}
log=$B/log
jobs=$(nproc 2>/dev/null || echo 1)
passed=0 failed=0 skipped=0
mkdir -p "$log"

make_() { make --no-print-directory "$@"; }

# add GROUP PASSED FAILED SKIPPED
add() {
	passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
	printf '== %s: %d passed, %d failed, %d skipped\n' "$@"
	if [ "$3" != 0 ]; then
		printf '   see %s/%s.log\n' "$log" "$1"
	fi
}

# count PATTERN FILE: how many lines match
count() { grep -c "$1" "$2" || true; }

# Criterion's last line has the numbers; what crashed is among the failing.
sum_unit() {
	local rc=$1 file=$log/$2.log line skips
	line=$(grep -a 'Synthesis: Tested:' "$file" | tail -n 1)
	if [[ ! $line =~ Passing:\ ([0-9]+)\ \|\ Failing:\ ([0-9]+) ]]; then
		tail -n 20 "$file"
		add "$2" 0 1 0
		return
	fi
	local ok=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
	skips=$(count '^\[SKIP\]' "$file")
	if [ "$rc" != 0 ] || [ "$bad" != 0 ]; then
		grep -av '^\[RUN \]\|^\[PASS\]\|^\[====\] Running' "$file" | tail -n 60
		if [ "$bad" = 0 ]; then
			bad=1
		fi
	fi
	add "$2" "$ok" "$bad" "$skips"
}

group_unit() {
	make_ check UNIT_ARGS=--verbose >"$log/unit.log" 2>&1
	sum_unit $? unit
}

group_san() {
	env -u B make --no-print-directory -j"$jobs" SAN=1 B="$B/san" check UNIT_ARGS=--verbose \
		>"$log/san.log" 2>&1
	sum_unit $? san
}

# driven GROUP SECONDS MAKE-ARGUMENT...: a driver of tests that need root, and that ends with a count
driven() {
	local group=$1 seconds=$2 rc line
	shift 2
	if [ "$(id -u)" != 0 ]; then
		echo "the tests of '$group' need root"
		add "$group" 0 0 1
		return
	fi
	timeout -k 20 "$seconds" make --no-print-directory "$group" "$@" 2>&1 | tee "$log/$group.log"
	rc=${PIPESTATUS[0]}
	line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log/$group.log" | tail -n 1)
	if [[ ! $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
		echo "the driver of '$group' ended early (exit code $rc; 124 is a time-out)"
		add "$group" "$(count '^ok' "$log/$group.log")" 1 0
		return
	fi
	local ok=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]} skips=${BASH_REMATCH[3]}
	if [ "$rc" != 0 ] && [ "$bad" = 0 ]; then
		bad=1
	fi
	add "$group" "$ok" "$bad" "$skips"
}

# Everybody may ping meanwhile, which the kernel's own setting lets nobody.
PING=/proc/sys/net/ipv4/ping_group_range
ping_allowed() {
	local was
	was=$(cat $PING 2>/dev/null) && { echo "0 2147483647" >$PING; } 2>/dev/null || was=
	"$@"
	[ -z "$was" ] || echo "$was" >$PING
}

# Victims wait more than they work, so there is one more of them than processors.
group_e2e() { ping_allowed driven e2e "${E2E_TIMEOUT_S:-900}" E2E_ARGS="-j ${E2E_JOBS:-$((jobs + 1))}"; }

group_real() { driven real "${REAL_TIMEOUT_S:-300}"; }

group_scene() { driven scene 300; }

group_peer() { driven peer 300; }

# tried NAME TOOL COMMAND...: one piece as a test; skipped where the tool is not there
tried() {
	local name=$1 tool=$2
	shift 2
	if ! command -v "$tool" >/dev/null; then
		echo "skipped: $name: no $tool here"
		n_skip=$((n_skip + 1))
	elif "$@" >"$log/$name.out" 2>&1; then
		n_ok=$((n_ok + 1))
	else
		echo "failed: $name"
		tail -n 15 "$log/$name.out"
		n_bad=$((n_bad + 1))
	fi
	cat "$log/$name.out" >>"$log/$group.log" 2>/dev/null
	rm -f "$log/$name.out"
}

group_lint() {
	local n_ok=0 n_bad=0 n_skip=0 group=lint
	: >"$log/lint.log"
	tried lint-layers python3 make_ lint-layers
	tried lint-guards python3 make_ lint-guards
	tried lint-format clang-format make_ lint-format
	tried lint-cppcheck cppcheck make_ lint-cppcheck
	tried lint-cross aarch64-linux-gnu-gcc make_ lint-cross
	tried lint-shell shellcheck make_ lint-shell
	add lint "$n_ok" "$n_bad" "$n_skip"
}

group_clang() {
	local n_ok=0 n_bad=0 n_skip=0 group=clang
	: >"$log/clang.log"
	tried clang-build clang make_ -j"$jobs" CC=clang WERROR=1 B="$B/clang" all
	tried gcc-werror gcc make_ -j"$jobs" CC=gcc WERROR=1 B="$B/gcc" all
	add clang "$n_ok" "$n_bad" "$n_skip"
}

if [ $# = 0 ]; then
	set -- unit e2e real scene peer lint
fi
for name; do
	case $name in
	unit | e2e | real | scene | peer | lint | clang | san) "group_$name" ;;
	*) echo "run-tests: no such group: $name" >&2; exit 2 ;;
	esac
done
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed = 0 ]
