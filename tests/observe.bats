# Who only looks: ping asks, tap sees what passes, and the line does not notice.
load helper

stages=$BUILD/test/common_stages

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	in=ipc://$BATS_TEST_TMPDIR/in out=ipc://$BATS_TEST_TMPDIR/out look=ipc://$BATS_TEST_TMPDIR/status
	rows=$BATS_TEST_TMPDIR/rows
	: >"$rows"
}

teardown() {
	end_started
}

start_source() { start SOURCE "$stages" source --out "$in" "$@"; }
start_relay() { start RELAY "$stages" relay --in "$in" --out "connect:$out" --status "$look" "$@"; }
start_sink() { start SINK "$stages" sink --in "bind:$out" "$rows" "$@"; }
have() { [ "$(wc -l <"$rows")" -ge "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }
ends() { # NAME: by itself, with 0
	wait_until 30 ended "${!1}"
	wait "${!1}"
}
asked() { # URL JQ-CONDITION: what the stage there says of itself is so
	ping --json --timeout 10s "$1" >asked.json
	jq -e "$2" asked.json >/dev/null || { cat asked.json; return 1; }
}

@test "a stage answers at every address that it has bound, while it computes" {
	start_source -n 3
	start_relay --work 60s
	start_sink
	wait_until 20 asked "$look" '.state == "busy" and .busy_ms > 300'
	asked "$look" '.stage == "relay" and .queued == 2 and .in == 3 and .out == 0 and .up == 1 and .down == 1 and .healthy'
	asked "$in" '.stage == "source" and .state == "draining" and .unacked == 3 and .down == 1 and .busy_ms == 0'
	asked "$out" '.stage == "sink" and .state == "idle" and .up == 1'
	run -0 --separate-stderr ping --timeout 10s "$look"
	[[ $output =~ ^relay\ .*/$RELAY:\ busy,\ busy\ for\ [0-9.]+\ s,\ .*,\ 2\ queued,\ 0\ unacked,\ 3\ in,\ 0\ out, ]]
	[ "${#lines[@]}" -eq 1 ]
}

@test "ping's exit status tells a supervisor what is wrong" {
	run -69 --separate-stderr ping "$in"
	[[ $stderr == *"nobody is at '$in'"* ]]
	run -69 --separate-stderr ping --json "$in"
	jq -e '.healthy == false and (.why | length > 0)' <<<"$output"
	start_source -n 3
	wait_until 20 ping --timeout 5s "$in"
	run -2 --separate-stderr ping --timeout 10s --max-alone 0 "$in"
	[[ $stderr == *"alone for longer"* ]]
	start_relay --work 60s
	start_sink
	wait_until 20 asked "$look" '.busy_ms > 100'
	run -1 --separate-stderr ping --timeout 10s --max-busy 100ms "$look"
	run -0 ping --timeout 10s --max-busy 1h --max-alone 1h "$look"
	kill -STOP "$RELAY"
	run -69 --separate-stderr ping --timeout 200ms "$look"
	[[ $stderr == *"has not answered within 0.2 s"* ]]
	kill -CONT "$RELAY"
	run -0 ping --timeout 20s "$look"
	run -64 ping
	run -64 ping 'http://x'
	run -64 ping "bind:$in"
}

@test "an address for observers takes nobody else, and is bound, never connected" {
	start RELAY "$stages" relay --in "$in" --out "connect:$out" --status "$look"
	wait_until 20 ping --timeout 5s "$look"
	run -65 --separate-stderr timeout 20 "$stages" source -n 1 --out "connect:$look"
	[[ $stderr == *"for observers alone"* ]]
	run -64 --separate-stderr "$stages" source -n 1 --out "$in" --status "connect:$look"
	[[ $stderr == *"--status"* ]]
	run -73 --separate-stderr "$stages" source -n 1 --out "$in" --status "ipc:///nowhere/at/all"
}

@test "a hundred pings, some of them killed, leave no trace in the line" {
	start_source -n 600 --pace 2ms 2>source.err
	start_relay 2>relay.err
	start_sink 2>sink.err
	wait_until 20 have 1
	for i in $(seq 25); do
		for url in "$in" "$out" "$look"; do ping --timeout 10s "$url" >/dev/null; done
		ping --timeout 10s "$in" >/dev/null &
		kill -9 $! 2>/dev/null || true
	done
	ends SOURCE
	ends RELAY
	ends SINK
	[ "$(cut -d' ' -f3 rows | sort -n | uniq | wc -l)" -eq 600 ]
	[ ! -s source.err ] && [ ! -s relay.err ] && [ ! -s sink.err ]
}
