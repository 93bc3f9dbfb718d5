# The fault matrix, part one: the real programs, addressed, while they are killed. Whatever is done to the line, the
# store ends with every picture once, with the scores of a calm run. `make test-faults` runs also what is tagged long.
load helper
load faults/line

setup() {
	line_open
}

teardown() {
	line_close
}

# bats test_tags=smoke
@test "kill -9 of one of three infer in the middle of the run" {
	injected "one SIGKILL"
	start_line --rate 300
	wait_until 40 have 500
	kill9 "$I2"
	ends CAPTURE PREPROCESS I1 I3 SINK
	# What was on its way to it goes to the others: its window of 4, and what it had passed on to sink but was not stored yet.
	again=$(sum_of 'sent again') twice=$(sum_of duplicates)
	echo "$again frames sent again, $twice of them had reached sink"
	[ $((again - twice)) -le 4 ]
	[ "$twice" -le 64 ]
	holds
}

# bats test_tags=long
@test "kill -9 of capture, of preprocess, of sink, each started again" {
	injected "one SIGKILL each"
	local role name
	for role in capture preprocess sink; do
		rm -f x.db*
		name=${role^^}
		start_line
		wait_until 40 have 500
		kill9 "${!name}"
		with stage "$role" "$name"
		ends CAPTURE PREPROCESS I1 I2 I3 SINK
		holds
	done
}

# bats test_tags=long
@test "kill -9 of each stage at 20 random instants, started again by a supervisor" {
	injected "20 SIGKILL to each of four stages, 50 to 350 ms apart, seed $SEED"
	local name
	frames=1500
	for name in CAPTURE PREPROCESS I1 SINK; do
		rm -f x.db*
		with kept sink SINK
		with kept infer I1
		with kept infer I2
		with kept preprocess PREPROCESS
		with kept capture CAPTURE --rate 150
		strike "$name" 20 50 350
		ends CAPTURE PREPROCESS I1 I2 SINK
		holds
	done
}

# bats test_tags=long
@test "kill -9 of all at once, and all started again" {
	injected "one SIGKILL to six processes"
	start_line
	wait_until 40 have 500
	kill9 "$CAPTURE" "$PREPROCESS" "$I1" "$I2" "$I3" "$SINK"
	start_line
	ends CAPTURE PREPROCESS I1 I2 I3 SINK
	holds
}

# bats test_tags=long
@test "a random stage is killed every 300 ms for 60 s" {
	injected "200 SIGKILL in 60 s, seed $SEED"
	local names=(CAPTURE PREPROCESS I1 I2 I3 SINK) i
	frames=3000
	with kept sink SINK
	for i in 1 2 3; do with kept infer "I$i"; done
	with kept preprocess PREPROCESS
	with kept capture CAPTURE --rate 40
	for ((i = 0; i < 200; i++)); do
		sleep 0.3
		kill -9 "$(cat "${names[RANDOM % 6]}.pid")" 2>/dev/null || true
	done
	calmed=$SECONDS
	PATIENCE=120 ends "${names[@]}"
	echo "$((SECONDS - calmed)) s to the end after the last"
	holds
}

# bats test_tags=long
@test "SIGTERM of a worker hands its work to the others" {
	injected "one SIGTERM to one of three infer"
	start_line
	wait_until 40 have 500
	kill -TERM "$I1"
	ends I1
	[ "$(rows x.db)" -lt "$frames" ]
	ends CAPTURE PREPROCESS I2 I3 SINK
	holds
}

# The instants at which it matters most: what was received and not begun, sent and not acknowledged, stored and not acknowledged.
# bats test_tags=smoke
@test "kill at exact points: received, before WORK, after send, between COMMIT and ACK" {
	local case stage role name point points=0
	frames=300
	for case in preprocess:received:100 preprocess:before-work:100 preprocess:sent:100 capture:sent:100 sink:received:100 \
		sink:before-work:100 sink:commit-ack:3; do
		role=${case%%:*} point=${case#*:} name=${case%%:*} name=${name^^}
		echo "$case"
		rm -f x.db*
		for stage in sink infer preprocess capture; do
			if [ "$stage" = "$role" ]; then
				at "$point:kill" with stage "$stage" "${stage^^}"
			else
				with stage "$stage" "${stage^^}"
			fi
		done
		wait_until 40 ended "${!name}"
		with stage "$role" "$name"
		ends CAPTURE PREPROCESS INFER SINK
		holds
		points=$((points + 1))
		injected "one SIGKILL at each of $points points"
	done
}

@test "nothing of the failpoints is in the programs that are installed" {
	injected "none: looked for in the programs"
	grep -q FAILPOINT "$BUILD/failpoints/bin/sink"
	run ! grep -l FAILPOINT "$BIN"/*
}
