#!/usr/bin/env bats
# infer --quantize: what comes out agrees with the model of floats, here and in ONNX Runtime, is the same bytes
# every time, and is not written at all if something is wrong.
# shellcheck disable=SC2154,SC2030,SC2031  # run sets output, stderr and stderr_lines

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	PARTS=$TOP/pipelines/demo/parts
	RINGS=$TOP/pipelines/demo/rings.onnx
}

teardown() {
	end_started
}

# Percent of the pictures of which the last run said that the best class agrees.
agreement() {
	sed -n 's/.*agrees for \([0-9]*\)\.[0-9]* %.*/\1/p' <<<"$output"
}

# onnx FILE PYTHON: print what this expression makes of the model m.
onnx() {
	"$PYTHON" -c "import onnx, sys; m = onnx.load(sys.argv[1]); print($2)" "$1"
}

@test "the demonstration's model becomes one of integers that agrees with it" {
	run -0 --separate-stderr infer --quantize "$RINGS" --calibrate "$PARTS" -o rings8.onnx
	[ "${#lines[@]}" -eq 1 ]
	[ -z "$stderr" ]
	[[ "$output" == "rings8.onnx: 60 pictures, "*" tensors, "* ]]
	[ "$(agreement)" -ge 95 ]
	[ "$(find . -name 'rings8*' | wc -l)" -eq 1 ]
	[ "$(stat -c %s rings8.onnx)" -lt "$(stat -c %s "$RINGS")" ]
	run -0 infer --check rings8.onnx
}

@test "what is written is standard ONNX, open where the model was open, with its metadata" {
	need_python onnx
	infer --quantize "$RINGS" --calibrate "$PARTS" -o rings8.onnx
	"$PYTHON" -c "import onnx; onnx.checker.check_model(onnx.load('rings8.onnx'), full_check=True)"
	[ "$(onnx rings8.onnx '[i.name for i in m.graph.input], m.graph.input[0].type')" = \
		"$(onnx "$RINGS" '[i.name for i in m.graph.input], m.graph.input[0].type')" ]
	[ "$(onnx rings8.onnx '[o.name for o in m.graph.output]')" = "$(onnx "$RINGS" '[o.name for o in m.graph.output]')" ]
	[ "$(onnx rings8.onnx 'm.metadata_props')" = "$(onnx "$RINGS" 'm.metadata_props')" ]
	[ "$(onnx rings8.onnx 'm.graph.output[0].type.tensor_type.shape.dim[0].dim_param')" = n ]
	[ "$(onnx rings8.onnx 'sum(n.op_type == "BatchNormalization" for n in m.graph.node)')" -eq 0 ]
	[ "$(onnx rings8.onnx 'sorted({i.data_type for i in m.graph.initializer if len(i.dims) == 4})')" = '[3]' ]
}

@test "the new model runs in the pipeline, in batches too" {
	infer --quantize "$RINGS" --calibrate "$PARTS" -o rings8.onnx
	capture "$PARTS" | preprocess | infer -m rings8.onnx --batch 4 --batch-wait 20ms | sink -q rows.jsonl
	[ "$(jq -r '.label' rows.jsonl | wc -l)" -eq 60 ]
	[ "$(jq -r '.label // empty' rows.jsonl | sort | uniq -c | wc -l)" -ge 5 ]
}

@test "the same pictures give the same bytes, by --calibrate or through the pipe" {
	infer --quantize "$RINGS" --calibrate "$PARTS" -o one.onnx
	infer --quantize "$RINGS" --calibrate "$PARTS" -o two.onnx
	cmp one.onnx two.onnx
	capture "$PARTS" | preprocess | infer --quantize "$RINGS" -o piped.onnx
	cmp one.onnx piped.onnx
	infer --quantize "$RINGS" --calibrate "$PARTS" --calibrate-most 20 -o few.onnx
	infer --quantize "$RINGS" --calibrate "$PARTS" --calibrate-most 20 -o again.onnx
	cmp few.onnx again.onnx
	run ! cmp -s one.onnx few.onnx
}

