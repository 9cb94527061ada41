#!/bin/sh
# real: run: sh {source}
# real: steps: 1
#
# find | xargs | sort | uniq over a tree of 6000 files in 60 directories, where every name of a file
# is there 60 times. The result is known beforehand.
# shellcheck source=test/real/_chain.sh
. "${0%/*}/_chain.sh"
n=0
while [ $n -lt 60 ]; do
	mkdir -p "tree/a$((n % 7))/d$n"
	(cd "tree/a$((n % 7))/d$n" && seq -f file%03g 100 | xargs touch)
	n=$((n + 1))
done
seq -f '60 file%03g' 100 >expected
while [ ! -e stop ]; do
	# shellcheck disable=SC2038 # the names are ours
	find tree -xdev -type f | xargs -n 20 basename -a | sort | uniq -c | sed 's/^ *//' >got || wrong "status $?"
	cmp got expected || wrong "the result differs"
	[ "$(find tree -xdev -type d | sort | uniq | wc -l)" = 68 ] || wrong "the directories differ"
	step
done
finish
