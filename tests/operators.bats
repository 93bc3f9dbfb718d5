# Operators against ONNX's own backend cases and against networks with real weights.

load helper

# What is refused, and why: NAME <tab> reason. All else must pass.
refused() {
	grep -v '^#' <<-'EOF' || true
	# (nothing)
	EOF
}

# cases FOLDER…: nothing fails, and what is refused is what the list says.
cases() {
	local kernels=$1
	shift
	run -0 onnx-cases --kernels "$kernels" "$@"
	grep '^refused ' <<<"$output" | awk '{print $2}' | LC_ALL=C sort -u >"$BATS_TEST_TMPDIR/refused"
	refused | cut -f1 | LC_ALL=C sort -u >"$BATS_TEST_TMPDIR/expected"
	diff "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/refused"
	grep ' passed, ' <<<"$output" | sed 's/^/# /' >&3
}

# Per operator: cases that pass, of all.
per_operator() {
	awk -F '\t' 'NR == FNR { split($0, w, " "); ok[w[2]] = w[1] == "pass"; next }
		FNR > 1 { n = split($5, op, /[,; ]+/)
			for (i = 1; i <= n; i++) if (op[i] != "") { all[op[i]]++; good[op[i]] += ok[$3] } }
		END { for (o in all) printf "%s %d/%d\n", o, good[o], all[o] }' \
		<(printf '%s\n' "$output") "$DATA/onnx/CASES.tsv" | LC_ALL=C sort | paste -sd ' ' | fold -sw 96
}

@test "every backend case of ONNX passes, or is refused for a reason that we state" {
	need_data onnx/CASES.tsv
	cases native "$DATA"/onnx/{node,simple,pytorch-converted,pytorch-operator}
	[ "$(grep -c . "$DATA/onnx/CASES.tsv")" -eq $((1 + $(grep -cE '^(pass|refused) ' <<<"$output"))) ]
	per_operator | sed 's/^/# /' >&3
}

@test "every backend case passes with the reference kernels and with BLIS" {
	need_data onnx/CASES.tsv
	cases reference "$DATA"/onnx/{node,simple,pytorch-converted,pytorch-operator}
	cases blis "$DATA"/onnx/{node,simple,pytorch-converted,pytorch-operator}
}

@test "operators do what the specification says where ONNX's own cases do not look" {
	need_python onnx numpy
	(cd "$TOP/tests" && "$PYTHON" specification.py "$BATS_TEST_TMPDIR/cases")
	local kernels
	for kernels in native reference; do
		run -0 onnx-cases --kernels $kernels --rtol 1e-5 --atol 1e-6 "$BATS_TEST_TMPDIR/cases"
		[ "$(grep -c '^pass refused-' <<<"$output")" -eq 0 ]
		[ "$(grep -c '^refused refused-' <<<"$output")" -eq 14 ]
		[ "$(grep -c '^refused ' <<<"$output")" -eq 14 ]
	done
	echo "# ${lines[-1]}" >&3
}

@test "networks with real weights give what an independent evaluator computed" {
	need_data models
	cases native "$DATA/models"
	cases reference "$DATA/models"
}

@test "ONNX's light networks run and give their outputs" {
	need_data onnx/light
	cases native "$DATA/onnx/light"
}

@test "the driver of cases fails when a value is wrong, and when there is nothing to run" {
	need_data onnx/node/v1.12.0/test_add
	cp -r "$DATA/onnx/node/v1.12.0/test_add" "$BATS_TEST_TMPDIR/wrong"
	chmod -R u+w "$BATS_TEST_TMPDIR/wrong"
	cd "$BATS_TEST_TMPDIR/wrong/test_data_set_0"
	cp input_0.pb output_0.pb
	run -1 onnx-cases "$BATS_TEST_TMPDIR/wrong"
	[[ "$output" == *"fail wrong "*"0 passed, 1 failed, 0 refused" ]]
	mkdir "$BATS_TEST_TMPDIR/empty"
	run -66 onnx-cases "$BATS_TEST_TMPDIR/empty"
}
