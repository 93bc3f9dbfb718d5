# How stages find each other, lose each other and end, with three small stages (tests/c/common_stages.c). What must hold when
# something fails is in faults*.bats.
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
	start_source -n 1000000
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
	all_three() { [ "$(awk '{ print $6 }' "$rows" | sort -u | wc -l)" -eq 3 ]; }
	wait_until 20 all_three
	kill -9 "$(cat worker2)"
	wait_until 20 have $(($(wc -l <"$rows") + 500))
	kill -TERM "$SOURCE"
	wait "$pipe"
	ends SOURCE 0
	complete "$(wc -l <"$rows")"
	no_leftovers
}

@test "an addressed worker dies of kill -9 among three: no row is missing, none there twice" {
	start_source -n 1000000
	start_sink
	for i in 1 2 3; do start_worker "W$i" --work 1ms; done
	wait_until 20 have 500
	kill9 "$W2"
	wait_until 20 have $(($(wc -l <"$rows") + 500))
	kill -TERM "$SOURCE"
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	ends W3 0
	complete "$(wc -l <"$rows")"
	no_leftovers
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
	start_source -n 1000000 --pace 1ms
	start_sink
	start_worker W1 --work 3ms
	wait_until 20 have 100
	start PY "$PYTHON" "$TOP/tests/worker.py" "$in" "$out"
	its_part() { [ "$(awk '$6 == "python"' "$rows" | wc -l)" -gt 100 ]; }
	wait_until 20 its_part
	kill -TERM "$SOURCE"
	ends SOURCE 0
	ends SINK 0
	ends W1 0
	ends PY 0
	complete "$(wc -l <"$rows")"
	# The brightest third is the one that the source made so.
	awk '$6 == "python" { split("top middle bottom", name, " "); if ($5 != name[$3 % 3 + 1]) exit 1 }' "$rows"
	no_leftovers
}

@test "a worker in Python does the whole work alone, and its sudden death loses nothing" {
	need_python zmq msgpack numpy
	start_source -n 1000000 --pace 1ms
	start_sink
	start PY "$PYTHON" "$TOP/tests/worker.py" "$in" "$out"
	wait_until 20 have 100
	kill9 "$PY"
	start PY "$PYTHON" "$TOP/tests/worker.py" "$in" "$out"
	wait_until 20 have $(($(wc -l <"$rows") + 500))
	kill -TERM "$SOURCE"
	ends SOURCE 0
	ends SINK 0
	ends PY 0
	complete "$(wc -l <"$rows")"
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

@test "an address where something lies that is no socket is refused, and that is left as it is" {
	local place=$BATS_TEST_TMPDIR/place
	echo precious >"$place"
	run -73 --separate-stderr "$stages" source --out "ipc://$place" -n 1
	[[ "$stderr" == *"'$place' is there already, and no socket: it is left as it is"* ]]
	[ "$(cat "$place")" = precious ]
	[ ! -e "$place.lock" ]
	ln -sf "$place" "$BATS_TEST_TMPDIR/link"
	run -73 "$stages" sink --in "bind:ipc://$BATS_TEST_TMPDIR/link" "$rows"
	[ -L "$BATS_TEST_TMPDIR/link" ]
	[ "$(cat "$place")" = precious ]
	mv "$place" "$place.lock"
	run -73 --separate-stderr "$stages" source --out "ipc://$place" -n 1
	[[ "$stderr" == *"'$place.lock' is there already, and no lock: it is left as it is"* ]]
	[ "$(cat "$place.lock")" = precious ]
}

@test "whoever waits for a neighbour that is not there says where, once, and goes on waiting" {
	start SINK "$stages" sink --in "tcp://no.such.host.invalid:5601" --in "$in" --insecure "$rows" 2>said
	wait_until 120 grep -q "nobody has been at 'tcp://no.such.host.invalid:5601' for 20 s" said
	wait_until 120 grep -q "nobody has been at '$in' for 20 s" said
	start_source -n 50
	wait_until 60 have 50
	[ "$(grep -c 'nobody has been' said)" -eq 2 ]
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
	# Not so fast that it waits for room when it is asked: it would answer only when there is some.
	start SOURCE env --default-signal=INT "$stages" source --out "$in" -n 100000 --pace 200ms
	start_worker W1 --work 10s
	start_sink
	busy() { ping --json --timeout 5s "$in" | jq -e '.down == 1 and .unacked > 0'; }
	wait_until 20 busy
	kill -INT "$SOURCE"
	draining() { ping --json --timeout 5s "$in" | jq -e '.state == "draining"'; }
	wait_until 20 draining
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
	start GREEDY "$PYTHON" "$TOP/tests/greedy.py" "$in" "$how" "$rounds"
	if [ "$how" = ack ]; then
		wait_until 60 grep -q 'does not read what it is sent' said
		kill9 "$GREEDY"
	else
		wait "$GREEDY"
	fi
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
	greedy ack 1000000 $((260 * 1024)) -b 1000000 --pace 1ms # more rounds than it gets
}

@test "a receiver that asks, or greets, and never listens to the answers takes little memory" {
	greedy ping 100000 $((20 * 1024)) --pace 1ms
	: >"$rows"
	greedy hello 30000 $((20 * 1024)) --pace 1ms
}

@test "two receivers that want different pictures: the second is told so, with both recipes" {
	start_source -n 100000 --pace 2ms
	start_sink
	start_worker W1 --recipe 'resize=short:256'
	wait_until 20 have 20
	run -65 --separate-stderr "$stages" relay --in "$in" --out "connect:$out" --recipe 'resize=short:128'
	[[ "$stderr" == *"resize=short:256"* ]]
	[[ "$stderr" == *"resize=short:128"* ]]
	kill -TERM "$SOURCE"
	ends SOURCE 0
	ends SINK 0
	complete "$(wc -l <"$rows")"
}
