# How stages find each other, lose each other and end, with three small stages (tests/c/common_stages.c).
load helper

stages=$BUILD/test/common_stages

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	in=ipc://$BATS_TEST_TMPDIR/in out=ipc://$BATS_TEST_TMPDIR/out rows=$BATS_TEST_TMPDIR/rows
	: >"$rows"
}

teardown() {
	end_started
}

source_() { "$stages" source "$@"; }
relay_() { "$stages" relay "$@"; }
sink_() { "$stages" sink "$@"; }

# Addressed form: the source binds $in, the sink binds $out, workers connect to both.
start_source() { start SOURCE "$stages" source --out "$in" "$@"; }
start_sink() { start SINK "$stages" sink --in "bind:$out" "$rows" "$@"; }
start_worker() { # NAME OPTION…
	local name=$1
	shift
	start "$name" "$stages" relay --in "$in" --out "connect:$out" "$@"
}

have() { [ "$(wc -l <"$rows")" -ge "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }

# A killed process keeps its address until it is really gone.
kill9() {
	kill -9 "$@"
	wait "$@" 2>/dev/null || true
}

# Exactly the keys 0 … N-1, each once, and all ok.
complete() {
	awk '{ print $3 }' "$rows" | sort -n >got
	seq 0 $(($1 - 1)) >want
	diff got want >difference || { head -n 20 difference; return 1; }
	[ "$(awk '$4 != 0' "$rows" | wc -l)" -eq 0 ]
}

no_leftovers() {
	local left pid
	left=$(find "$BATS_TEST_TMPDIR" -type s)
	[ -z "$left" ] || { echo "sockets left: $left"; return 1; }
	while read -r pid; do
		ended "$pid" || { echo "still there: $(ps -o pid=,args= -p "$pid")"; return 1; }
	done <pids
}

# ends NAME CODE: this process ends by itself within twenty seconds, with this code.
ends() {
	local pid=${!1} code=0
	wait_until 20 ended "$pid" || return 1
	wait "$pid" || code=$?
	[ "$code" -eq "$2" ] || { echo "$1 ended with $code"; return 1; }
}

@test "a pipe of three stages passes every frame on and ends by itself" {
	set -o pipefail
	touch pids
	source_ -n 500 | relay_ | relay_ | sink_ "$rows"
	complete 500
	no_leftovers
}

@test "three workers share a source, their addresses meet in one pipe, and one dies of kill -9" {
	start_source -n 2000
	(
		set -o pipefail
		{
			for i in 1 2 3; do
				"$stages" relay --in "$in" --work 1ms &
				echo $! >"worker$i"
			done
			wait
		} | sink_ "$rows"
	) 3>&- &
	pipe=$!
	wait_until 20 have 300
	kill -9 "$(cat worker2)"
	wait "$pipe"
	ends SOURCE 0
	complete 2000
	[ "$(awk '{ print $6 }' "$rows" | sort -u | wc -l)" -eq 3 ]
	no_leftovers
}

@test "an addressed worker dies of kill -9 among three: 2000 rows, none twice" {
	start_source -n 2000
	start_sink
	for i in 1 2 3; do start_worker "W$i" --work 1ms; done
	wait_until 20 have 500
	kill9 "$W2"
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	ends W3 0
	complete 2000
	no_leftovers
}

@test "the source dies of kill -9 and is started again" {
	start_source -n 1000 --pace 1ms
	start_sink
	start_worker W1
	wait_until 20 have 300
	kill9 "$SOURCE"
	start_source -n 1000
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	complete 1000
	no_leftovers
}

@test "the only worker dies of kill -9 and is started again" {
	start_source -n 1000
	start_sink
	start_worker W1 --work 1ms
	wait_until 20 have 300
	kill9 "$W1"
	start_worker W2
	ends SOURCE 0
	ends SINK 0
	ends W2 0
	complete 1000
	no_leftovers
}

@test "the sink dies of kill -9 and is started again" {
	start_source -n 1000
	start_sink
	start_worker W1 --work 1ms
	wait_until 20 have 300
	kill9 "$SINK"
	start_sink
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	complete 1000
	no_leftovers
}

@test "a stage that dies at the worst moment loses nothing and doubles nothing" {
	local point
	for point in 'SOURCE taken' 'W1 taken' 'W1 working' 'W1 sent' 'SINK taken' 'SINK stored'; do
		local name=${point% *} when=${point#* } source=() worker=() sink=()
		local die=(--kill-at 70 --kill-when "$when")
		: >"$rows"
		case $name in
		SOURCE) source=("${die[@]}") ;;
		W1) worker=("${die[@]}") ;;
		SINK) sink=("${die[@]}") ;;
		esac
		start_sink "${sink[@]}"
		start_worker W1 "${worker[@]}"
		start_source -n 150 "${source[@]}"
		wait_until 20 ended "${!name}"
		case $name in
		SOURCE) start_source -n 150 ;;
		W1) start_worker W1 ;;
		SINK) start_sink ;;
		esac
		for stage in SOURCE W1 SINK; do ends "$stage" 0 || { echo "$point"; return 1; }; done
		complete 150 || { echo "$point"; return 1; }
	done
	no_leftovers
}

