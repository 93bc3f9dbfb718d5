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
	WATCHDOG=400000 start RELAY told relay "$stages" relay --in "$in" --out "connect:$out" --work 100s --status "$in.look"
	wait_until 20 heard relay WATCHDOG=1 3
	start SINK "$stages" sink --in "bind:$out" "$rows"
	start SOURCE "$stages" source --out "$in" -n 5
	busy_for() { ping --json --timeout 5s "$in.look" | jq -e --argjson ms "$1" '.busy_ms > $ms'; }
	# Its time goes by five times over the frame, and ten times more without a word; its link answers all the while.
	wait_until 20 busy_for 2000
	count=$(grep -c WATCHDOG relay.heard)
	wait_until 20 busy_for 6000
	[ "$(grep -c WATCHDOG relay.heard)" -eq "$count" ]
}

@test "of workers one that hangs over a frame is replaced; at the third time the frame is given up, and the rest goes on" {
	ear relay
	WATCHDOG=2000000 start RELAY told relay "$stages" relay -j 2 --in "$in" --out "connect:$out" --kill-at 5 \
		--kill-when hang --orphan-timeout 5s 2>relay.log
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
	WATCHDOG=8000000 start RELAY told relay "$stages" relay --in "$in" --out "connect:$out" --work 1s
	start SINK "$stages" sink --in "bind:$out" "$rows"
	start SOURCE "$stages" source --out "$in" -n 10
	wait_until 60 have 10
	# The longest silence between two words of life: a quarter of its time, and a frame.
	awk -F '\t' '/WATCHDOG/ { if (last && $1 - last > most) most = $1 - last; last = $1 } END { print most; exit most >= 8 }' relay.heard
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

# --- the units --------------------------------------------------------------------------------------

# As make install leaves them, in the test's folder.
installed() {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze here"
	make -s -C "$TOP" B="$BUILD" install PREFIX="$BATS_TEST_TMPDIR/usr" >/dev/null
	export SYSTEMD_UNIT_PATH=$BATS_TEST_TMPDIR/usr/lib/systemd/system: MANPATH=$BATS_TEST_TMPDIR/usr/share/man
	units=(andon-capture@cam1.service andon-preprocess@line.service andon-infer@1.service andon-sink@line.service)
}

@test "systemd finds nothing wrong with the units, and with their keys; and would" {
	installed
	run -0 systemd-analyze verify "${units[@]}" andon.target
	[ -z "$output" ]
	cp usr/share/andon/keys.conf usr/lib/systemd/system/andon-.service.d/20-keys.conf
	run -0 systemd-analyze verify "${units[@]}" andon.target
	[ -z "$output" ]
	sed -i 's/^WatchdogSec/WatchdogSecs/' usr/lib/systemd/system/andon-.service.d/10-common.conf
	run systemd-analyze verify "${units[@]}"
	[[ $output == *WatchdogSecs* ]]
}

@test "what a stage can do to the system is next to nothing, by systemd's own measure" {
	installed
	local unit
	for unit in "${units[@]}"; do
		run -0 systemd-analyze security --offline=true --threshold=20 "$unit"
	done
	sed -i '/^ProtectSystem\|^CapabilityBoundingSet\|^SystemCallFilter/d' usr/lib/systemd/system/andon-.service.d/10-common.conf
	run ! systemd-analyze security --offline=true --threshold=20 "${units[2]}"
}

# Every option in the units is one that the program knows, with the values that stand there.
@test "the command lines of the units are ones that the stages take" {
	installed
	local unit program words
	for unit in capture preprocess infer sink; do
		words=$(sed -n 's/^ExecStart=//p' "usr/lib/systemd/system/andon-$unit@.service")
		program=${words%% *}
		[ -x "$program" ]
		for option in $(grep -o -- ' --[a-z-]*' <<<"$words"); do
			"$program" --help | grep -q -- "$option " || { echo "$unit does not know $option"; return 1; }
		done
	done
	# What a restart cannot mend is known to the restarts.
	for code in 64 65 66 73 77 78; do
		grep -q "^RestartPreventExitStatus=.*\b$code\b" usr/lib/systemd/system/andon-.service.d/10-common.conf
	done
}

# A line of the units' command lines: their defaults, in another folder, one after the other as systemd would start them.
@test "the units' wiring is a line: what comes into the hot folder is in the store" {
	installed
	local run=$BATS_TEST_TMPDIR/run
	mkdir -m 700 run
	mkdir -p srv/cam1 srv/cam2 state
	unit() { # NAME INSTANCE: becomes its ExecStart, by its Environment
		local file=usr/lib/systemd/system/andon-$1@.service
		sed -n 's/^Environment=//p' "$file" | sed "s|%i|$2|g" >"$1-$2.env"
		while read -r line; do
			if [[ $line == \"* ]]; then eval "export $line"; else eval "export ${line// /; export }"; fi
		done <"$1-$2.env"
		words=$(sed -n 's/^ExecStart=//p' "$file" | sed "s|%i|$2|g")
		words=$(eval "echo $words" | sed "s|/run/andon|$run|g; s|/srv/andon|$PWD/srv|g; s|/var/lib/andon|$PWD/state|g; s|/etc/andon/model.onnx|$model|")
		# shellcheck disable=SC2086  # as systemd splits it
		exec $words
	}
	start SINK unit sink line
	start PRE unit preprocess line
	start I1 unit infer 1
	start I2 unit infer 2
	start C1 unit capture cam1
	start C2 unit capture cam2
	cp "$parts"/ring-00* srv/cam1
	cp "$parts"/ring-01* srv/cam2
	stored() { [ "$(rows state/line.db)" -eq 19 ]; }
	wait_until 40 stored
	[ "$(sql state/line.db "select source, count(*) from results where verdict is not 'error' group by source")" = "cam1|9
cam2|10" ]
	ping "ipc://$run/infer-2" | grep -q infer
	ping "ipc://$run/capture-cam1" | grep -q cam1
}

@test "keys that a service manager hands out become a folder that the stages take" {
	keygen --name here made 2>/dev/null
	mkdir -m 700 to
	mkdir credentials
	cp made/secret.key credentials/
	chmod 440 credentials/secret.key # as systemd does it
	ln -s "$PWD/made/peers" peers    # and Kubernetes
	"$TOP/pipelines/take-keys.sh" credentials/secret.key peers to
	local at
	at=tcp://127.0.0.1:$(free_port)
	start SINK sink --in "bind:$at" --keys to x.db
	start RELAY "$stages" relay --in "$in" --out "connect:$at" --keys made
	wait_until 20 ping --keys made "$at"
	# One more peer, and one less.
	keygen --name there other 2>/dev/null
	cp other/peers/there.key made/peers/
	rm made/peers/here.key
	"$TOP/pipelines/take-keys.sh" credentials/secret.key peers to
	[ "$(ls to/peers)" = there.key ]
	cmp to/secret.key made/secret.key
	[ "$(stat -c %a to/secret.key)" = 600 ]
	[ "$(ls to)" = "$(printf 'peers\nsecret.key')" ]
}

# Everything as it is installed, by systemd as the first process of a machine of its own (tests/systemd_boot.sh).
@test "under systemd: a line starts, a killed and a hung worker come again, and it stops in order" {
	[ "$(id -u)" -eq 0 ] || skip "not root: no namespaces"
	[ -x /lib/systemd/systemd ] || skip "no systemd here"
	unshare --mount --pid --fork --cgroup true 2>why || skip "no namespaces: $(cat why)"
	local io=$BATS_TEST_TMPDIR/io
	mkdir "$io"
	make -s -C "$TOP" B="$BUILD" install PREFIX=/usr DESTDIR="$io/root" >/dev/null
	cp "$model" "${model%.onnx}.json" "$io/"
	cp -r "$parts" "$io/parts"
	keygen --name 127.0.0.1 "$io/keys" 2>/dev/null
	printf '%s\n' andon-capture@cam1.service andon-preprocess@line.service andon-infer@{1,2}.service andon-sink@line.service >"$io/wants"
	cat >"$io/prepare" <<-'END'
		#!/bin/bash -e
		cp -r /andon/root/. /
		systemd-sysusers andon.conf
		mkdir -p /etc/andon /srv/andon/cam1
		cp /andon/rings.onnx /etc/andon/model.onnx
		cp /andon/rings.json /etc/andon/model.json
		cp -r /andon/keys /etc/andon/keys
		chmod -R a+rX /etc/andon/*.onnx /etc/andon/*.json /etc/andon/keys/peers
		chmod a+x /etc/andon/keys
		# The second worker by tcp, with keys.
		install -D -m 644 /usr/share/andon/keys.conf /etc/systemd/system/andon-.service.d/20-keys.conf
		echo OUT=tcp://127.0.0.1:5601 >/etc/andon/preprocess-line.env
		echo IN=tcp://127.0.0.1:5601 >/etc/andon/infer.env
		printf '[Service]\nWatchdogSec=3\n' >/andon/short
		install -D -m 644 /andon/short /etc/systemd/system/andon-infer@2.service.d/short.conf
		cp /andon/parts/ring-00* /srv/andon/cam1/
		chown -R andon: /srv/andon
	END
	cat >"$io/probe" <<-'END'
		#!/bin/bash
		exec 2>&1
		trap 'journalctl --no-pager | tail -n 400 >/andon/journal' EXIT
		rows() { sqlite3 -readonly /var/lib/andon/line.db "$1" 2>/dev/null; }
		until_is() { for i in {1..600}; do [ "$($2)" = "$1" ] && return; sleep 0.1; done; echo "not within the time: $2 is $1, but $($2)"; exit 1; }
		stored() { rows 'select count(*) from results'; }
		again() { [ "$(systemctl show --property=NRestarts --value andon-infer@$1)" -gt 0 ] && echo yes; }
		one() { again 1; }
		two() { again 2; }
		until_is 9 stored
		pid=$(systemctl show --property=MainPID --value andon-infer@1)
		grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status | tr -s '[:space:]' ' '
		kill -9 "$pid"
		kill -STOP "$(systemctl show --property=MainPID --value andon-infer@2)"
		until_is yes one
		until_is yes two
		mkdir /srv/andon/in
		cp /andon/parts/ring-01* /srv/andon/in/
		chown -R andon: /srv/andon
		mv /srv/andon/in/* /srv/andon/cam1/
		until_is 19 stored
		systemctl reload andon-preprocess@line && systemctl is-active andon-preprocess@line
		systemctl show --property=StatusText --value andon-capture@cam1
		rows "select count(*) || ' rows, ' || count(distinct seq) || ' pictures, ' || sum(coalesce(verdict, '') = 'error') || ' errors' from results"
		ls -A /srv/andon/cam1
		systemctl stop 'andon-*' && echo stopped
		systemctl list-units --all --no-legend --plain 'andon-*.service' | awk '{ print $1, $3, $4 }'
	END
	chmod +x "$io/prepare" "$io/probe"
	timeout -k 5 600 "$TOP/tests/systemd_boot.sh" "$io" >boot.log 2>&1 || true
	[ -e "$io/said" ] || skip "systemd does not start here: $(tail -n 1 boot.log)"
	cat "$io/said"
	tail -n 80 "$io/journal" || true
	run ! grep 'not within the time' "$io/said"
	grep -q 'CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2' "$io/said"
	grep -q 'infer@2.service: Failed with result .watchdog' "$io/journal"
	grep -qx '19 rows, .* 0 errors' "$io/said"
	grep -qx stopped "$io/said"
	run ! grep -q 'andon-.* failed' "$io/said"
	run ! grep 'not drained within\|stop-sigterm.* timed out' "$io/journal"
}
