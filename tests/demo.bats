#!/usr/bin/env bats
# The demonstration: its pictures, its model, and what `make demo` makes of them.

load helper

demo=$TOP/pipelines/demo

# A copy that may be changed: pipelines/ beside the programs that are built.
copy_demo() {
	mkdir -p "$BATS_TEST_TMPDIR/copy/pipelines"
	cp -r "$demo" "$BATS_TEST_TMPDIR/copy/pipelines"
	mkdir -p "$BATS_TEST_TMPDIR/built"
	ln -sfn "$BIN" "$BATS_TEST_TMPDIR/built/bin"
}

run_demo() {
	BUILD=$BATS_TEST_TMPDIR/built "$BATS_TEST_TMPDIR/copy/pipelines/demo/run.sh"
}

@test "the demo judges every picture, and a second run stores nothing twice" {
	copy_demo
	run -0 --separate-stderr run_demo
	first=$output
	db=$BATS_TEST_TMPDIR/built/demo/results.db
	[ "$(rows "$db")" -eq 60 ]
	[ "$(grep -c '^ring-[0-9]* *\|^ring-[0-9]*\.' <<<"$first")" -eq 60 ]
	[ "$(sql "$db" "select count(*) from results where verdict is null or verdict = 'error'")" -eq 0 ]
	sink --audit "$db"
	run -0 --separate-stderr run_demo
	[ "$(rows "$db")" -eq 60 ]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/built/demo/results.csv")" -eq 61 ]
	diff <(grep '^ring-' <<<"$first") <(grep '^ring-' <<<"$output")
}

@test "every label and score of the demo is what Pillow and OpenCV compute" {
	need_python cv2 PIL
	cd "$demo"
	set -o pipefail
	capture parts | preprocess | infer -m rings.onnx | sink --quiet "$BATS_TEST_TMPDIR/rings.jsonl"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/rings.jsonl")" -eq 60 ]
	run -0 "$PYTHON" "$TOP/tests/demo_check.py" "$demo" "$BATS_TEST_TMPDIR/rings.jsonl"
	echo "$output"
	[[ $output == "60 pictures"* ]]
}

@test "the generator draws the demo's pictures again" {
	need_python numpy PIL
	"$PYTHON" "$demo/make_parts.py" --seed 3 --count 10 --out "$BATS_TEST_TMPDIR/again"
	diff "$BATS_TEST_TMPDIR/again/labels.tsv" <(head -n 10 "$demo/parts/labels.tsv")
	# Another processor's sine may round another way: a level here and there, no more.
	"$PYTHON" - "$BATS_TEST_TMPDIR/again" "$demo/parts" <<-'END'
		import os, sys
		import numpy as np
		from PIL import Image
		for name in sorted(os.listdir(sys.argv[1])):
		    if name.endswith(".png"):
		        a, b = (np.asarray(Image.open(os.path.join(f, name))).astype(int) for f in sys.argv[1:])
		        assert a.shape == (160, 160, 3)
		        assert abs(a - b).max() <= 2 and (a != b).mean() < 0.01, name
	END
}

@test "pictures and model are small, and every picture has a label" {
	[ "$(stat -c %s "$demo/rings.onnx")" -lt 1000000 ]
	[ "$(find "$demo/parts" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')" -lt 2000000 ]
	diff <(cut -f1 "$demo/parts/labels.tsv") <(cd "$demo/parts" && printf '%s\n' *.png *.jpg | LC_ALL=C sort)
	diff <(cut -f2 "$demo/parts/labels.tsv" | LC_ALL=C sort -u) <(jq -r '.labels[]' "$demo/rings.json" | LC_ALL=C sort)
}

@test "the model alone says what it wants, as the JSON beside it does" {
	cp "$demo/rings.onnx" "$BATS_TEST_TMPDIR/alone.onnx"
	cd "$demo"
	set -o pipefail
	capture parts --count 5 | preprocess | infer -m rings.onnx | sink --quiet "$BATS_TEST_TMPDIR/a.jsonl"
	capture parts --count 5 | preprocess | infer -m "$BATS_TEST_TMPDIR/alone.onnx" | sink --quiet "$BATS_TEST_TMPDIR/b.jsonl"
	fields='[.image, .label, .scores, .recipe_sha256]'
	[ "$(wc -l <"$BATS_TEST_TMPDIR/a.jsonl")" -eq 5 ]
	diff <(jq -c "$fields" "$BATS_TEST_TMPDIR/a.jsonl" | sort) <(jq -c "$fields" "$BATS_TEST_TMPDIR/b.jsonl" | sort)
}

@test "the README tells the accuracy that the held-out pictures give" {
	need_python cv2 PIL
	run -0 "$PYTHON" "$demo/evaluate.py"
	accuracy() { awk '$1 == "accuracy" { print $2 }'; }
	measured=$(accuracy <<<"$output")
	told=$(accuracy <"$demo/README.md")
	[ -n "$told" ] && [ -n "$measured" ]
	# Another processor rounds a pixel or a score another way: three pictures of 1000 may turn.
	awk -v a="$told" -v b="$measured" 'BEGIN { exit !(a - b <= 0.3 && b - a <= 0.3) }'
}

@test "a model that cannot be read fails the demo" {
	copy_demo
	head -c 1000 "$demo/rings.onnx" >"$BATS_TEST_TMPDIR/copy/pipelines/demo/rings.onnx"
	run --separate-stderr run_demo
	[ "$status" -ne 0 ]
	[[ $stderr == *"rings.onnx"* ]]
}