# Starts a program again until it ends well, as a service manager would. NAME.pid holds the present one's pid.
supervise() {
	local name=$1 code
	shift
	while :; do
		"$@" &
		echo $! >"$name.pid"
		echo $! >>pids
		code=0
		wait $! 2>/dev/null || code=$?
		[ "$code" -ne 0 ] || break
		[ "$code" -gt 128 ] || [ "$code" -eq 75 ] || return "$code"
	done
}

@test "stages that are killed again and again, and started again, finish with every row once" {
	start A supervise source "$stages" source --out "$in" -n 3000 --pace 1ms
	start B supervise w1 "$stages" relay --in "$in" --out "connect:$out"
	start C supervise w2 "$stages" relay --in "$in" --out "connect:$out"
	start D supervise sink "$stages" sink --in "bind:$out" "$rows"
	RANDOM=${SEED:-$$}
	echo "SEED=${SEED:-$$}"
	victims=(source w1 w2 sink)
	wait_until 20 have 50
	for _ in {1..12}; do
		sleep 0.2
		pid=$(cat "${victims[RANDOM % 4]}.pid")
		kill -9 "$pid" 2>/dev/null || true
	done
	for stage in A B C D; do ends "$stage" 0; done
	complete 3000
	no_leftovers
}

@test "all die of kill -9 at once and are started again" {
	start_source -n 1000
	start_sink
	start_worker W1 --work 1ms
	wait_until 20 have 300
	kill9 "$SOURCE" "$SINK" "$W1"
	start_sink
	start_worker W1
	start_source -n 1000
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	complete 1000
	no_leftovers
}

@test "a worker ten times slower than the others gets little of the work" {
	start_source -n 800
	start_sink
	start_worker W1 --work 2ms --window 4
	start_worker W2 --work 2ms --window 4
	start_worker W3 --work 20ms --window 4
	ends SOURCE 0
	ends SINK 0
	complete 800
	slow=$(grep -c "/$W3 " "$rows")
	echo "the slow worker did $slow of 800, its fair share is 38"
	[ "$slow" -gt 10 ]
	[ "$slow" -lt 70 ]
}

@test "a worker that is stopped for long is not waited for, and gets work again when it goes on" {
	start_source -n 1500 --heartbeat 200ms
	start_sink --heartbeat 200ms
	start_worker W1 --work 2ms --heartbeat 200ms
	start_worker W2 --work 2ms --heartbeat 200ms
	wait_until 20 have 100
	kill -STOP "$W1"
	before=$(wc -l <"$rows")
	wait_until 20 have $((before + 600))
	kill -CONT "$W1"
	mark=$(wc -l <"$rows")
	worked_again() { tail -n +$((mark + 50)) "$rows" | grep -q "/$W1 "; }
	wait_until 20 worked_again
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	ends W2 0
	complete 1500
	no_leftovers
}

