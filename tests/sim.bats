# The link's state machine under kill, restart, pause, partition, reorder, delay, duplicate, full disk and
# poison. A schedule that breaks an invariant prints its seed; build/test/link_sim --seed N -v -v replays it.
bats_require_minimum_version 1.5.0

load helper

@test "20000 schedules of misfortune lose no frame, store none twice, and all come to an end" {
	run "$BUILD/test/link_sim" --seeds 20000
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"20000 schedules: "*": 0 broke an invariant"* ]]
}

@test "a schedule can be replayed: the same seed tells the same story" {
	"$BUILD/test/link_sim" --seed 7 -v -v >"$BATS_TEST_TMPDIR/a"
	"$BUILD/test/link_sim" --seed 7 -v -v >"$BATS_TEST_TMPDIR/b"
	cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
	grep -q 'FRAME' "$BATS_TEST_TMPDIR/a"
}
