# What the files of the fault matrix (tests/faults*.bats) share: a line of real programs at given addresses, supervisors
# that start again what was killed, the one checker of what must hold after every fault, and a row for the table that
# tests/faults/run makes.
# shellcheck shell=bash

MODEL=$TOP/pipelines/demo/rings.onnx
PICTURES=$TOP/pipelines/demo/parts
stages=$BUILD/test/common_stages
export MODEL PICTURES

line_open() {
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p log
	touch pids
	pictures=ipc://$BATS_TEST_TMPDIR/pictures tensors=ipc://$BATS_TEST_TMPDIR/tensors scores=ipc://$BATS_TEST_TMPDIR/scores
	frames=2000
	began=${EPOCHREALTIME/./}
	# Random instants can be had again: SEED=N.
	RANDOM=${SEED:=$((RANDOM * RANDOM % 100000))}
	echo "SEED=$SEED"
}

line_close() {
	end_started
	if mountpoint -q disk 2>/dev/null; then umount -l disk; fi
	table_row
}

# What is done to the line, for the table.
injected() {
	echo "$*" >"$BATS_TEST_TMPDIR/injected"
}

# sum_of WORDS: what all stages have counted under these words.
sum_of() {
	cat log/* 2>/dev/null | grep -o "[0-9]* $1" | awk '{ n += $1 } END { print n + 0 }'
}

table_row() {
	local state=BROKEN
	[ -n "${FAULTS_TABLE:-}" ] || return 0
	[ -z "${BATS_TEST_COMPLETED:-}" ] || state=held
	[ -z "${BATS_TEST_SKIPPED:-}" ] || state="not run: $BATS_TEST_SKIPPED"
	printf '%s\t%s\t%s\t%s\t%s\t%d.%d\n' "$BATS_TEST_DESCRIPTION" "$(cat "$BATS_TEST_TMPDIR/injected" 2>/dev/null)" "$state" \
		"$(sum_of 'sent again')" "$(sum_of duplicates)" \
		$(((${EPOCHREALTIME/./} - began) / 1000000)) $(((${EPOCHREALTIME/./} - began) / 100000 % 10)) >>"$FAULTS_TABLE"
}

# --- stages -------------------------------------------------------------------------------------------

# A stage, its words kept in log/NAME; its pid is in $NAME.
stage() {
	start "$@" 2>>"log/$1" 3>&-
}

# Starts a program again until it ends well, or fails when the file "over" is there, as a service manager would; NAME.pid
# holds the present one's pid, NAME.codes what they ended with.
supervise() {
	local name=$1 code
	shift
	while :; do
		"$@" &
		echo $! >>pids
		echo $! >"$name.new" && mv "$name.new" "$name.pid"
		code=0
		wait $! 2>/dev/null || code=$?
		echo "$code" >>"$name.codes"
		if [ "$code" -eq 0 ] || [ -e over ]; then break; fi
		[ "$code" -gt 128 ] || [ "$code" -eq 75 ] || return "$code"
	done
}
kept() {
	stage "$1" supervise "$@"
}

# with START ROLE NAME OPTION…: one of the line's programs, by stage or by kept.
with() {
	local how=$1 role=$2 name=$3
	shift 3
	case $role in
	capture) set -- capture "$PICTURES" --loop 0 --count "$frames" --out "$pictures" "$@" ;;
	preprocess) set -- preprocess --in "$pictures" --out "$tensors" "$@" ;;
	infer) set -- infer -m "$MODEL" --in "$tensors" --out "connect:$scores" "$@" ;;
	sink) set -- sink --in "bind:$scores" x.db "$@" ;;
	source) set -- "$stages" source -n "$frames" --out "$tensors" "$@" ;;
	relay) set -- "$stages" relay --in "$tensors" --out "connect:$scores" "$@" ;;
	store) set -- "$stages" sink --in "bind:$scores" rows "$@" ;;
	esac
	[ -z "${failpoint:-}" ] || set -- env "FAILPOINT=$failpoint" "$BUILD/failpoints/bin/$1" "${@:2}"
	"$how" "$name" "$@" -vv
}

# at NAME:COUNT:ACTION with …: a program that a failpoint is built into (common/failpoint.h).
at() {
	local failpoint=$1
	shift
	"$@"
}

# The whole line, three infer; OPTION… for capture. At 1000 pictures a second there is a middle, however late the script looks.
start_line() {
	with stage sink SINK
	with stage infer I1
	with stage infer I2
	with stage infer I3
	with stage preprocess PREPROCESS
	with stage capture CAPTURE --rate 1000 "$@"
}

have() { [ "$(rows x.db)" -ge "$1" ]; }
have_lines() { [ -e rows ] && [ "$(wc -l <rows)" -ge "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }
log_says() { grep -qs "$2" "log/$1"; }

# ends NAME…: each ends by itself, well. ends_with CODE NAME: so.
ends_with() {
	local code=0
	wait_until "${PATIENCE:-60}" ended "${!2}" || {
		echo "$2 goes on:"
		ps -o pid=,ppid=,stat=,args= -p "$(paste -sd , pids)" || true
		tail -n 3 log/*
		return 1
	}
	wait "${!2}" || code=$?
	[ "$code" -eq "$1" ] || {
		echo "$2 ended with $code"
		tail -n 3 "log/$2"
		return 1
	}
}
ends() {
	local name
	for name; do ends_with 0 "$name" || return 1; done
}

# A killed process keeps its address until it is really gone.
kill9() {
	kill -9 "$@"
	wait "$@" 2>/dev/null || true
}

# strike NAME N LOW HIGH: kill -9 what NAME's supervisor keeps, N times, LOW to HIGH milliseconds apart.
strike() {
	local name=$1 left=$2
	while [ "$left" -gt 0 ]; do
		sleep "$(printf '0.%03d' $(($3 + RANDOM % ($4 - $3))))"
		ended "${!name}" && {
			echo "$name ended with $left strikes to come"
			return 1
		}
		kill -9 "$(cat "$name.pid")" 2>/dev/null && left=$((left - 1))
	done
	return 0
}

# --- what must hold -----------------------------------------------------------------------------------

# The scores of a run without any fault: of each picture once, since capture takes them in turns.
calm() {
	local once=$BATS_FILE_TMPDIR/calm
	[ -e "$once" ] || {
		capture "$PICTURES" | preprocess | infer -m "$MODEL" | sink calm.db --quiet
		sql calm.db 'select label_id, scores from results order by seq' >"$once.new"
		[ "$(wc -l <"$once.new")" -eq 60 ] || return 1
		mv "$once.new" "$once"
		rm calm.db
	}
	awk -v frames="$frames" '{ row[NR - 1] = $0 } END { for (i = 0; i < frames; i++) print i "|" row[i % NR] }' "$once"
}

nothing_left() {
	local left pid
	left=$(find "$BATS_TEST_TMPDIR" -type s)
	[ -z "$left" ] || {
		echo "sockets left: $left"
		return 1
	}
	while read -r pid; do
		ended "$pid" || {
			echo "still there: $(ps -o pid=,args= -p "$pid")"
			return 1
		}
	done <pids
}

# The store x.db: every key once and none missing, nothing that could not be judged, the scores of the calm run byte for
# byte, balanced books; and no process and no socket is left. (I1, I2, I3, I7, I9 of the link's invariants.)
holds() {
	calm >want || return 1
	[ "$(sql x.db 'select count(*), count(distinct seq), min(seq), max(seq), count(distinct source || run) from results')" = \
		"$frames|$frames|0|$((frames - 1))|1" ] || {
		sql x.db 'select count(*), count(distinct seq), min(seq), max(seq), count(distinct source || run) from results'
		return 1
	}
	[ "$(sql x.db "select count(*) from results where verdict = 'error' or label is null")" -eq 0 ] || return 1
	sql x.db 'select seq, label_id, scores from results order by seq' >got
	cmp got want || return 1
	sink --audit x.db || return 1
	nothing_left
}

# The same for the rows of a small sink (tests/c/common_stages.c): the keys 0 … frames-1, each once, all ok.
holds_rows() {
	local bad
	awk '{ print $3 }' rows | sort -n | cmp - <(seq 0 $((frames - 1))) || return 1
	bad=$(awk '$4 != 0' rows)
	[ -z "$bad" ] || {
		echo "not ok: $bad"
		return 1
	}
	nothing_left
}