@test "a worker that is stopped over the end of the stream ends by itself when it goes on" {
	start_source -n 300 --heartbeat 200ms
	start_sink --heartbeat 200ms
	start_worker W1 --work 2ms --heartbeat 200ms --orphan-timeout 2s
	start_worker W2 --work 2ms --heartbeat 200ms
	wait_until 20 have 50
	kill -STOP "$W1"
	ends SOURCE 0
	ends SINK 0
	ends W2 0
	complete 300
	kill -CONT "$W1"
	wait_until 20 ended "$W1"
	no_leftovers
}

# poison WHEN: frame 77 kills three workers; the fourth, which it would kill too, never gets it.
poison() {
	start_source -n 200
	start_sink
	for i in 1 2 3; do start_worker "W$i" --kill-at 77 --kill-when "$1"; done
	wait_until 20 ended "$W1"
	wait_until 20 ended "$W2"
	wait_until 20 ended "$W3"
	start_worker W4 --kill-at 77 --kill-when "$1"
	ends SOURCE 0
	ends SINK 0
	ends W4 0
	[ "$(awk '$3 == 77 { print $4, $7 }' "$rows")" = "2 3" ]
	[ "$(wc -l <"$rows")" -eq 200 ]
	[ "$(awk '$3 != 77 && $4 != 0' "$rows" | wc -l)" -eq 0 ]
}

@test "a frame that kills each worker becomes one row that says so, the others are unharmed" {
	poison working
}

@test "a frame that crashes each worker at once becomes one row, too" {
	ulimit -c 0
	poison abort
}

@test "a worker that hangs over a frame is not waited for, and ends when the stream has ended without it" {
	local fast=(--heartbeat 200ms)
	start_source -n 300 "${fast[@]}" --work-timeout 500ms
	start_sink "${fast[@]}"
	start_worker W1 "${fast[@]}" --kill-at 77 --kill-when hang
	wait_until 20 have 77
	start_worker W2 "${fast[@]}" --work 2ms
	ends SOURCE 0
	complete 300
	[ "$(awk '$3 == 77 { print $7 }' "$rows")" -eq 1 ]
	ends SINK 0
	ends W1 75
	ends W2 0
	no_leftovers
}

@test "a frame over which each worker hangs becomes one row that says so, the others are unharmed" {
	local fast=(--heartbeat 200ms) i
	start_source -n 200 "${fast[@]}" --work-timeout 300ms --max-tries 2
	start_sink "${fast[@]}"
	for i in 1 2 3; do start_worker "W$i" "${fast[@]}" --work 1ms --kill-at 77 --kill-when hang; done
	ends SOURCE 0
	ends SINK 0
	for i in 1 2 3; do wait_until 20 ended "$(eval echo "\$W$i")"; done
	[ "$(awk '$3 == 77 { print $4, $7 }' "$rows")" = "2 2" ]
	[ "$(wc -l <"$rows")" -eq 200 ]
	[ "$(awk '$3 != 77 && $4 != 0' "$rows" | wc -l)" -eq 0 ]
}

@test "a worker that takes long is not disturbed unless --work-timeout is given" {
	start_source -n 6 --heartbeat 100ms
	start_sink --heartbeat 100ms
	start_worker W1 --heartbeat 100ms --work 1500ms
	start_worker W2 --heartbeat 100ms --work 1500ms
	ends SOURCE 0
	ends SINK 0
	complete 6
	[ "$(awk '$7 != 0' "$rows" | wc -l)" -eq 0 ]
}

@test "a worker in Python, written from PROTOCOL.md, joins a running pipeline" {
	need_python zmq msgpack numpy
	start_source -n 1500 --pace 1ms
	start_sink
	start_worker W1 --work 3ms
	wait_until 20 have 100
	start PY "$PYTHON" "$TOP/tests/worker.py" "$in" "$out"
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	ends PY 0
	complete 1500
	[ "$(awk '$6 == "python"' "$rows" | wc -l)" -gt 100 ]
	# The brightest third is the one that the source made so.
	awk '$6 == "python" { split("top middle bottom", name, " "); if ($5 != name[$3 % 3 + 1]) exit 1 }' "$rows"
	no_leftovers
}

