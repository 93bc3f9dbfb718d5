#!/usr/bin/env bash
# Do several builds of infer compute the same bytes with the reference kernels?
#
#   tests/same_bytes.sh COMMAND…     each a way to call infer, as "env QEMU_LD_PREFIX=… qemu-aarch64 build/arm64/bin/infer"
#
# Prints a line per network with the SHA-256 of its first output for a ramp, and fails where two commands differ.
# Networks: the demo's, and those of ANDON_DATA that are there, f32 and int8.
set -euo pipefail
cd "$(dirname "$0")/.." || exit
data=${ANDON_DATA:-$PWD/../shared/data}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

models=(pipelines/demo/rings.onnx)
for name in mobilenet_v1_0.25_128 mobilenet_v1_0.25_128_qlinear resnet8_cifar10 winml_cifar10_cnn vww_96; do
	[ ! -e "$data/models/$name/model.onnx" ] || models+=("$data/models/$name/model.onnx")
done

# A value per element of the input, as the engine's own ramp has them.
ramp() {
	local shape
	shape=$($1 --bench "$2" --runs 1 --json | jq -c .input)
	python3 - "$shape" >"$scratch/ramp" <<-'PYTHON'
		import json, math, struct, sys
		count = math.prod(json.loads(sys.argv[1]))
		values = ((i * 2654435761 % 1000) / 500 - 1 for i in range(count))
		sys.stdout.buffer.write(struct.pack(f"<{count}f", *values))
	PYTHON
}

bad=0
for model in "${models[@]}"; do
	ramp "$1" "$model"
	first=
	for infer; do
		$infer --run "$model" --kernels reference --input "$scratch/ramp" --output "$scratch/out"
		hash=$(sha256sum <"$scratch/out" | cut -c 1-64)
		[ -n "$first" ] || first=$hash
		if [ "$hash" != "$first" ]; then
			echo "FAIL $model: $infer computes $hash, $1 $first"
			bad=1
		fi
	done
	echo "same $first ${model#"$data/models/"}"
done
exit $bad
