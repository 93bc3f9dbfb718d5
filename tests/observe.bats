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
	wait_until 20 asked "$look" '.stage == "relay" and .queued == 2 and .in == 3 and .out == 0 and .up == 1 and .down == 1 and .healthy'
	wait_until 20 asked "$in" '.stage == "source" and .state == "draining" and .unacked == 3 and .down == 1 and .busy_ms == 0'
	wait_until 20 asked "$out" '.stage == "sink" and .state == "idle" and .up == 1'
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

@test "ping asks several, and its metrics name each once, whatever it calls itself" {
	need_python prometheus_client
	unshare --uts true 2>/dev/null || skip "no namespace of names here"
	start_source -n 3
	start RELAY unshare --uts "$PYTHON" -c 'import os, socket, sys; socket.sethostname("a\\b\"c"); os.execv(sys.argv[1], sys.argv[1:])' \
		"$stages" relay --work 60s --in "$in" --out "connect:$out" --status "$look"
	wait_until 20 asked "$look" '.busy_ms > 0 and .queued == 2'
	run -69 --separate-stderr ping --timeout 10s "$in" "$out" "$look"
	[ "${#lines[@]}" -eq 2 ]
	[[ ${lines[0]} == source* ]] && [[ ${lines[1]} == relay* ]]
	run -69 --separate-stderr ping --json --timeout 10s "$in" "$out" "$look"
	jq -es '[.[].healthy] == [true, false, true]' <<<"$output"
	run -1 --separate-stderr ping --timeout 10s --max-busy 0 "$in" "$look"
	run -69 --separate-stderr ping --prometheus --timeout 10s "$in" "$out" "$look" "$look"
	"$PYTHON" - "$output" "$in" "$out" "$look" <<-'END'
		import sys
		from prometheus_client.parser import text_string_to_metric_families
		families = {f.name: f for f in text_string_to_metric_families(sys.argv[1] + "\n")}
		queue = {s.labels["stage"]: s for s in families["andon_queue_length"].samples}
		assert len(families["andon_queue_length"].samples) == 2 and sorted(queue) == ["relay", "source"]
		assert queue["relay"].value == 2 and queue["relay"].labels["worker"].startswith('a\\b"c/'), queue
		up = [(s.labels["url"], s.value) for s in families["andon_up"].samples]
		assert up == list(zip(sys.argv[2:], [1, 0, 1])), up
	END
	run -64 --separate-stderr ping --json --prometheus "$in"
}

@test "an address for observers takes nobody else, and is bound, never connected" {
	start RELAY "$stages" relay --in "$in" --out "connect:$out" --status "$look"
	wait_until 20 ping --timeout 5s "$look"
	run -65 --separate-stderr timeout 100 "$stages" source -n 1 --out "connect:$look"
	[[ $stderr == *"for observers alone"* ]]
	run -64 --separate-stderr "$stages" source -n 1 --out "$in" --status "connect:$look"
	[[ $stderr == *"--status"* ]]
	run -73 --separate-stderr "$stages" source -n 1 --out "$in" --status "ipc:///nowhere/at/all"
}

# A line that runs until it is told to stop.
start_line() { # SOURCE-OPTION…
	start_source -n 1000000 "$@" 2>source.err
	start_relay 2>relay.err
	start_sink 2>sink.err
	wait_until 20 have 1
}
stop_line() {
	kill -TERM "$SOURCE"
	ends SOURCE
	ends RELAY
	ends SINK
}
# Every key once, and nobody said a word.
unharmed() {
	[ "$(cut -d' ' -f3 rows | sort -n | uniq | wc -l)" -eq "$(wc -l <rows)" ]
	[ "$(tail -n 1 rows | cut -d' ' -f3)" -eq "$(($(wc -l <rows) - 1))" ]
	cat source.err relay.err sink.err
	[ ! -s source.err ] && [ ! -s relay.err ] && [ ! -s sink.err ]
}

