# The fault matrix, part two: what happens between stages. Small stages (tests/c/common_stages.c), which are slow, stubborn
# or deadly on request, where the real ones would not be.
load helper
load faults/line

setup() {
	line_open
}

teardown() {
	line_close
}

quick=(--heartbeat 200ms)

# codes_of CODE NAME…: how often these, supervised, ended with it.
codes_of() {
	local code=$1 name
	shift
	for name; do cat "$name.codes"; done | grep -cx "$code"
}

# poison WHEN SIGNAL: frames 77 and 79, in one window, kill every worker that works on them.
poison() {
	local names=(W1 W2 W3) name
	injected "two frames that end every worker by $1, restarted by a supervisor"
	frames=300
	ulimit -c 0
	with stage store SINK
	for name in "${names[@]}"; do with kept relay "$name" --work 1ms --window 4 --kill-at 77 --kill-at 79 --kill-when "$1" \
		--orphan-timeout 3s; done
	with stage source SOURCE --pace 2ms
	ends SOURCE SINK
	touch over # who died last comes back when all have gone
	ends "${names[@]}"
	[ "$(codes_of "$2" "${names[@]}")" -eq 6 ]
	[ "$(awk '$3 == 77 || $3 == 79 { print $4, $7 }' rows | sort -u)" = "2 3" ]
	awk '{ print $3 }' rows | sort -n | cmp - <(seq 0 299)
	[ -z "$(awk '$3 != 77 && $3 != 79 && $4 != 0' rows)" ]
	nothing_left
}

# bats test_tags=smoke
@test "two poison frames in one window: exactly three deaths each, neighbours unharmed" {
	poison working 137
}

# bats test_tags=long
@test "two frames that crash each worker at once: exactly three deaths each, neighbours unharmed" {
	poison abort 134
}

# bats test_tags=smoke
@test "SIGSTOP of a worker for 5 s, SIGCONT: not waited for, then it gets work again" {
	injected "SIGSTOP of one of three infer for 5 s"
	local mark
	frames=1000000
	with stage sink SINK
	for i in 1 2 3; do with stage infer "I$i"; done
	with stage preprocess PREPROCESS
	with stage capture CAPTURE --rate 220
	wait_until 40 have 100
	kill -STOP "$I1"
	mark=$(rows x.db)
	sleep 5
	wait_until 40 log_says PREPROCESS 'silent: taken for dead'
	wait_until 40 have $((mark + 100))
	mark=$(sql x.db "select count(*) from results where worker like '%/$I1'")
	kill -CONT "$I1"
	more_of_it() { [ "$(sql x.db "select count(*) from results where worker like '%/$I1'")" -gt $((mark + 10)) ]; }
	wait_until 40 more_of_it
	kill -TERM "$CAPTURE"
	ends CAPTURE PREPROCESS I1 I2 I3 SINK
	frames=$(rows x.db)
	holds
}

# bats test_tags=smoke
@test "SIGSTOP of a worker across the end of the stream: all end without it, and it ends by itself" {
	injected "SIGSTOP of one of three infer until all others have ended"
	frames=500
	with stage sink SINK "${quick[@]}"
	with stage infer I1 "${quick[@]}" --orphan-timeout 5s
	with stage infer I2 "${quick[@]}"
	with stage preprocess PREPROCESS "${quick[@]}"
	with stage capture CAPTURE "${quick[@]}" --rate 100
	wait_until 40 have 100
	kill -STOP "$I1"
	ends CAPTURE PREPROCESS I2 SINK
	kill -CONT "$I1"
	wait_until 40 ended "$I1"
	wait "$I1" || true
	holds
}

both_there() { [ "$(grep -c 'upstream relay .* is there' log/SINK)" -eq 2 ]; }

@test "a worker killed at the end comes back when all before it have gone: it ends at once, and so does the line" {
	injected "SIGKILL of one of two workers that have nothing left to do, then the end; it is started again"
	local i
	frames=20
	mkfifo stream
	with stage store SINK
	with stage relay W1
	with stage relay W2
	stage SOURCE sh -c 'exec "$@" <stream' sh capture - --name cam --out "$tensors"
	exec 7>stream
	# Who comes to the sink after the loss would be taken for the one that takes the lost one's place.
	wait_until 40 both_there
	for ((i = 0; i < frames; i++)); do printf 'P5 2 2 255\nabcd' >&7; done
	wait_until 40 have_lines $frames
	kill9 "$W2"
	exec 7>&-
	ends SOURCE W1
	with stage relay W2
	ends W2 SINK
	awk '{ print $3 }' rows | sort -n | cmp - <(seq 0 $((frames - 1)))
	nothing_left
}

kib_of() { awk '/VmRSS/ { print $2 }' "/proc/$1/status"; }

