# What a stage tells the service manager, and the units in pipelines/systemd.
load helper

stages=$BUILD/test/common_stages
parts=$TOP/pipelines/demo/parts
model=$TOP/pipelines/demo/rings.onnx

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	in=ipc://$BATS_TEST_TMPDIR/in out=ipc://$BATS_TEST_TMPDIR/out rows=$BATS_TEST_TMPDIR/rows
	: >"$rows"
}

teardown() {
	end_started
}

# ear NAME: a service manager at the socket NAME.notify that writes down what it hears in NAME.heard.
ear() {
	start EAR "$PYTHON" "$TOP/tests/notify.py" "$BATS_TEST_TMPDIR/$1.notify" "$1.heard"
	wait_until 20 test -e "$1.heard"
}
# told NAME COMMAND…: it tells that one, which has a watchdog of $WATCHDOG microseconds.
told() {
	exec env NOTIFY_SOCKET="$BATS_TEST_TMPDIR/$1.notify" ${WATCHDOG:+WATCHDOG_USEC="$WATCHDOG"} "${@:2}"
}
heard() { # NAME WORD [TIMES]
	[ "$(grep -c "$(printf '\t')$2" "$1.heard")" -ge "${3:-1}" ]
}
have() { [ "$(wc -l <"$rows")" -ge "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }

@test "a stage says when it is ready, how far it is, that it lives, and that it stops" {
	ear relay
	WATCHDOG=400000 start RELAY told relay "$stages" relay --in "$in" --out "connect:$out"
	wait_until 20 heard relay READY=1
	wait_until 20 heard relay WATCHDOG=1 5 # nobody is there, and all is well
	start SINK "$stages" sink --in "bind:$out" "$rows"
	start SOURCE "$stages" source --out "$in" -n 100000 --pace 1ms
	wait_until 20 have 200
	wait_until 20 heard relay "STATUS=.* frames in, .* 1 upstream, 1 downstream"
	run ! heard relay STOPPING=1
	kill -TERM "$RELAY"
	wait_until 20 heard relay STOPPING=1
	wait_until 20 ended "$RELAY"
	[ "$(grep -c READY relay.heard)" -eq 1 ]
	[ "$(grep -c STOPPING relay.heard)" -eq 1 ]
}

@test "SIGHUP, where there is something to read again: it is reloading, and ready again" {
	keygen --name here keys 2>/dev/null
	ear relay
	start RELAY told relay "$stages" relay --in "$in" --out "bind:tcp://127.0.0.1:*" --keys keys
	wait_until 20 heard relay READY=1
	kill -HUP "$RELAY"
	wait_until 20 heard relay READY=1 2
	heard relay 'RELOADING=1 MONOTONIC_USEC=[0-9]*$'
	kill -0 "$RELAY"
}

@test "a stream that ends says so too, to a socket of the abstract kind as well" {
	start EAR "$PYTHON" "$TOP/tests/notify.py" "@andon-$$" all.heard
	wait_until 20 test -e all.heard
	NOTIFY_SOCKET=@andon-$$ start CAPTURE capture "$parts" --count 5 --out "$in"
	NOTIFY_SOCKET='' preprocess --in "$in" | infer -m "$model" | sink x.db --quiet
	wait_until 20 ended "$CAPTURE"
	heard all READY=1
	wait_until 20 heard all STOPPING=1
	run ! heard all WATCHDOG
	[ "$(rows x.db)" -eq 5 ]
}

@test "the watchdog hears nothing more of a stage that hangs over a frame, while its link goes on" {
	ear relay
	WATCHDOG=400000 start RELAY told relay "$stages" relay --in "$in" --out "connect:$out" --work 60s
	wait_until 20 heard relay WATCHDOG=1 3
	start SINK "$stages" sink --in "bind:$out" "$rows"
	start SOURCE "$stages" source --out "$in" -n 5 -v 2>source.log
	# Its time goes by twice without a word, and ten times more.
	quiet_for() {
		count=$(grep -c WATCHDOG relay.heard)
		sleep "$1"
		[ "$(grep -c WATCHDOG relay.heard)" -eq "$count" ]
	}
	wait_until 20 quiet_for 1
	quiet_for 4
	# Its link answers all the while: the source has not taken it for dead.
	kill -0 "$RELAY"
	run ! grep -q 'taken for dead' source.log
}

@test "of workers one that hangs over a frame is replaced; at the third time the frame is given up, and the rest goes on" {
	ear relay
	WATCHDOG=600000 start RELAY told relay "$stages" relay -j 2 --in "$in" --out "connect:$out" --kill-at 5 \
		--kill-when hang --orphan-timeout 3s 2>relay.log
	start SINK "$stages" sink --in "bind:$out" "$rows"
	start SOURCE "$stages" source --out "$in" -n 200
	wait_until 60 ended "$SINK"
	[ "$(awk '{ print $3 }' "$rows" | sort -n | uniq | wc -l)" -eq 200 ]
	[ "$(awk '$4 != 0 { print $3 }' "$rows")" = 5 ]
	[ "$(grep -c 'hung: no progress' relay.log)" -eq 3 ]
	wait_until 20 ended "$RELAY"
	wait "$RELAY"
}

@test "a frame that takes its time, within the watchdog's, silences nobody" {
	ear relay
	WATCHDOG=2000000 start RELAY told relay "$stages" relay --in "$in" --out "connect:$out" --work 300ms
	start SINK "$stages" sink --in "bind:$out" "$rows"
	start SOURCE "$stages" source --out "$in" -n 20
	wait_until 60 have 20
	# The longest silence between two words of life.
	awk -F '\t' '/WATCHDOG/ { if (last && $1 - last > most) most = $1 - last; last = $1 } END { exit most >= 2 }' relay.heard
}

@test "what makes no sense in the environment is said and left aside" {
	set -o pipefail
	for bad in relative "@" "/$(printf '%0200d' 0)"; do
		NOTIFY_SOCKET=$bad capture "$parts" --count 1 2>err | preprocess | infer -m "$model" | sink x.db --quiet
		grep -q "warning: NOTIFY_SOCKET is '" err
	done
	ear x
	for bad in -1 0 soon 99999999999999999999 ''; do
		NOTIFY_SOCKET=$BATS_TEST_TMPDIR/x.notify WATCHDOG_USEC=$bad capture "$parts" --count 1 2>err | preprocess |
			infer -m "$model" | sink x.db --quiet
		grep -q "warning: WATCHDOG_USEC is '$bad'" err
	done
	run ! heard x WATCHDOG
	# A watchdog of somebody else's.
	NOTIFY_SOCKET=$BATS_TEST_TMPDIR/x.notify WATCHDOG_USEC=1000 WATCHDOG_PID=1 capture "$parts" --count 1 |
		preprocess | infer -m "$model" | sink x.db --quiet
	run ! heard x WATCHDOG
	# Nobody listens any more: the line does not care.
	kill "$EAR"
	NOTIFY_SOCKET=$BATS_TEST_TMPDIR/x.notify WATCHDOG_USEC=100000 capture "$parts" --count 1 |
		preprocess | infer -m "$model" | sink x.db --quiet
}
