# shellcheck shell=sh
# What the shell programs of this folder share: one row for each step that was found right.
x=0 row=0

step() {
	x=$((x * 6364136223846793005 + 1442695040888963407 + row))
	printf '%d 0 %d %016x\n' "$row" "$row" "$x"
	row=$((row + 1))
}

wrong() {
	echo "row $row: $*"
	exit 1
}

finish() {
	printf 'end %d %016x\n' "$row" "$x"
	exit 0
}