@test "a worker in Python does the whole work alone, and its sudden death loses nothing" {
	need_python zmq msgpack numpy
	start_source -n 600 --pace 1ms
	start_sink
	start PY "$PYTHON" "$TOP/tests/worker.py" "$in" "$out"
	wait_until 20 have 100
	kill9 "$PY"
	start PY "$PYTHON" "$TOP/tests/worker.py" "$in" "$out"
	ends SOURCE 0
	ends SINK 0
	ends PY 0
	complete 600
}

@test "lines on standard input that are no addresses are named, and the good one among them is used" {
	start_source -n 50
	local bad=('tcp://..:5' 'tcp://no such:5' 'tcp://127.0.0.1:99999' 'tcp://127.0.0.1' 'ipc://' 'ipc://*' 'ipc://@x' 'http://x'
		'bind:ipc:///tmp/x' "ipc:///$(printf '%0200d' 7)" "$(printf '%0700d' 7)" $'\x1b[2J' $'\xff')
	(printf '%s\n' "${bad[@]}" '' "$in" && printf 'no end') | sink_ "$rows" 2>said
	cat said
	[ "$(grep -c 'error: ' said)" -ge "${#bad[@]}" ]
	run ! grep -q $'\x1b' said
	complete 50
}

@test "a second process on the same address is told that it is in use, and the first goes on" {
	start_source -n 50
	wait_until 10 test -S "${in#ipc://}"
	run --separate-stderr "$stages" source --out "$in" -n 5
	[ "$status" -ne 0 ]
	[[ "$stderr" == *"in use"* ]]
	start_sink
	start_worker W1
	ends SOURCE 0
	ends SINK 0
	complete 50
}

@test "nonsense on a socket is refused, and the frames go their way" {
	need_python zmq msgpack
	env --default-signal=INT "$stages" source --out "$in" -n 100000 --pace 1ms -v 2>said &
	SOURCE=$!
	echo "$SOURCE" >>pids
	start_sink
	start_worker W1
	wait_until 20 have 50
	"$PYTHON" "$TOP/tests/garbage.py" "$in"
	kill -INT "$SOURCE"
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	complete "$(wc -l <"$rows")"
	cat said
	grep -q 'ignored from now on' said
	no_leftovers
}

@test "Ctrl-C stops the source, what is under way is stored, and all end" {
	# A shell that is no terminal's starts its background jobs with the signal ignored.
	local with=(env --default-signal=INT "$stages")
	start SOURCE "${with[@]}" source --out "$in" -n 100000 --pace 1ms
	start SINK "${with[@]}" sink --in "bind:$out" "$rows"
	start W1 "${with[@]}" relay --in "$in" --out "connect:$out" --work 1ms
	wait_until 20 have 200
	kill -INT "$SOURCE" "$SINK" "$W1"
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	complete "$(wc -l <"$rows")"
	run ! have 99999
	no_leftovers
}

@test "a second Ctrl-C ends at once, and leaves no socket behind" {
	start SOURCE env --default-signal=INT "$stages" source --out "$in" -n 100000 --pace 1ms
	start_worker W1 --work 10s
	start_sink
	wait_until 20 test -S "${in#ipc://}"
	sleep 0.3 # let it begin to work
	kill -INT "$SOURCE"
	sleep 0.3 # two signals at once are one
	kill -0 "$SOURCE"
	kill -INT "$SOURCE"
	ends SOURCE 130
	[ ! -e "${in#ipc://}" ]
}

@test "a stage of a pipe that is killed makes the whole pipe fail, and the same line again does the rest" {
	set -o pipefail
	touch pids
	code=0
	source_ -n 300 --pace 1ms | relay_ --kill-at 120 | sink_ "$rows" || code=$?
	[ "$code" -eq 75 ] # the sink's: try again
	no_leftovers
	run ! have 300
	have 50
	source_ -n 300 | relay_ | sink_ "$rows"
	complete 300
	no_leftovers
}

