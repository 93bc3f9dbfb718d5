#!/usr/bin/env bats
# Live sources: the spool between a camera that does not wait and a line that does.
# shellcheck disable=SC2154,SC2153  # start sets variables by name

load helper
load faults/line

setup() {
	line_open
	relay=$BUILD/test/common_stages
	pictures=ipc://$BATS_TEST_TMPDIR/pictures scores=ipc://$BATS_TEST_TMPDIR/scores
}

teardown() {
	line_close
}

camera() { "$PYTHON" "$TOP/tests/camera.py" "$@"; }
# start_capture STREAM [OPTION…]
start_capture() {
	# shellcheck disable=SC2016
	start CAPTURE bash -c 'exec <"$1" && exec capture - --name cam --spool spool --out "$2" "${@:3}"' capture \
		"$1" "$pictures" "${@:2}" 7>&-
}
start_relay() { start RELAY "$relay" relay --in "$pictures" --out "connect:$scores" "$@"; }
start_sink() { start SINK sink --in "bind:$scores" x.db --quiet; }
have() { [ "$(rows x.db)" -ge "$1" ]; }
of_runs() { # RUNS ROWS: rows of so many runs, so many
	have "$2" && [ "$(sql x.db 'select count(distinct run) from results')" -ge "$1" ]
}
ended() { ! kill -0 "$1" 2>/dev/null; }
ends() { # NAME…: each ends by itself, well
	local name code
	for name; do
		code=0
		wait_until 60 ended "${!name}" || return 1
		wait "${!name}" || code=$?
		[ "$code" -eq 0 ] || { echo "$name ended with $code"; return 1; }
	done
}
kill9() {
	kill -9 "$1"
	wait "$1" 2>/dev/null || true
}
in_spool() { [ "$(du -cb spool/*.spool | tail -n 1 | cut -f1)" -ge "$1" ]; }

