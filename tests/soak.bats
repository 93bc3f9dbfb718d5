# The soak for a few seconds: that what it would find in an hour is not there at once, and that it would find it.
load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

@test "stages are killed at random under load: every picture is a row, none is two" {
	need_python sqlite3
	run -0 --separate-stderr "$PYTHON" "$TOP/tests/soak/soak.py" --bin "$BIN" --seconds 12 --rate 50 --kill-every 2 --seed 7
	[[ $output == *"| emitted − (rows + drops) | 0 |"* ]]
	[[ $output =~ "| killed | "[1-9] ]] # not five for certain: one that has just been killed is none
}

@test "the soak says so when a picture is lost" {
	need_python sqlite3
	# A supervisor whose sink throws every store away at the end has lost what was in it.
	mkdir bin
	cp "$BIN"/* bin/
	printf '#!/bin/sh\n"%s" "$@"\ncode=$?\nfor store; do :; done\nsqlite3 "$store" "delete from results where seq = 3"\nexit $code\n' "$BIN/sink" >bin/sink
	run -1 --separate-stderr "$PYTHON" "$TOP/tests/soak/soak.py" --bin bin --seconds 3 --rate 20 --kill-every 100 --seed 7
	[[ $output == *"| emitted − (rows + drops) | 1 **NO** |"* ]]
}
