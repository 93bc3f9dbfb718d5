# The link's state machine under kill, restart, pause, partition, reorder, delay, duplicate, full disk, hung
# work, poison and more (tests/sim/fault.c). A schedule that breaks an invariant prints its seed; build/test/link_sim --seed N -v -v replays it.
bats_require_minimum_version 1.5.0

load helper

@test "20000 schedules of misfortune lose no frame, store none twice, and all come to an end" {
	run "$BUILD/test/link_sim" --seeds 20000
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"20000 schedules: "*": 0 broke an invariant"* ]]
	# Each kind of misfortune in fault.c has really happened.
	[ "$(grep -c '^[a-z-]*  *[0-9][0-9]*  *[0-9][0-9]*$' <<<"$output")" -eq 23 ]
	never=$(awk 'NF == 3 && $2 == 0 { print $1 }' <<<"$output")
	[ -z "$never" ] || { echo "never: $never"; return 1; }
}

@test "each misfortune alone is borne as well" {
	local kind
	"$BUILD/test/link_sim" --seeds 1 >"$BATS_TEST_TMPDIR/kinds"
	while read -r kind _; do
		"$BUILD/test/link_sim" --only "$kind" --seeds 400 >"$BATS_TEST_TMPDIR/out" || { cat "$BATS_TEST_TMPDIR/out"; return 1; }
	done < <(awk 'NF == 3 && $1 != "misfortune" && $1 != "restart"' "$BATS_TEST_TMPDIR/kinds")
}

@test "a schedule can be replayed: the same seed tells the same story" {
	"$BUILD/test/link_sim" --seed 7 -v -v >"$BATS_TEST_TMPDIR/a"
	"$BUILD/test/link_sim" --seed 7 -v -v >"$BATS_TEST_TMPDIR/b"
	cmp "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
	grep -q 'FRAME' "$BATS_TEST_TMPDIR/a"
}
