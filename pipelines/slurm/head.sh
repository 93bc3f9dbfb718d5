#!/usr/bin/env bash
# The workers are placed by Slurm: this starts capture, preprocess and sink here, submits an array of infer workers, and
# ends when the stream ends.
#
#   pipelines/slurm/head.sh MODEL.onnx OUT.db WORKERS CAPTURE-ARGUMENT…
#   pipelines/slurm/head.sh /shared/rings.onnx out.db 16 photos/
#   pipelines/slurm/head.sh /shared/rings.onnx out.db 16 --watch /srv/line3 --done /srv/line3/done
#
# Workers come when there is a place for them, and may go at any time: what a killed, preempted or unreachable one had is
# done by another, no row is lost and none is double. MODEL.onnx is read by the workers: on a file system that they share.
# Ctrl-C (or SIGTERM): what was taken in is finished, then all ends; a second one quits now. The same line again
# finishes the rest.
#
#   HEAD=10.0.0.1         this machine's address for the workers; else its name
#   WORK_PORT=5601 RESULT_PORT=5602
#   SBATCH='--partition=line --mem=2G'      more for sbatch; worker.sbatch beside this file holds the rest
#   SINK='--good ok:0.8'                    more for sink
#   KEYS=/shared/keys     a folder that all of them can read, made once by: andon keygen --name HEAD /shared/keys
#   INSECURE=1            instead: nothing is encrypted, and whoever is in this network can read and write along
set -euo pipefail

if [ $# -lt 4 ]; then
	sed -n '2,20s/^# \{0,1\}//p' "$0" >&2
	exit 64
fi
model=$(realpath "$1") out=$2 workers=$3
shift 3
slurm=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=pipelines/programs.sh
. "$slurm/../programs.sh"
export WORK_PORT=${WORK_PORT:-5601} RESULT_PORT=${RESULT_PORT:-5602}
head=${HEAD:-$(hostname)}
read -ra sbatch_more <<<"${SBATCH:-}"
read -ra sink_more <<<"${SINK:-}"
secure=()
[ -z "${KEYS:-}" ] || secure=(--keys "$(realpath "$KEYS")")
[ -z "${INSECURE:-}" ] || secure+=(--insecure)

# Exit code of the first of these that failed.
take_in() {
	trap : INT TERM # the stages hear it themselves
	set +e
	capture --orphan-timeout 0 "$@" | 
		preprocess --orphan-timeout 0 --out "bind:tcp://$head:$WORK_PORT" "${secure[@]}"
	local codes=("${PIPESTATUS[@]}")
	[ "${codes[0]}" -eq 0 ] && return "${codes[1]}"
	return "${codes[0]}"
}

# A process group each: Ctrl-C comes to this script alone, and is passed on to the source once. A queue can be long:
# nobody gives up because no worker has come yet.
set -m
take_in "$@" &
source=$!
sink --orphan-timeout 0 --in "bind:tcp://$head:$RESULT_PORT" "${secure[@]}" "${sink_more[@]}" "$out" &
sink=$!

array='' watch=''
# Workers that wait for a place have nothing to come for any more; those that run end by themselves. Who has not after ten
# seconds is told to, and again: Slurm puts a job whose start had failed back into the queue even then.
dismiss() {
	local i
	scancel --quiet --state=PENDING "$array" || true
	for i in {1..400}; do
		[ -n "$(squeue --noheader --jobs="$array" 2>/dev/null)" ] || return 0
		[ $((i % 100)) -ne 0 ] || scancel --quiet "$array" || true
		sleep 0.1
	done
}
# Nobody will come any more: workers that all failed (a model that they cannot read, say) or were cancelled.
watch_array() {
	local left=unknown
	while [ -n "$left" ]; do
		sleep 2
		left=$(squeue --noheader --jobs="$array" 2>/dev/null) || left=unknown
	done
	sleep 10 # at the end of a stream workers end before sink
	echo "head.sh: error: all workers have ended, the stream has not; andon-infer-${array}_*.log say why" >&2
	return 75
}
leave() { # CODE: something is wrong, all ends now
	trap - INT TERM EXIT
	exec 2>/dev/null # the stages have said what is wrong
	for _ in 1 2; do
		kill -TERM -- "-$source" "-$sink" 2>/dev/null || true
		sleep 0.2
	done
	[ -z "$array" ] || scancel --quiet "$array" || true
	[ -z "$watch" ] || kill -- "-$watch" || true
	exit "$1"
}
asked=0
trap 'asked=$((asked + 1)); kill -TERM -- "-$source" 2>/dev/null || true' INT TERM
trap 'leave $?' EXIT

array=$(sbatch --parsable --array="1-$workers" "${sbatch_more[@]}" "$slurm/worker.sbatch" "$model" "$head" "${secure[@]}")
array=${array%%;*} # JOB;CLUSTER where there are several
echo "head.sh: array $array of $workers workers" >&2
watch_array &
watch=$!

# Source and sink end, in whichever order; the one that ends badly ends all.
for _ in source sink; do
	while :; do
		before=$asked code=0
		wait -n || code=$?
		[ "$asked" -ne "$before" ] || break # else a signal ended the wait
	done
	[ "$code" -eq 0 ] || leave "$code"
done
trap - EXIT
exec 2>/dev/null
kill -- "-$watch" || true
dismiss
