#!/bin/sh
# real: run: sh {source}
# real: needs: ffmpeg
# real: steps: 1
#
# ffmpeg encodes a generated picture and a generated sound, with four threads for the frames and others
# for all the rest, and then decodes what it made. Both files are compared, byte by byte, with those of an
# undisturbed run. Without a thread that looks ahead by itself: with one, x264 differs from run to run.
# shellcheck source=test/real/_chain.sh
. "${0%/*}/_chain.sh"

encode() {
	ffmpeg -nostdin -loglevel error -y -f lavfi -i testsrc2=size=480x270:rate=25 \
		-f lavfi -i sine=frequency=440:beep_factor=4 -t 4 -c:v libx264 -threads 4 \
		-x264-params sync-lookahead=0 -c:a aac -map_metadata -1 -flags +bitexact \
		-fflags +bitexact "$1.mkv" || wrong "ffmpeg: $?"
	ffmpeg -nostdin -loglevel error -y -threads 4 -i "$1.mkv" -f framemd5 "$1.frames" ||
		wrong "ffmpeg, decoding: $?"
}

encode reference
[ "$(grep -c '^0,' reference.frames)" = 100 ] || wrong "there are not 100 frames"
while [ ! -e stop ]; do
	rm -f made.*
	encode made
	cmp made.mkv reference.mkv || wrong "the encoded file differs"
	cmp made.frames reference.frames || wrong "the decoded frames differ"
	step
done
finish
