#!/usr/bin/env bats
# The whole line, pictures in, rows out, on real material.

load helper
load faults/line

teardown() {
	end_started
}

recipe='resize=stretch:64x64;interp=bilinear;antialias=1;color=gray;scale=1/255;mean=0.494438111782074;std=0.06990662217140198;layout=nchw;dtype=f32'

# A copy of the steel model with its recipe and labels in a JSON beside it.
model_with_json() {
	cp "$DATA/models/xsdd_plain/model.onnx" "$1/steel.onnx"
	jq --arg recipe "$recipe" '{recipe: $recipe, labels: .classes}' "$DATA/models/xsdd_plain/preprocess.json" >"$1/steel.json"
}

# scores_of JSONL: picture and scores, in order of pictures.
scores_of() {
	jq -r '[.image, (.scores | map(tostring) | join(" "))] | @tsv' "$1" | LC_ALL=C sort
}

@test "956 pictures of steel get the labels of an independent computation" {
	need_data images/xsdd models/xsdd_plain
	need_python cv2 PIL
	cd "$BATS_TEST_TMPDIR"
	jq -r '.classes[]' "$DATA/models/xsdd_plain/preprocess.json" >labels.txt
	set -o pipefail
	capture "$DATA/images/xsdd" | preprocess --recipe "$recipe" | infer -m "$DATA/models/xsdd_plain/model.onnx" --labels labels.txt |
		sink x.db x.jsonl --quiet
	[ "$(rows x.db)" -eq 956 ]
	[ "$(wc -l <x.jsonl)" -eq 956 ]
	[ "$(sql x.db "select count(*) from results where verdict = 'error'")" -eq 0 ]
	"$PYTHON" "$TOP/tests/independent.py" "$DATA/models/xsdd_plain/model.onnx" 64x64 0.494438111782074 0.06990662217140198 \
		"$DATA/images/xsdd" | awk -F'\t' '$3 > 1e-3 { print $1 "\t" $2 }' | LC_ALL=C sort >expected
	jq -r '[(.image | split("/") | last), .label_id] | @tsv' x.jsonl | LC_ALL=C sort >ours
	[ "$(wc -l <expected)" -gt 900 ]
	LC_ALL=C join -t "$(printf '\t')" expected ours | awk -F'\t' '$2 != $3' >different
	[ "$(LC_ALL=C join -t "$(printf '\t')" expected ours | wc -l)" -eq "$(wc -l <expected)" ]
	[ ! -s different ]
}

@test "a JSON beside the model says what its pictures need" {
	need_data images/xsdd models/xsdd_plain
	cd "$BATS_TEST_TMPDIR"
	model_with_json .
	mkdir few
	find "$DATA/images/xsdd" -name '*_60*.png' | LC_ALL=C sort | head -n 20 | xargs cp -t few
	set -o pipefail
	capture few | preprocess | infer -m steel.onnx | sink beside.jsonl --quiet
	capture few | preprocess --recipe "$recipe" | infer -m "$DATA/models/xsdd_plain/model.onnx" | sink given.jsonl --quiet
	[ "$(wc -l <beside.jsonl)" -eq 20 ]
	scores_of beside.jsonl >a
	scores_of given.jsonl >b
	cmp a b
	[ "$(jq -r .recipe_sha256 beside.jsonl | sort -u)" = "$(jq -r .recipe_sha256 given.jsonl | sort -u)" ]
	jq -e 'select(.label_id == 0) | .label == "finishing roll printing"' beside.jsonl | sort -u | grep -qx true
}

@test "scores are the same bytes whatever the batch, the workers, the threads and the order" {
	need_data images/xsdd models/xsdd_plain
	cd "$BATS_TEST_TMPDIR"
	model_with_json .
	set -o pipefail
	run_line() {
		local out=$1
		shift
		capture "$DATA/images/xsdd" --count 120 | preprocess | infer -m steel.onnx "$@" | sink "$out" --quiet
		scores_of "$out" >"$out.scores"
		[ "$(wc -l <"$out.scores")" -eq 120 ]
	}
	run_line one.jsonl
	run_line workers.jsonl -j 3
	run_line threads.jsonl -t 2
	cmp one.jsonl.scores workers.jsonl.scores
	cmp one.jsonl.scores threads.jsonl.scores
	# Scale, mean and std here or there, alone and in a batch.
	run_line upstream.jsonl --normalise upstream
	cmp one.jsonl.scores upstream.jsonl.scores
	[ "$(jq -r .recipe_sha256 one.jsonl | sort -u)" = "$(jq -r .recipe_sha256 upstream.jsonl | sort -u)" ]
	run_line batch.jsonl --batch 4
	run_line batch-upstream.jsonl --batch 4 --normalise upstream
	cmp batch.jsonl.scores batch-upstream.jsonl.scores
	run -64 infer -m steel.onnx --normalise elsewhere </dev/null
	for kernels in blis reference; do
		run_line "$kernels.jsonl" --kernels "$kernels"
		run_line "$kernels-workers.jsonl" --kernels "$kernels" -j 2
		cmp "$kernels.jsonl.scores" "$kernels-workers.jsonl.scores"
	done
	# The other way round, each picture a source argument of its own.
	find "$DATA/images/xsdd" -name '*.png' | LC_ALL=C sort | head -n 120 | tac >names
	xargs -a names capture | preprocess | infer -m steel.onnx | sink back.jsonl --quiet
	scores_of back.jsonl | sed 's|^[^\t]*/||' | LC_ALL=C sort >back
	sed 's|^[^\t]*/||' one.jsonl.scores | LC_ALL=C sort >forth
	cmp forth back
}

@test "a stage in Python joins the line that runs, beside infer" {
	need_python zmq msgpack numpy
	line_open
	frames=1000000
	with stage sink SINK
	with stage infer I1
	with stage preprocess PREPROCESS
	with stage capture CAPTURE --rate 400
	wait_until 40 have 100
	start PY "$PYTHON" "$TOP/tests/worker.py" "$tensors" "$scores"
	both() {
		[ "$(sql x.db "select count(*) from results where worker = 'python' and label in ('top', 'middle', 'bottom')")" -gt 50 ] &&
			[ "$(sql x.db "select count(*) from results where worker <> 'python' and label is not null")" -gt 50 ]
	}
	wait_until 40 both
	kill -TERM "$CAPTURE"
	ends CAPTURE PREPROCESS I1 PY SINK
	sink --audit x.db
	[ "$(sql x.db 'select max(seq) + 1 from results')" -eq "$(rows x.db)" ]
}

@test "Ctrl-C in the middle: what was begun is stored, the same line finishes the rest" {
	line_open
	set -o pipefail
	local line="capture '$PICTURES' --loop 0 --count 2000"
	local rest="| preprocess | infer -m '$MODEL' | sink x.db --quiet"
	# A terminal's Ctrl-C reaches the whole group, which is not ignoring it.
	env --default-signal=INT setsid bash -c "$line --rate 300 $rest" &
	pipe=$!
	echo "$pipe" >>pids
	wait_until 40 have 100
	kill -INT -- "-$pipe"
	wait_until 20 ended "$pipe"
	[ "$(rows x.db)" -lt 2000 ]
	[ -z "$(find "$BATS_TEST_TMPDIR" -type s)" ]
	bash -o pipefail -c "$line $rest"
	frames=2000
	holds
}
