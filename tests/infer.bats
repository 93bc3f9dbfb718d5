#!/usr/bin/env bats
# What infer says of models, what it computes, and that a picture's scores do not depend on company.
# shellcheck disable=SC2154  # run --separate-stderr sets stderr and stderr_lines

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	end_started
}

# scores MODEL INPUT [OPTION…]: SHA-256 of the first output for a raw input.
scores() {
	local model=$1 input=$2
	shift 2
	infer --run "$model" --input "$input" --output scores.bin "$@" && sha256sum <scores.bin
}

ramp() {
	"$PYTHON" -c "
import struct, sys
n = int(sys.argv[1])
sys.stdout.buffer.write(b''.join(struct.pack('<f', (i * 2654435761 % 1000) / 500 - 1) for i in range(n)))" "$1" >ramp.bin
}

@test "infer without a model says that it needs one" {
	run -64 --separate-stderr infer
	[[ "$stderr" == *"-m FILE"* ]]
}

@test "infer names a model that is not there" {
	run -66 --separate-stderr infer --check nowhere.onnx
	[[ "$stderr" == *"nowhere.onnx"* ]]
	run -66 --separate-stderr infer -m nowhere.onnx </dev/null
	[[ "$stderr" == *"nowhere.onnx"* ]]
}

@test "infer refuses what is no model: an empty file, text, zeroes" {
	: >empty.onnx
	echo "hello, this is no model" >text.onnx
	head -c 1000 /dev/zero >zero.onnx
	for file in empty text zero; do
		run -65 --separate-stderr infer --check $file.onnx
		[ "${#stderr_lines[@]}" -eq 1 ]
	done
}

@test "malformed models get what their list says, within a second and 500 MB each" {
	need_data onnx_malformed/MANIFEST.tsv
	local file expected code seconds=2 # of processor time: others may hold it
	! sanitized || seconds=20
	while IFS=$'\t' read -r file _ expected _; do
		[ "$file" = file ] && continue
		code=0
		(
			sanitized || ulimit -v 600000 # KiB, what the libraries map included
			ulimit -t $seconds
			timeout 120 infer --check "$DATA/onnx_malformed/$file" >out 2>err
		) || code=$?
		echo "$file: $expected, got $code: $(head -1 out) $(head -1 err)"
		case $expected in
		accept) [ "$code" -eq 0 ] ;;
		reject) [ "$code" -eq 65 ] && [ "$(wc -l <err)" -eq 1 ] ;;
		either) [ "$code" -eq 0 ] || [ "$code" -eq 65 ] ;;
		*) false ;;
		esac
	done <"$DATA/onnx_malformed/MANIFEST.tsv"
}

@test "hostile models are refused in a line, within 2 s, 16 times their size and 64 MB" {
	need_python onnx numpy
	local how=judge
	! sanitized || how=survive
	"$PYTHON" "$TOP/tests/hostile.py" make models
	run -0 "$PYTHON" "$TOP/tests/hostile.py" $how models "$BIN/infer"
	echo "# ${lines[-1]}" >&3
}

@test "--check tells every refusal at once, naming nodes" {
	need_data onnx_malformed
	run -65 --separate-stderr infer --check "$DATA/onnx_malformed/39_dilation_zero.onnx"
	[[ "$output" == *"node 0 (Conv"*"dilations[0] is 0"* ]]
}

@test "the networks that stand for a whole family load and plan" {
	need_data onnx/light
	for name in squeezenet shufflenet densenet121 inception_v1; do
		run -0 infer --check "$DATA/onnx/light/light_$name.onnx"
		[[ "$output" == *"runs"* ]]
	done
}

@test "--explain tells what was fused, the kernels and the arena" {
	need_data models/resnet8_cifar10
	run -0 infer --explain "$DATA/models/resnet8_cifar10/model.onnx"
	[[ "$output" == *"Conv"*"+Add +Relu"* ]]
	[[ "$output" == *"arena"*"MB, kernels native"* ]]
	[[ "$output" != *"BatchNormalization"* ]]
}

@test "SqueezeNet's Concats move nothing" {
	need_data models/squeezenet1.0_fp16
	run -0 infer --explain "$DATA/models/squeezenet1.0_fp16/model.onnx"
	[ "$(grep -c 'Concat.*in place' <<<"$output")" -eq 8 ]
}

@test "--bench prints one JSON object with the fields that tools read" {
	need_data models/xsdd_plain
	run -0 --separate-stderr infer --bench "$DATA/models/xsdd_plain/model.onnx" --runs 5 --json
	[ "${#lines[@]}" -eq 1 ]
	for field in median_ms min_ms cpu_ms gflops peak_rss_kb ready_ms kernels; do
		jq -e ".$field" <<<"$output" >/dev/null
	done
}