@test "hundreds of receivers that come, take frames and vanish leave neither sockets nor memory behind" {
	need_python zmq msgpack
	start_source -n 50
	"$PYTHON" "$TOP/tests/reconnects.py" "$in" 50
	size() { find "/proc/$SOURCE/fd" | wc -l; awk '/VmRSS/ { print $2 }' "/proc/$SOURCE/status"; }
	few() { [ "$(find "/proc/$SOURCE/fd" | wc -l)" -le "$((fds + 2))" ]; }
	mapfile -t before < <(size)
	fds=${before[0]}
	"$PYTHON" "$TOP/tests/reconnects.py" "$in" 400
	wait_until 10 few
	mapfile -t after < <(size)
	echo "descriptors ${before[0]} -> ${after[0]}, KiB ${before[1]} -> ${after[1]}"
	sanitized || [ "${after[1]}" -lt $((before[1] + 2048)) ]
	start_sink
	start_worker W1
	ends SOURCE 0
	ends SINK 0
	complete 50
}

# greedy HOW ROUNDS LIMIT_KIB OPTION…: a receiver that never reads what it makes the source send, beside a worker.
greedy() {
	need_python zmq msgpack
	local how=$1 rounds=$2 limit=$3
	shift 3
	env --default-signal=INT "$stages" source --out "$in" -n 1000000 "$@" 2>said &
	SOURCE=$!
	echo "$SOURCE" >>pids
	start_sink
	start_worker W1
	wait_until 20 have 50
	"$PYTHON" "$TOP/tests/greedy.py" "$in" "$how" "$rounds"
	most=$(awk '/VmHWM/ { print $2 }' "/proc/$SOURCE/status")
	echo "$how: at most $most KiB"
	sanitized || [ "$most" -lt "$limit" ]
	kill -INT "$SOURCE"
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	cat said
	no_leftovers
}

@test "a receiver that acknowledges what it does not read is hung up on before memory is full" {
	greedy ack 1500 $((260 * 1024)) -b 1000000 --pace 1ms
	grep -q 'does not read what it is sent' said
}

@test "a receiver that asks, or greets, and never listens to the answers takes little memory" {
	greedy ping 100000 $((20 * 1024)) --pace 1ms
	: >"$rows"
	greedy hello 30000 $((20 * 1024)) --pace 1ms
}

@test "two receivers that want different pictures: the second is told so, with both recipes" {
	start_source -n 400 --pace 2ms
	start_sink
	start_worker W1 --recipe 'resize=short:256'
	wait_until 20 have 20
	run -65 --separate-stderr "$stages" relay --in "$in" --out "connect:$out" --recipe 'resize=short:128'
	[[ "$stderr" == *"resize=short:256"* ]]
	[[ "$stderr" == *"resize=short:128"* ]]
	ends SOURCE 0
	ends SINK 0
	complete 400
}

# One order, such as bdac, in a folder of its own.
one_order() {
	local stage pid all=() at=ipc://$BATS_TEST_TMPDIR/$1
	mkdir "$1"
	for stage in $(fold -w1 <<<"$1"); do
		case $stage in
		a) "$stages" source --out "$at/1" -n 20 & ;;
		b) "$stages" relay --in "$at/1" --out "$at/2" & ;;
		c) "$stages" relay --in "$at/2" --out "connect:$at/3" & ;;
		d) "$stages" sink --in "bind:$at/3" "$1/rows" & ;;
		esac
		all+=($!)
		echo $! >>pids
		sleep 0.02
	done
	for pid in "${all[@]}"; do wait "$pid" || return 1; done
	awk '{ print $3 }' "$1/rows" | sort -n | cmp - <(seq 0 19)
}

@test "four addressed stages may be started in any order" {
	local order jobs=() job
	for order in {a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b,c,d}; do
		[[ $order == *a* && $order == *b* && $order == *c* && $order == *d* ]] || continue
		one_order "$order" &
		jobs+=($!)
		[ $((${#jobs[@]} % 6)) -ne 0 ] || wait "${jobs[@]}"
	done
	[ "${#jobs[@]}" -eq 24 ]
	for job in "${jobs[@]}"; do wait "$job"; done
	no_leftovers
}