@test "a hundred pings, some of them killed, leave no trace in the line" {
	start_line --pace 2ms
	for i in $(seq 25); do
		for url in "$in" "$out" "$look"; do ping --timeout 10s "$url" >/dev/null; done
		ping --timeout 10s "$in" >/dev/null &
		kill -9 $! 2>/dev/null || true
	done
	stop_line
	unharmed
}

@test "tap prints a line a frame, where they go and where they come" {
	start_line --pace 1ms
	run -0 --separate-stderr timeout 100 tap -n 5 "$in"
	[ "${#lines[@]}" -eq 5 ]
	[[ ${lines[0]} =~ ^test/1/[0-9]+\ ok\ tensor\ 1x1x3x100\ u8 ]]
	run -0 --separate-stderr timeout 100 tap -n 5 "$out"
	[[ ${lines[4]} =~ ^test/1/[0-9]+\ ok\ tensor\ .*\;\ relay\ [0-9.]+\ ms ]]
	timeout 100 tap -n 20 --json "$look" >seen.json
	jq -es 'length == 20 and all(.[]; .source == "test" and .status == "ok" and .shape == [1, 1, 3, 100] and .bytes == 300
		and .meta.worker != null and .timings.relay >= 0) and ([.[].seq] | . == sort)' seen.json
	run -0 timeout 100 tap "$look" --source test -n 1
	run -124 timeout 1 tap "$look" --source nobody
	[ -z "$output" ]
	start TAP tap --timeout 20s "$look" >tapped
	wait_until 20 test -s tapped
	stop_line
	ends TAP # the stage's end is tap's
	unharmed
	run -69 --separate-stderr tap --timeout 100ms "$in"
	run -73 --separate-stderr tap --save /proc/nowhere "$in"
	[ "$stderr" = "tap: error: --save: cannot make folder '/proc/nowhere': No such file or directory" ]
}

@test "tap saves what others can read: pictures as they were, tensors as NumPy has them" {
	need_python numpy PIL
	mkdir pictures
	"$PYTHON" - <<-END
		import numpy, PIL.Image
		r = numpy.random.default_rng(1)
		for name, shape in ("grey", (5, 7)), ("colour", (5, 7, 3)), ("alpha", (5, 7, 4)):
		    PIL.Image.fromarray(r.integers(0, 256, shape, "u1")).save("pictures/%s.png" % name)
		PIL.Image.fromarray(r.integers(0, 65536, (5, 7)).astype("u2")).save("pictures/wide.png")
	END
	start CAPTURE capture pictures --loop 0 --rate 100 --name ../x --out "$in"
	start RELAY "$stages" relay --in "$in" --out "connect:$out"
	start SINK "$stages" sink --in "bind:$out" "$rows"
	# Of what passes while it writes, it skips some.
	all_four() {
		timeout 100 tap -n 8 --save got "$in"
		[ "$(find got -name '*.p?m' | sed 's/.*-\([0-9]*\)\..*/\1/' | awk '{ print $1 % 4 }' | sort -u | wc -l)" -eq 4 ]
	}
	wait_until 30 all_four
	kill -TERM "$CAPTURE"
	[ "$(find . -newer pictures/wide.png -name '*.p?m' | grep -vc '^./got/_')" -eq 0 ]
	"$PYTHON" - got <<-END
		import glob, numpy, PIL.Image
		names = ["alpha", "colour", "grey", "wide"]
		seen = set()
		for path in glob.glob("got/*.p?m"):
		    k = int(path.rsplit("-", 1)[1][:-4]) % 4
		    want = numpy.array(PIL.Image.open("pictures/%s.png" % names[k]))
		    if path.endswith(".pam"):
		        head, data = open(path, "rb").read().split(b"ENDHDR\n", 1)
		        got = numpy.frombuffer(data, "u1").reshape(5, 7, 4)
		    else:
		        got = numpy.array(PIL.Image.open(path))
		    assert (got.astype("i8") == want.astype("i8")).all(), path
		    seen.add(k)
		assert seen == {0, 1, 2, 3}, seen
	END
	# Their addresses are taken again.
	for name in CAPTURE RELAY SINK; do ends $name; done
	start_line --pace 2ms
	timeout 100 tap -n 3 --save got "$look"
	"$PYTHON" - <<-END
		import glob, numpy
		for path in glob.glob("got/test-1-*.npy"):
		    a = numpy.load(path)
		    assert a.dtype == "u1" and a.shape == (1, 1, 3, 100)
		    assert a[0, 0, int(path.rsplit("-", 1)[1][:-4]) % 3].mean() == 200
	END
	[ "$(find got -name 'test-1-*.npy' | wc -l)" -eq 3 ]
	[ ! -e got/.tap-part ]
}

