# The fault matrix, part three: what the others hold while one stage stands still.
load helper
load faults/line

setup() {
	line_open
}

teardown() {
	line_close
}

bounded() { # SECONDS
	sanitized && skip "no test of memory means anything with a sanitizer"
	injected "SIGSTOP to each of five stages in turn, $1 s, 500 frames of 150 KB a second"
	run "$PYTHON" "$TOP/tests/faults/bounded.py" "$BUILD/test/common_stages" --seconds "$1"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "each stage is stopped for two seconds under load: what the others hold is bounded, and does not grow" {
	bounded 2
}

# bats test_tags=long
@test "each stage is stopped for two minutes under load: what the others hold is bounded, and does not grow" {
	bounded 120
}
