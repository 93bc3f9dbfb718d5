#!/usr/bin/env bats
# A picture's scores are the same bytes in whatever company it comes: batch, threads, workers, order, again.

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# pictures HOW_MANY FOLDER: that many of it, in four orders: order-0 is theirs, the others are shuffled.
pictures() {
	local order name rank
	find "$2" -name '*.png' -o -name '*.jpg' | LC_ALL=C sort | awk -v n="$1" '{ all[NR] = $0 }
		END { for (i = 0; i < n; i++) print all[1 + int(i * NR / n)] }' >list
	[ "$(sort -u list | wc -l)" -eq "$1" ]
	for order in 0 1 2 3; do
		mkdir order-$order
		rank=1000
		while read -r name; do
			ln -s "$name" "order-$order/$rank-$(basename "$name")"
			rank=$((rank + 1))
		done < <(if [ $order -eq 0 ]; then cat list; else shuf --random-source=<(yes $order) list; fi)
	done
}

# line ORDER OPTION…: name and scores of every picture, in order of names; each row must say what computed them.
line() {
	local order=$1
	shift
	rm -f rows.jsonl
	set -o pipefail
	capture order-"$order" | preprocess --recipe "$RECIPE" | infer -m "$MODEL" "$@" | sink -q rows.jsonl
	jq -es --arg sha "$SHA" --arg kernels "${KERNELS:-native}" 'all(.[]; .model_sha256 == $sha and (.kernels | startswith($kernels)))' \
		rows.jsonl >/dev/null
	jq -r '[(.image | split("/") | last | .[5:]), (.scores | map(tostring) | join(" "))] | @tsv' rows.jsonl | LC_ALL=C sort
}

# same HOW_MANY FOLDER: every size of batch, number of threads and of workers comes in some company.
same() {
	local batch threads workers order
	SHA=$(sha256sum <"$MODEL" | cut -d' ' -f1)
	pictures "$1" "$2"
	line 0 >first
	[ "$(wc -l <first)" -eq "$1" ]
	[ "$(cut -f2 first | sort -u | wc -l)" -gt $(($1 / 4)) ]
	while read -r batch threads workers order; do
		line "$order" --batch "$batch" --batch-wait 5ms -t "$threads" -j "$workers" >again
		cmp first again || { echo "batch $batch, $threads threads, $workers workers, order $order"; return 1; }
	done <<-'PART'
		1 1 1 1
		1 2 2 0
		2 1 1 2
		3 2 1 0
		4 1 2 3
		5 3 1 1
		6 1 3 2
		7 4 1 3
		8 1 4 0
	PART
}

# open_batch FROM TO: the same model for batches of any size.
open_batch() {
	"$PYTHON" - "$1" "$2" <<-'PART'
		import sys, onnx
		m = onnx.load(sys.argv[1])
		for v in (m.graph.input[0], m.graph.output[0]):
		    v.type.tensor_type.shape.dim[0].dim_param = "N"
		onnx.save(m, sys.argv[2])
	PART
}

@test "the demo's network: 60 pictures, batches 1 to 8, threads and workers 1 to 4, shuffled" {
	MODEL=$TOP/pipelines/demo/rings.onnx
	RECIPE=$(jq -r .recipe "$TOP/pipelines/demo/rings.json")
	same 60 "$TOP/pipelines/demo/parts"
}

@test "a network of infrared pictures: 100 of them, the same" {
	need_data models/infrared2_plain images/infrared_solar
	MODEL=$DATA/models/infrared2_plain/model.onnx
	RECIPE=$(sed -n 's/^recipe: //p' "$DATA/models/infrared2_plain/README.txt")
	same 100 "$DATA/images/infrared_solar"
}

@test "a network of steel: 100 pictures, the same" {
	need_data models/xsdd_plain images/xsdd
	MODEL=$DATA/models/xsdd_plain/model.onnx
	RECIPE=$(sed -n 's/^recipe: //p' "$DATA/models/xsdd_plain/README.txt")
	same 100 "$DATA/images/xsdd"
}

@test "MobileNet in int8: 100 pictures, the same" {
	need_data models/mobilenet_v1_0.25_128_qlinear images/xsdd
	need_python onnx
	MODEL=int8.onnx
	RECIPE='resize=stretch:128x128;interp=bilinear;antialias=1;color=rgb;scale=1/255;mean=0.5,0.5,0.5;std=0.5,0.5,0.5;layout=nchw;dtype=f32'
	open_batch "$DATA/models/mobilenet_v1_0.25_128_qlinear/model.onnx" $MODEL
	same 100 "$DATA/images/xsdd"
}
