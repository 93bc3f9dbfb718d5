#!/usr/bin/env bash
# Classify every picture in a folder and keep the answers.
#
#   pipelines/01-classify-folder.sh FOLDER MODEL.onnx [OUT.db] [SINK OPTION…]
#   pipelines/01-classify-folder.sh pipelines/demo/parts pipelines/demo/rings.onnx rings.db --good good:0.8
#
# Run it again and nothing is stored twice: a picture is known by its content and its place in the
# folder. Interrupt it (Ctrl-C) and run it again: only what is missing is added.
set -euo pipefail # pipefail: the line fails if any of its four programs fails

if [ $# -lt 2 ] || [[ $1 == -* ]]; then
	sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
	exit 64
fi
# shellcheck source=pipelines/programs.sh
. "$(dirname "$0")/programs.sh"
folder=$1 model=$2 out=${3:-results.db}
shift $(($# < 3 ? $# : 3))

# capture     reads PNG, JPEG, PNM in byte order of their names; a broken one becomes an error row.
# preprocess  resizes and normalises as the model wants. The model says how (a JSON beside it, or its
#             metadata); if yours does not, write it here:  preprocess --recipe 'resize=…;…'
# infer       runs the network. More cores: -j 4 (pipeline 03). Names of classes: --labels FILE.
# sink        one row per picture. Verdicts: --good LABEL:0.8 --ng LABEL:0.6, else 'uncertain'. A second
#             output beside OUT.db, such as results.jsonl or results.csv, may simply be named after it.
capture "$folder" | preprocess | infer -m "$model" | sink "$@" "$out"

echo "stored in $out; look:  sqlite3 $out 'select image, label, score, verdict from results'" >&2
