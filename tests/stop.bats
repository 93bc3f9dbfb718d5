# Asked to stop: what is under way is finished, within a limit; nothing is lost either way.
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

start_source() { start SOURCE "$stages" source --out "$in" "$@"; }
start_relay() { start "$1" "$stages" relay --in "$in" --out "connect:$out" "${@:2}"; }
start_sink() { start SINK "$stages" sink --in "bind:$out" "$rows" "$@"; }
have() { [ "$(wc -l <"$rows")" -ge "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }
ends() { # NAME CODE: by itself, with this code
	local code=0
	wait_until 30 ended "${!1}" || return 1
	wait "${!1}" || code=$?
	[ "$code" -eq "$2" ] || { echo "$1 ended with $code"; return 1; }
}
complete() { cut -d' ' -f3 rows | sort -n | cmp - <(seq 0 $(($1 - 1))); }

@test "SIGTERM drains: what a source has sent is stored, and it ends well" {
	start_source -n 100000
	start_relay RELAY --work 1ms
	start_sink
	wait_until 20 have 50
	kill -TERM "$SOURCE"
	ends SOURCE 0
	ends RELAY 0
	ends SINK 0
	complete "$(wc -l <rows)"
}

@test "a source that cannot drain in time gives up with 75; started again it sends the rest" {
	start_source -n 300 --drain-timeout 500ms 2>source.err
	start_relay RELAY
	start_sink --hold 30ms
	wait_until 20 have 10
	kill -STOP "$SINK"
	kill -TERM "$SOURCE"
	ends SOURCE 75
	grep -q 'not drained within 0.5 s: 0 frames received and [1-9][0-9]* sent are not acknowledged' source.err
	kill -CONT "$SINK"
	start_source -n 300
	ends SOURCE 0
	ends RELAY 0
	ends SINK 0
	complete 300
}

@test "a worker that hangs in its work ends in time all the same; another gets its frame" {
	start_source -n 50
	start_relay STUCK --work 100s --window 4 --drain-timeout 300ms --status "$in.look" 2>stuck.err
	start_sink
	busy() { ping --json --timeout 5s "$in.look" | jq -e '.busy_ms > 0 and .down == 1'; }
	wait_until 20 busy
	kill -TERM "$STUCK"
	ends STUCK 75
	grep -q 'not drained within 0.3 s: 1 frames received and 0 sent .* hangs' stuck.err
	start_relay RELAY
	ends SOURCE 0
	ends RELAY 0
	ends SINK 0
	complete 50
}

@test "a sink that hangs in its work ends in time; the next one stores what it has not" {
	start_source -n 60
	start_relay RELAY
	start_sink --hold 10s --drain-timeout 300ms
	busy() { ping --json --timeout 5s "$out" | jq -e '.busy_ms > 0'; }
	wait_until 20 busy
	kill -TERM "$SINK"
	ends SINK 75
	start_sink
	ends SOURCE 0
	ends RELAY 0
	ends SINK 0
	complete 60
}

@test "the second SIGTERM quits at once" {
	# Not so fast that it waits for room when it is asked: it would answer only when there is some.
	start_source -n 30000 --drain-timeout 0 --pace 100ms
	start_relay RELAY
	start_sink
	wait_until 20 have 3
	kill -STOP "$SINK" "$RELAY"
	kill -TERM "$SOURCE"
	draining() { ping --json --timeout 5s "$in" | jq -e '.state == "draining"'; }
	wait_until 20 draining
	sleep 0.3 # what comes sooner is the same request, by another way
	kill -0 "$SOURCE"
	kill -TERM "$SOURCE"
	ends SOURCE 143
	kill -CONT "$SINK" "$RELAY"
}

@test "SIGHUP is for reading things again: a stage that has nothing to read goes on" {
	start_source -n 100000 --pace 1ms
	start_relay RELAY
	start_sink
	wait_until 20 have 50
	kill -HUP "$SOURCE" "$RELAY" "$SINK"
	local had
	had=$(wc -l <rows)
	wait_until 20 have $((had + 50))
	kill -HUP "$SOURCE" "$RELAY" "$SINK"
	kill -TERM "$SOURCE"
	ends SOURCE 0
	ends RELAY 0
	ends SINK 0
}

@test "when the terminal is gone, a pipeline in it ends as if it had been asked to" {
	# A terminal, a shell that is its session's leader with a pipeline in front and one behind, and then no terminal.
	"$PYTHON" - "$stages" "$rows" <<-'END'
		import os, pty, signal, sys, time
		stages, rows = sys.argv[1:3]
		line = "%s source -n 100000 --pace 1ms | %s relay | %s sink %s" % (stages, stages, stages, rows)
		pid, terminal = pty.fork()
		if pid == 0:
		    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup may be before the tests
		    os.execvp("bash", ["bash", "-ic", "set -m; %s.2 & %s; exit $?" % (line, line)])
		grown = lambda path: os.path.exists(path) and os.path.getsize(path) > 1000
		deadline = time.time() + 150
		while not (grown(rows) and grown(rows + ".2")):
		    assert time.time() < deadline
		    time.sleep(0.02)
		os.close(terminal)
		def left():
		    found = []
		    for p in filter(str.isdigit, os.listdir("/proc")):
		        try:
		            if rows.encode() in open("/proc/%s/cmdline" % p, "rb").read() and int(p) != os.getpid():
		                found.append(p)
		        except OSError:
		            pass
		    return found
		while left():
		    assert time.time() < deadline + 150, left()
		    time.sleep(0.02)
	END
	complete "$(wc -l <rows)"
	[ "$(cat rows rows.2 | wc -l)" -lt 100000 ] # it was the hang-up, and not the end of the stream
}

@test "SIGHUP makes sink open its text outputs anew: rows go on in the new file, none is lost" {
	start CAPTURE "$BUILD/test/sink_feed" --count 1000000 --rate 500 >at
	wait_until 20 test -s at
	start SINK sink --quiet x.db x.jsonl x.csv --in "$(cat at)"
	some() { [ "$(wc -l <"$1")" -gt "$2" ]; }
	wait_until 20 some x.jsonl 200
	mv x.jsonl old.jsonl
	mv x.csv old.csv
	kill -HUP "$SINK"
	wait_until 20 some x.jsonl 200
	wait_until 20 some x.csv 200
	kill -HUP "$SINK" # nothing has moved
	wait_until 20 some x.jsonl $(($(wc -l <x.jsonl) + 200)) # it has heard that
	mkdir away
	mv x.jsonl away/
	mkdir x.jsonl # cannot be opened: rows stay where they went before
	kill -HUP "$SINK"
	wait_until 20 some away/x.jsonl $(($(wc -l <away/x.jsonl) + 200))
	kill -TERM "$CAPTURE"
	ends CAPTURE 0
	ends SINK 0
	local count
	count=$(rows x.db)
	[ "$(cat old.jsonl away/x.jsonl | jq -s 'map(.seq) | unique | length')" -eq "$count" ]
	[ "$(cat old.jsonl away/x.jsonl | wc -l)" -eq "$count" ]
	[ "$(head -n 1 x.csv)" = "$(head -n 1 old.csv)" ]
	[ "$(cat old.csv x.csv | wc -l)" -eq $((count + 2)) ]
	[ "$(sql x.db 'select max(seq) + 1 from results')" -eq "$count" ]
}
