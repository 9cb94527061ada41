#!/bin/sh
# real: run: sh {source}
# real: needs: tar gzip xz sha256sum
# real: steps: 1
#
# A tree of files goes through tar, gzip, xz with two threads, and all the way back, in one pipeline.
# shellcheck source=test/real/_chain.sh
. "${0%/*}/_chain.sh"
mkdir tree
for n in 1 2 3 4 5 6 7 8; do
	seq "${n}00000" "${n}60000" >"tree/$n"
done
(cd tree && sha256sum ./*) >expected
while [ ! -e stop ]; do
	rm -rf back
	mkdir back
	tar cf - tree | gzip -5 | gunzip | xz -0 -T2 --block-size=1MiB | xz -dc | tar xf - -C back || wrong "status $?"
	(cd back/tree && sha256sum ./*) | cmp - expected || wrong "the files differ"
	step
done
finish