# Every seq of every run is a row or in a drop, none in both, and the runs have ended.
balanced() {
	run -0 sink --audit x.db
	[[ $output != *MISSING* ]]
	[[ $output != *"not seen"* ]]
	[ "$(sql x.db 'select count(*) from results r join drops d using (source, run)
		where r.seq between d.first and d.last')" -eq 0 ]
	[ "$(sql x.db 'select sum(emitted) - sum(dropped) from runs')" -eq "$(rows x.db)" ]
	[ "$(sql x.db 'select coalesce(sum(last - first + 1), 0) from drops')" -eq "$(sql x.db 'select sum(dropped) from runs')" ]
}

@test "kill -9 of capture ten times while the camera goes on: every picture is a row or a counted drop" {
	injected "10 SIGKILL to capture"
	mkfifo stream
	exec 7<>stream # so that the camera never finds it closed
	start CAMERA camera 0 0.005 20000 >stream 7>&-
	start_sink
	start_relay
	local n
	for n in {1..10}; do
		start_capture stream
		wait_until 60 of_runs "$n" $((n * 20))
		kill9 "$CAPTURE"
	done
	start_capture stream
	wait_until 60 of_runs 11 300
	kill -TERM "$CAPTURE"
	ends CAPTURE RELAY SINK
	balanced
	[ "$(sql x.db 'select count(*) from runs where ended')" -eq 11 ]
	[ "$(sql x.db 'select count(distinct run) from results')" -eq 11 ]
	# A picture that was cut by a kill is an error row of the next run, no more than one for each.
	[ "$(sql x.db "select count(*) from results where reason like '%broken%'")" -le 10 ]
	# What is done leaves the spool: only the number of the last run stays.
	[ "$(find spool -type f | wc -l)" -eq 1 ]
	[ "$(du -cb spool/*.spool | tail -n 1 | cut -f1)" -eq 512 ]
}

numbers() { sql x.db "select json_extract(meta, '\$.width') - 1000 from results order by 1"; }
# What 200 pictures become of which the spool holds forty, sixteen of them on their way, before anybody is downstream: overflow WORD.
overflow() {
	camera 200 0 100000 >stream.pgm
	start_capture stream.pgm --spool-size 4M --on-full "$1" 2>err
}
all_read() {
	[ "$(awk '/^pos/ { print $2 }' "/proc/$CAPTURE/fdinfo/0")" -eq "$(stat -c %s stream.pgm)" ]
}
finish_line() {
	start_sink
	start_relay
}

@test "spool full, drop-oldest: the newest are kept, and the lost ones counted by range and reason" {
	injected "a camera faster than the line, --on-full drop-oldest"
	overflow drop-oldest
	wait_until 30 grep -q 'full (4 MB): the oldest pictures are dropped' err
	wait_until 30 all_read
	finish_line
	ends CAPTURE RELAY SINK
	balanced
	[ "$(numbers | tail -n 1)" = 199 ]
	[ "$(rows x.db)" -ge 30 ]
	[ "$(sql x.db 'select sum(last - first + 1) from drops')" -ge 100 ]
	[ "$(sql x.db "select count(*) from drops where reason <> 'spool full'")" -eq 0 ]
	# The line takes a handful at once; what was dropped behind it is few ranges, not one for each picture.
	[ "$(sql x.db 'select count(*) from drops')" -le 12 ]
	[ "$(grep -c 'are dropped' err)" -eq 1 ]
}

@test "spool full after a kill: what was stored and not acknowledged is dropped, and is a row all the same" {
	injected "SIGKILL of capture before it hears of some forty rows, then a camera faster than the line"
	camera 60 0 20000 >first.pgm
	camera 600 0 20000 >stream.pgm
	start_sink
	start_relay --work 100ms --status "$pictures.look"
	start_capture first.pgm --spool-size 4M
	taken() { ping --json --timeout 10s "$pictures.look" | jq -e '.in >= 50'; }
	wait_until 60 taken
	kill -STOP "$CAPTURE" # the relay goes on with what it has
	wait_until 60 have 45
	kill9 "$CAPTURE"
	kill9 "$RELAY"
	start_capture stream.pgm --spool-size 4M --on-full drop-oldest 2>err
	wait_until 60 grep -q 'full (4 MB): the oldest pictures are dropped' err
	wait_until 60 all_read
	start_relay
	ends CAPTURE RELAY SINK
	balanced
	[ "$(sql x.db 'select count(*) from drops where run = (select min(run) from runs)')" -ge 1 ]
	[ "$(sql x.db 'select count(*) from results where run = (select min(run) from runs)')" -ge 45 ]
}

@test "spool full, drop-newest: what came first is kept" {
	injected "the same, drop-newest"
	overflow drop-newest
	wait_until 30 grep -q 'full (4 MB): new pictures are dropped' err
	wait_until 30 all_read
	finish_line
	ends CAPTURE RELAY SINK
	balanced
	[ "$(numbers | head -n 1)" = 0 ]
	[ "$(sql x.db "select count(*) from drops where reason = 'spool full'")" -ge 1 ]
}

@test "spool full, wait: the camera waits, nothing is lost" {
	injected "the same, wait"
	overflow wait
	wait_until 30 grep -q 'full (4 MB): nothing is read until there is room' err
	finish_line
	ends CAPTURE RELAY SINK
	balanced
	[ "$(rows x.db)" -eq 200 ]
	numbers | cmp - <(seq 0 199)
}

@test "spool full, stop: capture finishes what it has and ends with 75" {
	injected "the same, stop"
	local code=0
	overflow stop
	wait_until 30 grep -q 'full (4 MB): capture stops' err
	finish_line
	ends RELAY SINK
	wait "$CAPTURE" || code=$?
	[ "$code" -eq 75 ]
	grep -q 'error: the spool is full (4 MB); --on-full stop' err
	balanced
	[ "$(sql x.db 'select sum(last - first + 1) from drops')" -eq 1 ]
}

@test "the spool's disk is full: as a full spool, said once, and the process lives" {
	injected "ENOSPC at the spool"
	mkdir spool
	mount -t tmpfs -o size=5M none spool 2>/dev/null || skip "a small disk cannot be mounted here"
	camera 200 0 100000 >stream.pgm
	start_capture stream.pgm 2>err
	wait_until 30 grep -q 'cannot write to the spool: No space left on device: the oldest' err
	wait_until 30 all_read
	finish_line
	local code=0
	ends CAPTURE RELAY SINK && balanced && [ "$(numbers | tail -n 1)" = 199 ] &&
		[ "$(sql x.db "select count(*) from drops where reason like '%disk is full%'")" -ge 1 ] || code=1
	umount spool
	[ "$code" -eq 0 ]
	[ "$(grep -c 'No space' err)" -eq 1 ]
}

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

@test "a stalled line stops neither the reading nor the memory's rest, and loses nothing" {
	sanitized && skip "memory under a sanitizer"
	mkfifo stream
	start_sink
	start_relay --work 100s # takes one and sits on it
	start_capture stream
	start CAMERA camera 400 0.005 300000 >stream
	wait_until 30 in_spool 30000000
	local before after
	before=$(rss "$CAPTURE")
	wait_until 60 ended "$CAMERA"
	wait_until 30 in_spool 110000000
	after=$(rss "$CAPTURE")
	echo "$before kB at 30 MB, $after kB at 120 MB"
	[ $((after - before)) -lt 8192 ]
	kill9 "$RELAY"
	start_relay
	ends CAPTURE RELAY SINK
	balanced
	[ "$(rows x.db)" -eq 400 ]
	numbers | cmp - <(seq 0 399)
}

@test "a picture that was cut when the power went is counted, and the cut is told" {
	camera 20 0 30000 >stream.pgm
	start_capture stream.pgm --on-full wait
	wait_until 30 in_spool "$(stat -c %s stream.pgm)" # all of them: each takes a little more there
	kill9 "$CAPTURE"
	local last
	last=$(find spool -name '*.spool' | sort | tail -n 1)
	truncate -s -20000 "$last"
	"$BUILD/test/capture_spool" --reboot spool
	start_capture stream.pgm -v 2>err
	finish_line
	ends CAPTURE RELAY SINK
	balanced
	grep -q 'ended while a picture was put into the spool: [0-9]* bytes are cut off, the picture counts as dropped' err
	grep -q 'the machine stopped while run [0-9]* of cam was being taken' err
	[ "$(rows x.db)" -eq 39 ]
	[ "$(sql x.db "select first || '-' || last || ' ' || reason from drops")" = "19-19 lost before it was whole in the spool" ]
}

@test "a file of the spool that damage made terabytes large does not hold up the start" {
	camera 20 0 30000 >stream.pgm
	start_capture stream.pgm --on-full wait
	wait_until 30 in_spool "$(stat -c %s stream.pgm)" # all of them: each takes a little more there
	kill9 "$CAPTURE"
	truncate -s 3T "$(find spool -name '*.spool' | sort | tail -n 1)"
	start_capture stream.pgm 2>err
	finish_line
	ends CAPTURE RELAY SINK
	balanced
	[ "$(rows x.db)" -eq 40 ]
	[ "$(sql x.db "select first || '-' || last || ' ' || reason from drops")" = "20-20 lost before it was whole in the spool" ]
}

@test "a picture larger than the whole spool is counted, the others go on" {
	{
		camera 2 0 1000
		camera 1 0 3000000
		camera 2 0 1000
	} >stream.pgm
	start_capture stream.pgm --spool-size 1M
	finish_line
	ends CAPTURE RELAY SINK
	balanced
	[ "$(sql x.db "select first || '-' || last || ' ' || reason from drops")" = "2-2 larger than the whole spool" ]
	[ "$(rows x.db)" -eq 4 ]
}

@test "Ctrl-C: what the spool holds still goes, nothing stays" {
	mkfifo stream
	exec 7<>stream
	start CAMERA camera 0 0.002 20000 >stream 7>&-
	start_sink
	start_relay --work 5ms
	start_capture stream
	wait_until 30 have 100
	kill -TERM "$CAPTURE"
	ends CAPTURE RELAY SINK
	balanced
	[ "$(sql x.db 'select sum(emitted) from runs')" -eq "$(rows x.db)" ]
}

newer_than() { [[ $(find spool -name '*.spool' | sort | tail -n 1) > $1 ]]; }

@test "with a spool capture waits for the line as long as it takes, unless told" {
	camera 3 0 1000 >stream.pgm
	run -75 timeout 100 capture - --spool spool --out "$pictures" --orphan-timeout 1s --name cam <stream.pgm
	run -0 capture --help
	[[ $(tr -s ' \n' ' ' <<<"$output") == *"0: never, as with --spool; else 5m unless given"* ]]
	# What it had is still there.
	start_capture stream.pgm
	finish_line
	ends CAPTURE RELAY SINK
	balanced
	[ "$(rows x.db)" -eq 6 ]
}

@test "one spool, one process; runs go on counting; options that do nothing are refused in words" {
	mkfifo stream
	exec 7<>stream
	start_capture stream
	wait_until 30 in_spool 512
	run -75 --separate-stderr capture - --spool spool --out "$scores" <stream 7>&-
	[[ $stderr == *"--spool: 'spool' is in use by another capture"* ]]
	kill9 "$CAPTURE"
	find spool -name '*.spool' >before
	start_capture stream
	wait_until 30 newer_than "$(cat before)"
	kill9 "$CAPTURE"
	exec 7>&-
	mkdir in
	run -64 --separate-stderr capture --watch in --spool spool
	[[ $stderr == *"--spool: what comes from a folder is safe where it lies"* ]]
	run -64 --separate-stderr capture in --spool spool
	[[ $stderr == *"--spool: what comes from files is safe where it lies"* ]]
	run -64 --separate-stderr capture --watch in --on-full wait
	[[ $stderr == *"--on-full goes with --spool"* ]]
	run -64 --separate-stderr capture - --spool-size 2G <before
	[[ $stderr == *"--spool-size goes with --spool"* ]]
	run -64 --separate-stderr capture - --spool spool --on-full panic <before
	[[ $stderr == *"--on-full: 'panic' is none of drop-oldest, drop-newest, wait, stop"* ]]
	run -64 --separate-stderr capture - --spool spool --run 7 <before
	[[ $stderr == *"--run: with --spool each start is a new run"* ]]
	run -64 --separate-stderr capture - --spool spool --spool-size 2X <before
	[[ $stderr == *"--spool-size: '2X' is not a size"* ]]
	run -73 --separate-stderr capture - --spool no/such/folder <before
	[[ $stderr == *"--spool: cannot make folder 'no/such/folder'"* ]]
}