@test "a picture that cannot be read is told, and the others are used" {
	mkdir mixed
	cp "$PARTS"/ring-* mixed
	head -c 200 "$(find "$PARTS" -name '*.png' | head -1)" >mixed/broken.png
	run -0 --separate-stderr infer --quantize "$RINGS" --calibrate mixed -o out.onnx
	[[ "$output" == *": 60 pictures"* ]]
	[[ "$stderr" == *"mixed/broken.png"* ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
}

# refused CODE WORDS OPTION…: this exit code, these words in the last line of stderr, and no file left behind.
refused() {
	local code=$1 words=$2
	shift 2
	run "-$code" --separate-stderr infer --quantize "$@"
	[ -z "$output" ]
	[[ "${stderr_lines[-1]}" == *"$words"* ]]
	[ -z "$(find . -name 'out*')" ]
}

@test "without a recipe nothing is guessed" {
	need_python onnx
	"$PYTHON" -c "
import onnx, sys
m = onnx.load(sys.argv[1])
del m.metadata_props[:]
onnx.save(m, 'bare.onnx')" "$RINGS"
	refused 64 'recipe' bare.onnx --calibrate "$PARTS" -o out.onnx
	[ "${#stderr_lines[@]}" -eq 1 ]
	infer --quantize bare.onnx --calibrate "$PARTS" -o out.onnx --recipe "$(jq -r .recipe "$TOP/pipelines/demo/rings.json")"
}

@test "no pictures, no folder, no destination: each is one clear answer" {
	mkdir empty
	refused 66 'no pictures' "$RINGS" --calibrate empty -o out.onnx
	refused 66 'nowhere' "$RINGS" --calibrate nowhere -o out.onnx
	refused 66 'absent.onnx' absent.onnx --calibrate "$PARTS" -o out.onnx
	refused 64 '-o FILE' "$RINGS" --calibrate "$PARTS"
	refused 64 'from which' "$RINGS" --calibrate "$PARTS" --in ipc:///tmp/none -o out.onnx
	refused 73 'no/such/out.onnx' "$RINGS" --calibrate "$PARTS" -o no/such/out.onnx
	head -c 200 "$(find "$PARTS" -name '*.png' | head -1)" >empty/broken.png
	refused 65 'no pictures came that could be used' "$RINGS" --calibrate empty -o out.onnx
}

@test "a folder that may not be written is told before the pictures are looked at" {
	[ "$(id -u)" -ne 0 ] || skip "root may write everywhere"
	mkdir locked
	chmod 500 locked
	refused 73 'locked/out.onnx' "$RINGS" --calibrate "$PARTS" -o locked/out.onnx
}

@test "what has nothing to quantise, or is quantised already, is refused" {
	need_python onnx
	"$PYTHON" -c "
from onnx import helper, TensorProto, save
x = helper.make_tensor_value_info('x', TensorProto.FLOAT, ['n', 3, 128, 128])
y = helper.make_tensor_value_info('y', TensorProto.FLOAT, ['n', 3, 1, 1])
g = helper.make_graph([helper.make_node('GlobalAveragePool', ['x'], ['y'])], 'g', [x], [y])
save(helper.make_model(g, opset_imports=[helper.make_opsetid('', 13)], ir_version=7), 'mean.onnx')"
	cp "$TOP/pipelines/demo/rings.json" mean.json
	refused 65 'nothing in it to quantise' mean.onnx --calibrate "$PARTS" -o out.onnx
	infer --quantize "$RINGS" --calibrate "$PARTS" --calibrate-most 5 -o eight.onnx
	refused 65 'is quantised already' eight.onnx --calibrate "$PARTS" -o out.onnx
}

@test "Gelu between two products becomes a table of bytes in the first one's store" {
	need_python onnx numpy
	"$PYTHON" - <<-'PART'
		import numpy as np, onnx
		from onnx import helper as h, numpy_helper as n
		r = np.random.default_rng(3)
		def init(name, *shape): return n.from_array((r.standard_normal(shape) / 8).astype(np.float32), name)
		def one(name, v): return n.from_array(np.float32(v), name)
		inits = [init("w", 16, 3, 8, 8), init("a", 16, 64), init("b", 64), init("c", 64, 5), init("d", 5), one("root", 2 ** .5), one("one", 1), one("half", .5)]
		steps = [("Conv", "x w", "p", {"strides": [8, 8]}), ("Transpose", "p", "q", {"perm": [0, 2, 3, 1]}), ("MatMul", "q a", "m", {}), ("Add", "m b", "s", {}),
		         ("Div", "s root", "e1", {}), ("Erf", "e1", "e2", {}), ("Add", "e2 one", "e3", {}), ("Mul", "s e3", "e4", {}), ("Mul", "e4 half", "g", {}),
		         ("MatMul", "g c", "o", {}), ("Add", "o d", "t", {}), ("ReduceMean", "t", "y", {"axes": [1, 2], "keepdims": 0})]
		f = onnx.TensorProto.FLOAT
		g = h.make_graph([h.make_node(t, i.split(), [o], **k) for t, i, o, k in steps], "g", [h.make_tensor_value_info("x", f, ["n", 3, 128, 128])],
		                 [h.make_tensor_value_info("y", f, ["n", 5])], inits)
		onnx.save(h.make_model(g, opset_imports=[h.make_opsetid("", 13)], ir_version=8), "gelu.onnx")
	PART
	cp "$TOP/pipelines/demo/rings.json" gelu.json
	run -0 --separate-stderr infer --quantize gelu.onnx --calibrate "$PARTS" --recipe "$(jq -r .recipe gelu.json)" -o gelu8.onnx
	[ "$(agreement)" -ge 95 ]
	run -0 infer --explain gelu8.onnx --shape 1x3x128x128
	[ "$(grep -c QGemm <<<"$output")" -eq 2 ]
	[[ "$output" != *Gelu* && "$output" != *Lookup* && "$output" != *" Erf "* ]]
}

@test "a model of f16 is refused in words" {
	need_data models/squeezenet1.0_fp16
	cp "$DATA/models/squeezenet1.0_fp16/model.onnx" half.onnx
	refused 65 'f16' half.onnx --calibrate "$PARTS" -o out.onnx --recipe "$(preprocess --preset imagenet --print-recipe)"
}

@test "steel strips: the best class agrees for at least 98 % of 956 pictures" {
	need_data images/xsdd models/xsdd_plain
	cp "$DATA/models/xsdd_plain/model.onnx" steel.onnx
	run -0 --separate-stderr infer --quantize steel.onnx --calibrate "$DATA/images/xsdd" --calibrate-most 2000 \
		--recipe "$(sed -n 's/^recipe: //p' "$DATA/models/xsdd_plain/README.txt")" -o steel8.onnx
	[[ "$output" == *" 956 pictures"* ]]
	[ "$(agreement)" -ge 98 ]
}

@test "older opsets are written as 13, and agree" {
	need_data models/mnist_opset7 models/winml_cifar10_cnn models/mobilenet_v1_0.5_160 images/coral
	local name side color
	while read -r name side color; do
		run -0 --separate-stderr infer --quantize "$DATA/models/$name/model.onnx" --calibrate "$PARTS" -o "$name.onnx" \
			--recipe "resize=stretch:${side}x$side;interp=bilinear;antialias=1;color=$color;scale=1/255;mean=0.5;std=0.5;layout=nchw;dtype=f32"
		[ "$(agreement)" -ge 80 ]
		run -0 infer --check "$name.onnx"
	done <<-END
		mnist_opset7 28 gray
		winml_cifar10_cnn 32 rgb
		mobilenet_v1_0.5_160 160 rgb
	END
}

@test "ONNX Runtime computes what we compute" {
	local folder=${ANDON_ORT:-$TOP}
	[ -e "$folder/node_modules/onnxruntime-node" ] || skip "no onnxruntime-node in $folder (ANDON_ORT)"
	need_python numpy
	infer --quantize "$RINGS" --calibrate "$PARTS" -o rings8.onnx
	"$PYTHON" -c "
import numpy
numpy.random.default_rng(1).normal(size=(8, 3, 128, 128)).astype('<f4').tofile('in.bin')"
	infer --run rings8.onnx --shape 8x3x128x128 --input in.bin --output ours.bin
	node "$TOP/tests/ort.mjs" "$folder" rings8.onnx in.bin theirs.bin
	# Requantisation is rounded in other places: a step here and there, not more.
	"$PYTHON" -c "
import numpy
a, b = (numpy.fromfile(f, '<f4').reshape(8, -1) for f in ('ours.bin', 'theirs.bin'))
print(abs(a - b).max(), abs(a).max())
assert abs(a - b).max() < 0.05 * abs(a).max()
assert (a.argmax(1) == b.argmax(1)).all()"
}

@test "infer ended by a signal leaves neither a file nor its children" {
	local pause
	for pause in 0.02 0.1 0.2 0.4; do
		start quantizer infer --quantize "$RINGS" --calibrate "$PARTS" --calibrate "$PARTS" -o out.onnx
		sleep "$pause"
		kill -TERM "$quantizer" 2>/dev/null || true
		wait "$quantizer" || true
		wait_until 5 bash -c "! pgrep -P $quantizer"
		[ -z "$(find . -name 'out.onnx?*')" ]
		[ ! -e out.onnx ] || infer --check out.onnx
		rm -f out.onnx
	done
}
