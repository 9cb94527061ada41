#!/usr/bin/env bash
# The demo: a real multithreaded program is saved, dies, and goes on where it was.
# Every claim that it prints is checked; the first one that does not hold ends it with exit code 1.
# Environment: CKPT  the tool; E2E_BUILD  the build directory that has it (default: build).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ckpt=${CKPT:-${E2E_BUILD:-$here/../../build}/ckpt}
pid=
scratch=
dump_ms=0
restore_ms=0

bold='' plain=''
if [ -t 1 ]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi

head_line() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
say() { printf '   %s\n' "$*"; }
indent() { sed 's/^/   | /'; }

fail() {
	printf '\n%sDEMO FAILED:%s %s\n' "$bold" "$plain" "$*" >&2
	if [ -n "$scratch" ]; then
		printf 'Everything that it made is kept in %s\n' "$scratch" >&2
	fi
	scratch=
	exit 1
}

clean_up() {
	if [ -n "$pid" ] && is_ours; then
		kill -KILL "$pid" 2>/dev/null || true
	fi
	if [ -n "$scratch" ]; then
		rm -rf "$scratch"
	fi
}

# The pid may belong to somebody else by now: only a process with our log as its argument is ours.
is_ours() {
	{ tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$log"; } 2>/dev/null
}

# A zombie of ours still has its /proc directory; it runs no more.
is_alive() {
	local state
	state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null) || return 1
	[ -n "$state" ] && [ "${state:0:1}" != Z ]
}

log_lines() { wc -l <"$log"; }

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local tries=$(($1 * 20))
	shift
	while ! "$@"; do
		[ $((tries--)) -gt 0 ] || return 1
		sleep 0.05
	done
}

log_has() { [ -e "$log" ] && [ "$(log_lines)" -ge "$1" ]; }
is_gone() { ! is_alive; }
is_reaped() { [ ! -e "/proc/$pid" ]; }

# tids and names, one thread a line
threads() {
	local task
	for task in "/proc/$pid/task/"*; do
		printf '%s %s\n' "${task##*/}" "$(cat "$task/comm")"
	done | sort -n
}

show_last_row() {
	local row worker step
	read -r row worker _ step _ < <(tail -n 1 "$log")
	say "last line of its log: row $row of the table, written by $worker in its step $step"
}

# timed VARIABLE COMMAND...: run it, show what it says, leave the milliseconds in VARIABLE
timed() {
	local -n ms=$1
	local from=$EPOCHREALTIME to code=0
	shift
	printf '   $ ckpt %s\n' "${*:2}"
	# The outer redirection is for bash, which reports the death of the program that a dump ends.
	{ "$@" >"$scratch/said" 2>&1 </dev/null || code=$?; } 2>/dev/null
	to=$EPOCHREALTIME
	# shellcheck disable=SC2034 # written for the caller
	ms=$(((${to/[.,]/} - ${from/[.,]/}) / 1000))
	indent <"$scratch/said"
	[ "$code" = 0 ] || fail "ckpt $2 ended with exit code $code"
}

check_ground() {
	local caps
	[ -x "$ckpt" ] || fail "$ckpt is not there: run 'make' first"
	command -v python3 >/dev/null || fail "python3 is not installed: run contrib/install-deps.sh"
	caps=0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
	# To give a process its old pid again takes CAP_CHECKPOINT_RESTORE (40) or CAP_SYS_ADMIN (21).
	if [ $(((caps >> 40 & 1) | (caps >> 21 & 1))) = 0 ]; then
		fail "it needs root (CAP_CHECKPOINT_RESTORE, to take the old pid again): sudo make demo"
	fi
}

check_ground
trap clean_up EXIT
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-demo.XXXXXX")
log=$scratch/program.log
image=$scratch/image
python=$(python3 -c 'import sys; print(sys.executable)')

printf '%sckpt: a running program survives its own death%s\n' "$bold" "$plain"

head_line "1. A python3 program with six threads is at work"
(
	# What a terminal or an editor leaves open in its shells is none of the program's business.
	for fd in /proc/"$BASHPID"/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || eval "exec $fd>&-"
	done
	exec setsid "$python" "$here/program.py" "$log"
) </dev/null >"$scratch/program.out" 2>&1 &
pid=$!
disown # or bash reports the death to the terminal
wait_for 30 log_has 500 || fail "the program did not start: $(cat "$scratch/program.out")"
threads_before=$(threads)
say "pid $pid, threads (tid name):"
indent <<<"$threads_before"
say "They fill one table in memory, under one lock, and log every row that they add."
show_last_row

head_line "2. It is saved to disk, and ended"
timed dump_ms "$ckpt" dump -t "$pid" -D "$image"
wait_for 5 is_reaped || fail "process $pid is still there after the dump"
lines_at_dump=$(log_lines)
sleep 0.5
[ "$(log_lines)" = "$lines_at_dump" ] || fail "the log grows although the program is gone"
say "Process $pid is gone, and its log stands still at $lines_at_dump lines:"
say "\$ ls /proc/$pid"
{ ls "/proc/$pid" 2>&1 || true; } | indent
show_last_row
say "The image takes $(du -sh "$image" | cut -f1) on disk."

head_line "3. It is brought back"
timed restore_ms "$ckpt" restore -D "$image" --detach
is_alive || fail "there is no process $pid after the restore"
is_ours || fail "pid $pid is another program: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
threads_after=$(threads)
[ "$threads_after" = "$threads_before" ] ||
	fail "the threads differ: before [$threads_before], now [$threads_after]"
say "pid $pid runs again, with the same threads under the same ids:"
indent <<<"$threads_after"
wait_for 10 log_has $((lines_at_dump + 500)) || fail "the restored program does not go on: \
$(log_lines) log lines, $lines_at_dump before the dump"
show_last_row

head_line "4. Nothing is missing, nothing is doubled"
say "The program is asked to check its whole table and to end (SIGTERM); then its log is checked."
kill -TERM "$pid"
wait_for 30 is_gone || fail "the restored program does not end on SIGTERM"
"$python" "$here/verify.py" "$log" "$lines_at_dump" >"$scratch/verdict" 2>&1 ||
	fail "$(cat "$scratch/verdict")"
indent <"$scratch/verdict"
[ ! -s "$scratch/program.out" ] || fail "the program complained: $(cat "$scratch/program.out")"

head_line "Saved in $dump_ms ms, brought back in $restore_ms ms, and the program did not notice."
