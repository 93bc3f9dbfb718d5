#!/usr/bin/env bash
# More workers: on this machine, and on others.
#
#   pipelines/03-scale-workers.sh local FOLDER MODEL.onnx [OUT.db [WORKERS]]
#   pipelines/03-scale-workers.sh head FOLDER MODEL.onnx OUT.db [HOST]    take in pictures, store results
#   pipelines/03-scale-workers.sh worker MODEL.onnx [HOST]                compute; as many as you like
#
#   pipelines/03-scale-workers.sh head parts rings.onnx out.db &          by hand, three terminals or three
#   pipelines/03-scale-workers.sh worker rings.onnx &                     machines; workers come and go
#   pipelines/03-scale-workers.sh worker rings.onnx                       in any order
#
# kill -9 a worker in the middle: its pictures go to another, no row is lost and none is double,
# because a picture is only ticked off once its row is in the database.
# Pictures and scores are the same bytes however many workers there are.
set -euo pipefail

usage() {
	sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
	exit 64
}
[ $# -ge 2 ] || usage
# shellcheck source=pipelines/programs.sh
. "$(dirname "$0")/programs.sh"
role=$1
shift

# Two ports on the head: tensors go out at one, scores come in at the other. 127.0.0.1 is this machine
# only. For others set HOST (on the head its own address or '*', on workers the head's name) and KEYS, the
# folder that `andon keygen` has made there: without keys the stages refuse to leave this machine.
work=${WORK_PORT:-5601} results=${RESULT_PORT:-5602}
keys=()
[ -z "${KEYS:-}" ] || keys=(--keys "$KEYS")

case $role in
local)
	[ $# -ge 2 ] || usage
	# -j N: N workers inside one infer. -j "$(nproc)" is right for one machine: each worker computes
	# with one thread, which gives more pictures per second than one worker with N threads (-t N).
	capture "$1" | preprocess | infer -m "$2" -j "${4:-$(nproc)}" | sink "${3:-results.db}"
	;;
head)
	[ $# -ge 3 ] || usage
	host=${4:-127.0.0.1}
	# Here the addresses are given, not passed through the shell's pipe: --out and --in with bind:
	# wait for workers to connect. preprocess waits too: the first worker says what the model wants.
	capture "$1" | preprocess --out "bind:tcp://$host:$work" "${keys[@]}" &
	source=$!
	sink --in "bind:tcp://$host:$results" "$3" "${keys[@]}" || { code=$?; kill "$source" 2>/dev/null || true; exit "$code"; }
	wait "$source"
	;;
worker)
	host=${2:-127.0.0.1}
	exec infer -m "$1" --in "connect:tcp://$host:$work" --out "connect:tcp://$host:$results" "${keys[@]}"
	;;
*) usage ;;
esac
