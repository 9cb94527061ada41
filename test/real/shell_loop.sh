#!/bin/sh
# real: run: sh {source}
# real: threads: fixed
#
# A shell that uses its builtins only, so that it has no child at any moment. It works without a pause.
x=0 row=0 rows=
while [ ! -e stop ]; do
	x=$((x * 6364136223846793005 + 1442695040888963407 + row))
	printf '%d 0 %d %016x\n' "$row" "$row" "$x"
	rows="$rows $x"
	row=$((row + 1))
	pause=0
	while [ $pause -lt 20000 ]; do pause=$((pause + 1)); done
done
y=0 n=0
for value in $rows; do
	y=$((y * 6364136223846793005 + 1442695040888963407 + n))
	[ "$value" = "$y" ] || { echo "row $n is damaged"; exit 1; }
	n=$((n + 1))
done
printf 'end %d %016x\n' "$n" "$y"
