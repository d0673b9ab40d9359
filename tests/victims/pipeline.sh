#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A shell pipeline: numbers go from one process through another to a third, which misses none. Right: they go on.
# Without a process.
mkfifo quiet
exec {quiet}<>quiet
nap() {
	read -r -t 0.05 -u $quiet
}

count() {
	local i=0
	while :; do
		echo $((i++))
		[ $((i % 100)) != 0 ] || nap
	done
}

# Every line has to be the one behind the last. At an end of the input it stands still.
collect() {
	local want=0 line
	while read -r line; do
		[ "$line" = "n$want" ] || echo "'$line', not 'n$want'" >>wrong
		: $((want++))
		[ $((want % 50)) != 0 ] || echo $want >reached
	done
}

check() {
	local before after=
	before=$(<reached)
	for _ in {1..100}; do
		after=$(<reached)
		[ "${after:-0}" -le "${before:-0}" ] || break
		nap
	done
	if [ -e wrong ]; then
		echo "wrong: $(head -1 wrong)"
	elif [ "${after:-0}" -le "${before:-0}" ]; then
		echo "wrong: it stands still at $before"
	else
		echo right
	fi
}

echo 0 >reached
count | sed -u 's/^/n/' | collect &
trap check USR1
echo ready
while :; do wait; done
