#!/usr/bin/env bash
# A hot folder: a camera's software drops pictures into it, each is classified as it arrives.
#
#   pipelines/02-watch-folder.sh HOT-FOLDER MODEL.onnx [OUT.db] [SINK OPTION…]
#   pipelines/02-watch-folder.sh /srv/line3 rings.onnx line3.db --good good:0.8 --ng scratch:0.6
#
# It runs until Ctrl-C (or SIGTERM): then what has arrived is finished, and everything ends by itself.
# A picture whose row is durable is moved to HOT-FOLDER/done, so the folder shows what is still to do,
# and after a power cut the rest is done, nothing twice. DONE=/elsewhere names another folder.
set -euo pipefail
trap : TERM # a supervisor tells all processes to stop: the stages drain, and this script waits for them

if [ $# -lt 2 ] || [[ $1 == -* ]]; then
	sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
	exit 64
fi
# shellcheck source=pipelines/programs.sh
. "$(dirname "$0")/programs.sh"
folder=$1 model=$2 out=${3:-results.db}
shift $(($# < 3 ? $# : 3))
mkdir -p "$folder" "${DONE:=$folder/done}"

# A picture counts as arrived when its writer closes it or renames it into the folder. Writers that
# keep a file open for long should write to a temporary name and rename.
# sink's second output prints each row as a line of JSON as soon as it is stored: what a reject gate or
# another program wants to read. For CSV say  sink … "$out" results.csv
capture --watch "$folder" --done "$DONE" | preprocess | infer -m "$model" | sink "$@" "$out" -
