# The fault matrix, part three: what the others hold while one stage stands still.
load helper
load faults/line

setup() {
	line_open
}

teardown() {
	line_close
}

bounded() { # SECONDS OPTION…
	sanitized && skip "no test of memory means anything with a sanitizer"
	run "$PYTHON" "$TOP/tests/faults/bounded.py" --seconds "$@"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "the sink is stopped for two seconds under load: what the others hold is bounded, and does not grow" {
	injected "SIGSTOP to the last of five stages, 2 s, 500 frames of 150 KB a second"
	bounded 2 --stop sink "$stages"
}

# bats test_tags=long
@test "each stage is stopped for two minutes under load: what the others hold is bounded, and does not grow" {
	injected "SIGSTOP to each of five stages in turn, 120 s, 500 frames of 150 KB a second"
	bounded 120 "$stages"
}

# bats test_tags=long
@test "capture, preprocess, two infer, sink, each stopped for two minutes under load: what the others hold does not grow" {
	injected "SIGSTOP to each of five real stages in turn, 120 s, 200 pictures a second"
	bounded 120 --line "$BIN"
}
