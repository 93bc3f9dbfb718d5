# The fault matrix, part two: the system below fails. Calls, disks, memory.
load helper
load faults/line

setup() {
	line_open
}

teardown() {
	line_close
}

# Programs under a sanitizer bring allocators of their own.
need_shim() {
	sanitized && skip "the shim does not go with a sanitizer"
	shim=$BUILD/test/fault_shim.so
}

sweep() {
	run "$PYTHON" "$TOP/tests/faults/sweep.py" "$BUILD" --sample "$1"
	echo "$output"
	injected "${lines[-1]}"
	[ "$status" -eq 0 ]
}

@test "the n-th allocation, write, sync or send of a stage fails: a clean error or another try" {
	need_shim
	sweep 3
}

# bats test_tags=long
@test "the n-th allocation, write, sync or send of a stage fails: hundreds of n" {
	need_shim
	sweep 50
}
