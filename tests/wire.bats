load helper

refuse=$BUILD/test/common_wire_refuse

@test "the vectors of PROTOCOL.md are what the programs write and read" {
	"$PYTHON" "$TOP/tests/vectors.py" "$TOP/common/PROTOCOL.md" >"$BATS_TEST_TMPDIR/lines"
	[ "$(grep -c '^ok ' "$BATS_TEST_TMPDIR/lines")" -ge 13 ]
	[ "$(grep -c '^bad ' "$BATS_TEST_TMPDIR/lines")" -ge 5 ]
	run "$refuse" --vectors <"$BATS_TEST_TMPDIR/lines"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "the JSON beside each vector of PROTOCOL.md says the same as its bytes" {
	need_python msgpack
	run "$PYTHON" "$TOP/tests/vectors.py" --compare "$TOP/common/PROTOCOL.md"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "PROTOCOL.md has every kind and every key that the programs know" {
	run "$PYTHON" "$TOP/tests/vectors.py" --keys "$TOP/common/PROTOCOL.md" "$TOP/common/wire_table.c"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "the encodings of the MessagePack test suite arrive as the values they stand for" {
	need_data msgpack/msgpack-test-suite.json
	jq -r '.[] | .[] |
		(if has("bignum") then (.bignum | tostring) elif has("number") then (.number | tostring)
		 elif has("string") then .string else "" end) as $value |
		(if has("bignum") and (.bignum | length > 19 or (length == 19 and . > "9223372036854775807"))
			and (.bignum | startswith("-") | not) then "huge"
		 elif has("bignum") or has("number") then "number"
		 elif has("string") then "text" else "other" end) as $type |
		.msgpack[] | [$type, ., $value] | @tsv' \
		"$DATA/msgpack/msgpack-test-suite.json" >"$BATS_TEST_TMPDIR/suite"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/suite")" -gt 200 ]
	run "$refuse" --suite <"$BATS_TEST_TMPDIR/suite"
	echo "$output"
	[ "$status" -eq 0 ]
}