# bats test_tags=long
@test "SIGSTOP of the sink for 10 s: no storm, memory stays bounded" {
	injected "SIGSTOP of sink for 10 s"
	local name kib again
	start_line
	wait_until 40 have 300
	kill -STOP "$SINK"
	sleep 10
	# Each keeps 64 MiB of what is not acknowledged, then there is no credit for more.
	for name in CAPTURE PREPROCESS I1; do
		kib=$(kib_of "${!name}")
		echo "$name: $kib KiB"
		sanitized || [ "$kib" -lt $(((64 + 40) * 1024)) ]
	done
	kill -CONT "$SINK"
	ends CAPTURE PREPROCESS I1 I2 I3 SINK
	# Three infer, each with at most sink's window of 64 on its way: once more when sink is back, and what was under way
	# to a sink that was slow to wake perhaps once again.
	again=$(sum_of 'sent again')
	echo "$again frames sent again"
	[ "$again" -le $((2 * 3 * 64)) ]
	holds
}

# bats test_tags=long
@test "a worker that hangs over a frame is not waited for, and ends when the stream has ended without it" {
	injected "one worker of two hangs over one frame, --work-timeout 500ms"
	frames=300
	with stage source SOURCE "${quick[@]}" --work-timeout 500ms
	with stage store SINK "${quick[@]}"
	with stage relay W1 "${quick[@]}" --kill-at 77 --kill-when hang
	wait_until 40 have_lines 77
	with stage relay W2 "${quick[@]}" --work 2ms
	ends SOURCE SINK W2
	ends_with 75 W1
	[ "$(awk '$3 == 77 { print $7 }' rows)" -eq 1 ]
	holds_rows
}

# bats test_tags=long
@test "a frame over which each worker hangs becomes one row that says so, the others are unharmed" {
	injected "a frame over which every worker hangs, --work-timeout 1s --max-tries 2"
	local i
	frames=200
	with stage source SOURCE "${quick[@]}" --work-timeout 1s --max-tries 2
	with stage store SINK "${quick[@]}"
	for i in 1 2 3; do with stage relay "W$i" "${quick[@]}" --work 1ms --kill-at 77 --kill-when hang; done
	ends SOURCE SINK
	for i in W1 W2 W3; do wait_until 20 ended "${!i}"; done
	[ "$(awk '$3 == 77 { print $4, $7 }' rows)" = "2 2" ]
	[ -z "$(awk '$3 != 77 && $4 != 0' rows)" ]
	awk '{ print $3 }' rows | sort -n | cmp - <(seq 0 199)
	nothing_left
}

# bats test_tags=long
@test "one worker ten times slower: the whole takes at most 1.15 of the ideal time" {
	injected "of three workers one takes 200 ms for a frame, two take 20 ms"
	local began ms ideal
	frames=2000
	with stage store SINK
	with stage relay W1 --work 20ms --window 4
	with stage relay W2 --work 20ms --window 4
	with stage relay W3 --work 200ms --window 4
	began=${EPOCHREALTIME/./}
	with stage source SOURCE
	ends SOURCE SINK W1 W2 W3
	ms=$(((${EPOCHREALTIME/./} - began) / 1000)) ideal=$((frames * 1000 / 105)) # 2/20 + 1/200 frames a ms
	echo "$ms ms, ideal $ideal ms"
	[ "$ms" -le $((ideal * 115 / 100)) ]
	injected "$(cat injected): $((ms * 100 / ideal)) % of the ideal time"
	holds_rows
}

# bats test_tags=long
@test "a minute of legal work over each frame: nobody is declared dead" {
	injected "60 s of work for each of four frames, two workers"
	frames=4
	with stage store SINK
	with stage relay W1 --work 60s --window 1
	with stage relay W2 --work 60s --window 1
	with stage source SOURCE
	PATIENCE=200 ends SOURCE SINK W1 W2
	[ "$(sum_of 'sent again')" -eq 0 ]
	[ "$(sum_of 'silent peers')" -eq 0 ]
	[ -z "$(awk '$7 != 0' rows)" ]
	holds_rows
}

