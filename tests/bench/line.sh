#!/usr/bin/env bash
# What the line costs beside its network: throughput of four processes against `infer --bench` alone, interleaved, and
# the latency that the line adds at 30 pictures a second.
#
#   tests/bench/line.sh [MODEL.onnx RECIPE FOLDER]    default: SqueezeNet 1.0 on the steel pictures of the shared data
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
PATH=${BUILD:-$top/build}/bin:$PATH
data=${ANDON_DATA:-$top/../shared/data}
model=${1:-$data/models/squeezenet1.0_fp16/model.onnx}
recipe=${2:-'resize=stretch:224x224;interp=bilinear;antialias=1;color=bgr;scale=1;mean=0,0,0;std=1,1,1;layout=nchw;dtype=f32'}
folder=${3:-$data/images/xsdd}
if ! [ -e "$model" ] || ! [ -d "$folder" ]; then
	echo "line: skipped, no $model or no $folder"
	exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

run_line() { # OUT CAPTURE-OPTION…
	local out=$1
	shift
	rm -f "$out"
	capture "$folder" "$@" | preprocess --recipe "$recipe" | infer -m "$model" | sink "$out" --quiet
}

# Pictures a second between the first and the last row.
rate_of() {
	jq -s 'map(.result_ts) | sort | (length - 1) / ((last - first) / 1e9)' "$1"
}

echo "line: $(basename "$(dirname "$model")")/$(basename "$model"), throughput of four processes against infer alone"
ratios=()
for _ in 1 2 3 4 5; do
	alone=$(infer --bench "$model" --runs 300 --json | jq '1000 / .mean_ms')
	run_line "$scratch/x.jsonl" --count 400
	line=$(rate_of "$scratch/x.jsonl")
	ratios+=("$(jq -n "$line / $alone")")
	printf '  infer alone %7.1f/s   line %7.1f/s   ratio %.3f\n' "$alone" "$line" "${ratios[-1]}"
done
printf '%s\n' "${ratios[@]}" | sort -n | sed -n 3p | xargs printf '  median ratio %.3f (wanted: at least 0.95)\n'

echo "line: latency that is not the stages' own work, at 30 pictures a second"
run_line "$scratch/y.jsonl" --count 150 --rate 30
jq -s 'map(.latency_ms - ([.timings[]] | add)) | sort | {p50: .[length / 2 | floor], p99: .[length * 0.99 | floor]}' -c "$scratch/y.jsonl"
