# The real programs on real pictures, addressed, while they are killed: 2000 rows, none twice, and the same scores as
# without any fault. tests/link.bats does the same to small stages, in more ways.
load helper

setup() {
	need_data images/xsdd models/xsdd_plain
	cd "$BATS_TEST_TMPDIR" || return
	tensors=ipc://$BATS_TEST_TMPDIR/tensors pictures=ipc://$BATS_TEST_TMPDIR/pictures scores=ipc://$BATS_TEST_TMPDIR/scores
	recipe='resize=stretch:64x64;interp=bilinear;antialias=1;color=gray;scale=1/255;mean=0.494438111782074;std=0.06990662217140198;layout=nchw;dtype=f32'
	frames=2000
}

teardown() {
	end_started
}

start_capture() { start CAPTURE capture "$DATA/images/xsdd" --loop 0 --count "$frames" --out "$pictures" "$@"; }
start_preprocess() { start PREPROCESS preprocess --in "$pictures" --out "$tensors" --recipe "$recipe"; }
start_infer() { start "$1" infer -m "$DATA/models/xsdd_plain/model.onnx" --in "$tensors" --out "connect:$scores" "${@:2}"; }
start_sink() { start SINK sink --in "bind:$scores" x.db --quiet; }

start_all() {
	start_sink
	start_infer I1
	start_infer I2
	start_infer I3
	start_preprocess
	start_capture --rate 1000 # so that there is a middle, however late this script looks
}

have() { [ "$(rows x.db)" -ge "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }
ends() { # NAME…: each ends by itself, well
	local name code
	for name; do
		code=0
		wait_until 40 ended "${!name}" || return 1
		wait "${!name}" || code=$?
		[ "$code" -eq 0 ] || { echo "$name ended with $code"; return 1; }
	done
}
kill9() {
	kill -9 "$1"
	wait "$1" 2>/dev/null || true
}

# Every key once, nothing that could not be judged, the scores of the fault-free run.
complete() {
	[ "$(rows x.db)" -eq "$frames" ]
	[ "$(sql x.db 'select count(distinct seq) from results')" -eq "$frames" ]
	[ "$(sql x.db 'select min(seq) || " " || max(seq) from results')" = "0 $((frames - 1))" ]
	[ "$(sql x.db "select count(*) from results where verdict = 'error' or label is null")" -eq 0 ]
	sql x.db 'select seq, label_id, scores from results order by seq' >got
	if [ ! -e "$BATS_FILE_TMPDIR/want" ]; then
		capture "$DATA/images/xsdd" --loop 0 --count "$frames" | preprocess --recipe "$recipe" |
			infer -m "$DATA/models/xsdd_plain/model.onnx" | sink calm.db --quiet
		sql calm.db 'select seq, label_id, scores from results order by seq' >"$BATS_FILE_TMPDIR/want"
	fi
	cmp got "$BATS_FILE_TMPDIR/want"
	[ -z "$(find "$BATS_TEST_TMPDIR" -type s)" ]
}

@test "kill -9 of one of three workers in the middle of 2000 pictures" {
	start_all
	wait_until 40 have 500
	kill9 "$I2"
	ends CAPTURE PREPROCESS I1 I3 SINK
	complete
}

@test "kill -9 of capture, which is started again" {
	start_all
	wait_until 40 have 500
	kill9 "$CAPTURE"
	start_capture
	ends CAPTURE PREPROCESS I1 I2 I3 SINK
	complete
}

@test "kill -9 of preprocess, which is started again" {
	start_all
	wait_until 40 have 500
	kill9 "$PREPROCESS"
	start_preprocess
	ends CAPTURE PREPROCESS I1 I2 I3 SINK
	complete
}

@test "kill -9 of sink, which is started again" {
	start_all
	wait_until 40 have 500
	kill9 "$SINK"
	start_sink
	ends CAPTURE PREPROCESS I1 I2 I3 SINK
	complete
}

@test "a stage in Python joins the line that runs, beside infer" {
	need_python zmq msgpack numpy
	frames=1000
	start_sink
	start_infer I1
	start_preprocess
	start_capture --rate 400
	wait_until 40 have 100
	start PY "$PYTHON" "$TOP/tests/worker.py" "$tensors" "$scores"
	ends CAPTURE PREPROCESS I1 PY SINK
	[ "$(rows x.db)" -eq 1000 ]
	[ "$(sql x.db "select count(*) from results where worker = 'python' and label in ('top', 'middle', 'bottom')")" -gt 50 ]
	[ "$(sql x.db "select count(*) from results where worker <> 'python' and label is not null")" -gt 50 ]
}

@test "SIGTERM of a worker hands its work to the others" {
	start_all
	wait_until 40 have 500
	kill -TERM "$I1"
	ends I1
	[ "$(rows x.db)" -lt "$frames" ]
	ends CAPTURE PREPROCESS I2 I3 SINK
	complete
}

@test "Ctrl-C in the middle: what was begun is stored, the same line finishes the rest" {
	set -o pipefail
	local line="| preprocess --recipe '$recipe' | infer -m '$DATA/models/xsdd_plain/model.onnx' | sink x.db --quiet"
	# A terminal's Ctrl-C reaches the whole group, which is not ignoring it.
	env --default-signal=INT setsid bash -c "capture '$DATA/images/xsdd' --rate 300 $line" &
	pipe=$!
	echo "$pipe" >>pids
	wait_until 40 have 100
	kill -INT -- "-$pipe"
	wait_until 20 ended "$pipe"
	[ "$(rows x.db)" -lt 956 ]
	[ -z "$(find "$BATS_TEST_TMPDIR" -type s)" ]
	bash -o pipefail -c "capture '$DATA/images/xsdd' $line"
	[ "$(rows x.db)" -eq 956 ]
	[ "$(sql x.db 'select count(distinct seq) from results')" -eq 956 ]
}