# through_cuts BYTES…: 6 MB frames go through a proxy that cuts one connection after the other at these bytes.
through_cuts() {
	local port other
	port=$(free_port 2)
	other=$((port + 1))
	start PROXY "$PYTHON" "$TOP/tests/faults/cut.py" "$port" "$other" "$@" >cuts 3>&-
	tensors=tcp://127.0.0.1:$other
	with stage source SOURCE -b 6000000
	tensors=tcp://127.0.0.1:$port
	with stage store SINK
	with stage relay W1
	ends SOURCE SINK W1
	kill "$PROXY"
	wait "$PROXY"
	echo "$(cat cuts) of $# cuts"
	[ "$(cat cuts)" -eq $# ]
	holds_rows
}

# bats test_tags=long
@test "a connection is cut in the middle of a 6 MB frame: no part of it is taken for a frame" {
	injected "12 connections cut, 1 byte to 20 MB after they began"
	frames=20 # more than can pass between the cuts
	through_cuts 1 11 64 150 500 700 65536 3000000 5999999 6000700 9000000 20000000
}

# bats test_tags=long
@test "a connection is cut at every place of handshake, header and frame" {
	local at=() i
	for ((i = 0; i < 60; i++)); do at+=($((1 + i * 13))); done
	for ((i = 0; i < 40; i++)); do at+=($((1 + RANDOM * 32768 % 13000000 + RANDOM))); done
	injected "100 connections cut: every 13th byte to 780, and 40 at random up to 13 MB, seed $SEED"
	frames=60
	PATIENCE=120 through_cuts "${at[@]}"
}

# bats test_tags=long
@test "a connection that breaks again and again while a frame is worked on: nobody is blamed" {
	injected "five cuts, every 1.2 s, during 2 s of work over each of three frames"
	local port other i
	frames=3
	port=$(free_port 2)
	other=$((port + 1))
	tensors=tcp://127.0.0.1:$other
	with stage source SOURCE
	tensors=tcp://127.0.0.1:$port
	with stage store SINK
	with stage relay W1 --work 2s
	for i in 1 2 3 4 5; do timeout -s KILL 1.2 "$PYTHON" "$TOP/tests/faults/cut.py" "$port" "$other" 3>&- || true; done
	start PROXY "$PYTHON" "$TOP/tests/faults/cut.py" "$port" "$other" 3>&-
	ends SOURCE SINK W1
	kill "$PROXY"
	wait "$PROXY" || true
	[ "$(sum_of 'sent again')" -ge 3 ]
	[ -z "$(awk '$7 != 0' rows)" ]
	holds_rows
}

# bats test_tags=long
@test "1000 receivers that come, take frames and vanish leave neither descriptors nor memory behind" {
	need_python zmq msgpack
	injected "1000 sessions that end without a word"
	local before after few
	frames=50
	with stage source SOURCE
	size() { find "/proc/$SOURCE/fd" | wc -l; kib_of "$SOURCE"; }
	"$PYTHON" "$TOP/tests/reconnects.py" "$tensors" 50
	mapfile -t before < <(size)
	"$PYTHON" "$TOP/tests/reconnects.py" "$tensors" 1000
	few() { [ "$(find "/proc/$SOURCE/fd" | wc -l)" -le $((before[0] + 2)) ]; }
	wait_until 20 few
	mapfile -t after < <(size)
	echo "descriptors ${before[0]} -> ${after[0]}, KiB ${before[1]} -> ${after[1]}"
	sanitized || [ "${after[1]}" -lt $((before[1] + 2048)) ]
	with stage store SINK
	with stage relay W1
	ends SOURCE SINK W1
	holds_rows
}

# bats test_tags=long
@test "every message is delivered twice: no row is stored twice" {
	need_python zmq
	injected "every message between preprocess and infer, and infer and sink, both ways, delivered twice"
	local inner=ipc://$BATS_TEST_TMPDIR/inner outer=ipc://$BATS_TEST_TMPDIR/outer
	frames=600
	start P1 "$PYTHON" "$TOP/tests/faults/twice.py" "$inner" "$tensors" >twice1 3>&-
	start P2 "$PYTHON" "$TOP/tests/faults/twice.py" "$outer" "$scores" >twice2 3>&-
	with stage sink SINK
	with stage preprocess PREPROCESS
	tensors=$inner scores=$outer
	with stage infer I1
	with stage infer I2
	with stage capture CAPTURE
	ends CAPTURE PREPROCESS I1 I2 SINK
	kill "$P1" "$P2"
	wait "$P1" "$P2"
	echo "$(cat twice1) and $(cat twice2) messages doubled"
	[ "$(cat twice1)" -gt 600 ]
	[ "$(cat twice2)" -gt 600 ]
	rm -f "${inner#ipc://}" "${outer#ipc://}" # the proxies'
	holds
}

# bats test_tags=long
@test "two captures deliver the same pictures: each is one row" {
	injected "every picture from two sources at once"
	frames=600
	(
		set -o pipefail
		{
			capture "$PICTURES" --loop 0 --count 600 &
			capture "$PICTURES" --loop 0 --count 600 &
			wait
		} | preprocess -vv 2>log/P | infer -m "$MODEL" -vv 2>log/I | sink x.db -vv 2>log/S
	) 3>&-
	# Most meet in the store, some on the way there.
	[ "$(sum_of duplicates)" -ge 300 ]
	holds
}

# bats test_tags=long
@test "scaling from one worker to eight and back under load: SIGTERM sends nothing again that was begun" {
	injected "1 worker, then 8, then SIGTERM to 7 of them, to 3 after SIGSTOP for 0.1 s"
	local i
	frames=100000 # more than there is time for
	start SOURCE env --default-signal=INT "$stages" source --out "$tensors" -n "$frames" --pace 1ms -vv 2>log/SOURCE 3>&-
	with stage store SINK
	with stage relay W1 --window 8 --work 5ms --begun began
	wait_until 40 have_lines 50
	for i in 2 3 4 5 6 7 8; do with stage relay "W$i" --window 8 --work 5ms --begun began; done
	all_work() { [ "$(awk '{ print $6 }' rows | sort -u | wc -l)" -eq 8 ]; }
	wait_until 40 all_work
	# Some stand still for a moment before they hear of it, so that frames are on their way to them then.
	for i in 2 3 4 5 6 7 8; do
		i=W$i
		if [ $((${i#W} % 2)) -eq 1 ]; then
			kill -STOP "${!i}"
			sleep 0.1
			kill -TERM "${!i}"
			kill -CONT "${!i}"
		else
			kill -TERM "${!i}"
		fi
		ends "$i"
	done
	kill -INT "$SOURCE"
	ends SOURCE SINK W1
	frames=$(wc -l <rows)
	sort -n began | cmp - <(seq 0 $((frames - 1)))
	[ -z "$(awk '$7 != 0' rows)" ]
	holds_rows
}

# bats test_tags=smoke
@test "the owner of the lowest frame dies, windows of 8: no deadlock, and rows read in order" {
	injected "one SIGKILL of the worker that has the oldest frame"
	local deadly
	frames=100000 # more than there is time for
	mapfile -t deadly < <(seq 300 4000 | sed 'i--kill-at') # whichever of them it gets first
	with stage store SINK
	start SOURCE env --default-signal=INT "$stages" source --out "$tensors" -n "$frames" --pace 1ms -vv 2>log/SOURCE 3>&-
	with stage relay W1 --window 8 --work 2ms "${deadly[@]}"
	with stage relay W2 --window 8 --work 2ms
	with stage relay W3 --window 8 --work 2ms
	ends_with 137 W1
	with stage relay W1 --window 8 --work 2ms # for one lost at the end the line waits some seconds
	works() { grep -q "/$W1 " rows; }
	wait_until 40 works
	kill -INT "$SOURCE"
	ends SOURCE SINK W1 W2 W3
	frames=$(wc -l <rows)
	holds_rows
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

# bats test_tags=long
@test "all 24 start orders of four stages" {
	injected "24 orders"
	local order jobs=() job
	for order in {a,b,c,d}{a,b,c,d}{a,b,c,d}{a,b,c,d}; do
		[[ $order == *a* && $order == *b* && $order == *c* && $order == *d* ]] || continue
		one_order "$order" &
		jobs+=($!)
		[ $((${#jobs[@]} % 6)) -ne 0 ] || wait "${jobs[@]}"
	done
	[ "${#jobs[@]}" -eq 24 ]
	for job in "${jobs[@]}"; do wait "$job"; done
	nothing_left
}

# bats test_tags=smoke
@test "garbage on a socket: raw bytes, wrong part counts, changed headers, a future version" {
	need_python zmq msgpack
	injected "tests/garbage.py: 8 kinds, some 600 messages"
	frames=100000
	start SOURCE env --default-signal=INT "$stages" source --out "$tensors" -n 100000 --pace 1ms -vv 2>log/SOURCE 3>&-
	with stage store SINK
	with stage relay W1
	wait_until 20 have_lines 50
	"$PYTHON" "$TOP/tests/garbage.py" "$tensors"
	kill -INT "$SOURCE"
	ends SOURCE SINK W1
	log_says SOURCE 'ignored from now on'
	[ "$(sum_of 'malformed messages')" -gt 16 ]
	frames=$(wc -l <rows)
	holds_rows
}

@test "a second process on the same address is told that it is in use, and the first goes on" {
	injected "one more process that binds the address of a source, and one the address of a sink"
	frames=50
	with stage source SOURCE
	with stage store SINK
	wait_until 10 test -S "${tensors#ipc://}"
	wait_until 10 test -S "${scores#ipc://}"
	run --separate-stderr "$stages" source --out "$tensors" -n 5
	[ "$status" -eq 75 ]
	[[ "$stderr" == *"in use"* ]]
	run --separate-stderr "$stages" sink --in "bind:$scores" other
	[ "$status" -eq 75 ]
	[[ "$stderr" == *"in use"* ]]
	with stage relay W1
	ends SOURCE SINK W1
	holds_rows
}