@test "a model of constants alone has no input to speak of" {
	need_python onnx
	"$PYTHON" - <<-'PART'
		import onnx
		from onnx import helper as h
		f = onnx.TensorProto.FLOAT
		c = h.make_tensor("c", f, [2], [1.0, -1.0])
		g = h.make_graph([h.make_node("Relu", ["c"], ["y"])], "g", [], [h.make_tensor_value_info("y", f, [2])], [c])
		onnx.save(h.make_model(g, opset_imports=[h.make_opsetid("", 13)]), "none.onnx")
	PART
	run -0 --separate-stderr infer --bench none.onnx --runs 1 --json
	[ "$(jq -c .input <<<"$output")" = '[]' ]
	run -0 infer --explain none.onnx
	run -65 --separate-stderr infer -m none.onnx </dev/null
	[[ "$stderr" == *"0 inputs, a picture is one"* ]]
}

# peak MODEL: kB of the largest resident set, and bytes of weights and arena.
peak() {
	infer --bench "$1" --runs 2 --json | jq -r '"\(.peak_rss_kb) \(.weight_bytes + .arena_bytes)"'
}

# The process alone is what the demo's network of 60 kB takes, less its plan; ru_maxrss counts the file's pages too.
@test "loading and running take at most 1.25 times weights and arena" {
	sanitized && skip "memory means nothing under a sanitizer"
	need_python onnx numpy
	"$PYTHON" - <<-'PART'
		import numpy as np, onnx
		from onnx import helper as h, numpy_helper as n
		r = np.random.default_rng(1)
		inits = [n.from_array(r.standard_normal((512, 512, k, k)).astype(np.float32), f"w{k}") for k in (1, 3, 5)]
		inits.append(n.from_array(r.standard_normal((1000, 512)).astype(np.float32), "m"))
		nodes = [h.make_node("Conv", [a, f"w{k}"], [b], pads=[k // 2] * 4) for a, k, b in (("x", 3, "a"), ("a", 1, "b"), ("b", 5, "c"))]
		nodes += [h.make_node("GlobalAveragePool", ["c"], ["d"]), h.make_node("Flatten", ["d"], ["e"]),
		          h.make_node("Gemm", ["e", "m"], ["y"], transB=1)]
		f = onnx.TensorProto.FLOAT
		g = h.make_graph(nodes, "g", [h.make_tensor_value_info("x", f, (1, 512, 20, 20))], [h.make_tensor_value_info("y", f, (1, 1000))], inits)
		onnx.save(h.make_model(g, opset_imports=[h.make_opsetid("", 13)]), "wide.onnx")

		# one matrix is most of it, as VGG's is, in bytes
		inits = [n.from_array(np.float32(0.01), "s"), n.from_array(np.uint8(128), "z"), n.from_array(np.int8(0), "o"),
		         n.from_array(r.integers(-127, 128, (4096, 8192), dtype=np.int8), "w")]
		nodes = [h.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]), h.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
		         h.make_node("DequantizeLinear", ["w", "s", "o"], ["v"]), h.make_node("Gemm", ["b", "v"], ["y"], transB=1)]
		g = h.make_graph(nodes, "g", [h.make_tensor_value_info("x", f, (1, 8192))], [h.make_tensor_value_info("y", f, (1, 4096))], inits)
		onnx.save(h.make_model(g, opset_imports=[h.make_opsetid("", 13)]), "bytes.onnx")
	PART
	local base kb bytes model models=(wide.onnx bytes.onnx)
	[ ! -e "$DATA/models/squeezenet1.0_fp16" ] || models+=("$DATA/models/squeezenet1.0_fp16/model.onnx")
	read -r kb bytes < <(peak "$TOP/pipelines/demo/rings.onnx")
	base=$((kb - bytes / 1024))
	for model in "${models[@]}"; do
		read -r kb bytes < <(peak "$model")
		echo "# $(basename "$model"): $(((kb - base) * 1024 * 100 / bytes)) % of $((bytes >> 20)) MB" >&3
		[ $(((kb - base) * 1024 * 4)) -le $((bytes * 5)) ]
	done
}

@test "an input file of the wrong size is refused" {
	need_data models/xsdd_plain
	ramp 100
	run -65 --separate-stderr infer --run "$DATA/models/xsdd_plain/model.onnx" --input ramp.bin \
		--output out.bin
	[[ "$stderr" == *"the input takes 16384"* ]]
}

@test "scores are the same bytes with 1, 2 and 3 threads, in every kernel set" {
	need_data models/mobilenet_v1_0.25_128 models/resnet8_cifar10
	local name count set one
	for name in mobilenet_v1_0.25_128 resnet8_cifar10; do
		count=$((3 * 32 * 32))
		[ $name = resnet8_cifar10 ] || count=$((3 * 128 * 128))
		ramp $count
		for set in native blis reference; do
			one=$(scores "$DATA/models/$name/model.onnx" ramp.bin --kernels $set)
			for threads in 1 2 3; do
				[ "$one" = "$(scores "$DATA/models/$name/model.onnx" ramp.bin \
					--kernels $set -t $threads)" ]
			done
		done
	done
}

@test "the reference kernels need no particular instruction set for their bytes" {
	need_data models/resnet8_cifar10
	ramp $((3 * 32 * 32))
	local model=$DATA/models/resnet8_cifar10/model.onnx any
	any=$(scores "$model" ramp.bin --kernels reference)
	[ "$any" = "$(ANDON_ISA=base scores "$model" ramp.bin --kernels reference)" ]
	[ "$any" = "$(ANDON_ISA=avx2 scores "$model" ramp.bin --kernels reference)" ]
}

@test "--kernels and --activation name what they know" {
	run -64 --separate-stderr infer --kernels fast --check x
	[[ "$stderr" == *"native, blis or reference"* ]]
	need_data models/xsdd_plain
	run -64 --separate-stderr infer -m "$DATA/models/xsdd_plain/model.onnx" --activation loud </dev/null
	[[ "$stderr" == *"softmax"* ]]
}

@test "labels that are too few are refused before the first picture" {
	need_data models/xsdd_plain
	printf 'one\ntwo\n' >labels.txt
	run -65 --separate-stderr infer -m "$DATA/models/xsdd_plain/model.onnx" --labels labels.txt </dev/null
	[[ "$stderr" == *"2 labels for 7 classes"* ]]
}

@test "a model with a fixed batch takes no larger one" {
	need_data models/mobilenet_v1_0.25_128
	run -64 --separate-stderr infer -m "$DATA/models/mobilenet_v1_0.25_128/model.onnx" --batch 4 </dev/null
	[[ "$stderr" == *"--batch 4"* ]]
}

# line OPTION…: seq and scores of forty pictures, in order, with these options of infer.
line() {
	capture pictures | preprocess --recipe "$RECIPE" | infer -m "$MODEL" "$@" | sink -q rows.jsonl 2>err ||
		return
	jq -r '[.seq, (.scores | map(tostring) | join(" "))] | @tsv' rows.jsonl | sort -n
	rm rows.jsonl
}

@test "a picture's scores are the same whatever the batch, the workers, the threads" {
	need_data images/xsdd models/winml_cifar10_cnn
	MODEL=$DATA/models/winml_cifar10_cnn/model.onnx
	RECIPE='resize=stretch:32x32;interp=bilinear;antialias=1;color=rgb;scale=1/255'
	RECIPE="$RECIPE;mean=0.5,0.5,0.5;std=0.5,0.5,0.5;layout=nchw;dtype=f32"
	mkdir pictures
	find "$DATA/images/xsdd" -name '*.png' | LC_ALL=C sort | head -40 | xargs -I{} cp {} pictures
	line >alone
	[ "$(wc -l <alone)" -eq 40 ]
	[ "$(cut -f2 alone | sort -u | wc -l)" -gt 20 ]
	local batch
	for batch in 2 3 8; do
		line --batch $batch --batch-wait 20ms >together
		cmp alone together
	done
	line -j 3 >workers
	cmp alone workers
	line -t 2 --batch 4 >threads
	cmp alone threads
}

@test "results name label, score, model and what computed them" {
	need_data images/xsdd models/xsdd_plain
	mkdir pictures
	find "$DATA/images/xsdd" -name '*.png' | LC_ALL=C sort | head -3 | xargs -I{} cp {} pictures
	RECIPE=$(sed -n 's/^recipe: //p' "$DATA/models/xsdd_plain/README.txt")
	cp "$DATA/models/xsdd_plain/model.onnx" steel.onnx
	printf 'a\nb\nc\nd\ne\nf\ng|h\n' >labels.txt
	capture pictures | preprocess | infer -m steel.onnx --recipe "$RECIPE" --labels labels.txt --top 3 |
		sink -q rows.jsonl
	[ "$(wc -l <rows.jsonl)" -eq 3 ]
	[ "$(jq -r .model_sha256 rows.jsonl | sort -u)" = "$(sha256sum <steel.onnx | cut -d' ' -f1)" ]
	[ "$(jq -r .model rows.jsonl | sort -u)" = steel ]
	jq -e '.kernels | startswith("native")' rows.jsonl
	jq -e '.label | test("^[a-g]")' rows.jsonl
	jq -es 'all(.[]; .score == (.scores | max))' rows.jsonl
}

@test "what exporters spell out in many nodes is seen, and computes the same" {
	need_python numpy
	run -0 "$PYTHON" "$TOP/tests/infer_patterns.py"
	[[ "$output" != *FAILED* ]]
}

@test "quantised graphs are computed on bytes, and say what they mean" {
	need_python numpy
	run -0 "$PYTHON" "$TOP/tests/infer_qdq.py"
	[[ "$output" != *FAILED* ]]
}