@test "a tap that is stopped or killed costs the line nothing" {
	start_line --pace 1ms -b 150000
	start STOPPED tap --json "$in" >stopped.txt 2>stopped.err
	wait_until 20 test -s stopped.txt
	kill -STOP "$STOPPED"
	for i in 1 2 3; do
		start DEAD tap "$in" >dead.txt
		wait_until 20 test -s dead.txt
		kill -9 "$DEAD"
		rm dead.txt
	done
	rss() { awk '{ print $2 * 4 }' "/proc/$SOURCE/statm"; }
	local before after had
	had=$(wc -l <rows) before=$(rss)
	wait_until 30 have $((had + 1500))
	after=$(rss)
	echo "source: $before KiB, then $after KiB"
	sanitized || [ "$after" -lt $((before + 20000)) ]
	wait_until 20 asked "$in" '.down == 1 and .resent == 0'
	kill -CONT "$STOPPED"
	had=$(wc -l <stopped.txt)
	more() { [ "$(wc -l <stopped.txt)" -gt $((had + 20)) ]; }
	wait_until 20 more # forgotten meanwhile, it has greeted again
	stop_line
	wait_until 20 ended "$STOPPED"
	wait "$STOPPED"
	grep -q 'were skipped' stopped.err
	# Each is shown, or skipped and told.
	jq -es '(length + (map(.skipped) | add)) == (.[-1].seq - .[0].seq + 1)' stopped.txt
	unharmed
}

@test "eight may look at a stage, not more" {
	start_line --pace 1ms
	for i in $(seq 8); do
		start "T$i" tap "$in" >"t$i"
		wait_until 20 test -s "t$i"
	done
	run -69 --separate-stderr ping --timeout 4s "$in" # it asks again until then
	[[ $stderr == *"8 observers look at source already"* ]]
	kill -9 "$T3"
	run -0 ping --timeout 20s "$in"
	stop_line
	unharmed
}

@test "each worker of -j has a status address of its own" {
	start_source -n 1000000 --pace 5ms
	start_sink
	start INFER infer -m "$TOP/pipelines/demo/rings.onnx" -j 2 --in "$in" --out "connect:$out" --status "$look"
	wait_until 20 asked "$look.1" '.worker | endswith("#1")'
	wait_until 20 asked "$look.2" '.worker | endswith("#2")'
	run -69 ping --timeout 100ms "$look"
	kill -9 "$(jq -r '.worker | split("/")[1] | split("#")[0]' asked.json)"
	wait_until 20 asked "$look.2" '.worker | endswith("#2")' # replaced
	kill -TERM "$SOURCE"
	ends SOURCE
	ends INFER
	ends SINK
	port=$(free_port 2)
	start_source -n 1000000 --pace 5ms
	start INFER infer -m "$TOP/pipelines/demo/rings.onnx" -j 2 --in "$in" --out "connect:$out" --status "tcp://127.0.0.1:$port"
	wait_until 20 asked "tcp://127.0.0.1:$((port + 1))" '.worker | endswith("#2")'
	kill -TERM "$INFER" # or its workers would outlive it
	wait_until 20 ended "$INFER"
	run -64 infer -m "$TOP/pipelines/demo/rings.onnx" -j 2 --in "$in" --out "connect:$out" --status "tcp://127.0.0.1:65535"
}
