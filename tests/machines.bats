# Several machines, made of network namespaces on one switch: head takes pictures in and stores results, line1 and line2
# compute. tcp with keys throughout, names from each machine's own /etc/hosts.
load helper
load faults/line

setup_file() {
	[ "$(id -u)" -eq 0 ] || skip "no network namespaces: not root"
	local tool
	for tool in ip tc iptables unshare; do
		command -v "$tool" >/dev/null || skip "no program $tool"
	done
	export NET=andon$$ HOSTS='head line1 line2'
	ip netns add "$NET-switch" 2>/dev/null || skip "no network namespaces here"
	ip -n "$NET-switch" link add br0 type bridge 2>/dev/null || skip "no bridge in this kernel"
	ip -n "$NET-switch" link set br0 up
	local host n=0
	for host in $HOSTS; do
		n=$((n + 1))
		ip netns add "$NET-$host"
		mkdir -p "/etc/netns/$NET-$host"
		printf '127.0.0.1 localhost\n10.77.0.1 head\n10.77.0.2 line1\n10.77.0.3 line2\n' >"/etc/netns/$NET-$host/hosts"
		ip -n "$NET-switch" link add "$host" type veth peer name eth0 netns "$NET-$host" 2>/dev/null || skip "no veth in this kernel"
		ip -n "$NET-switch" link set "$host" master br0 up
		ip -n "$NET-$host" link set lo up
		ip -n "$NET-$host" link set eth0 up
		ip -n "$NET-$host" address add "10.77.0.$n/24" dev eth0
	done
}

teardown_file() {
	local host
	[ -n "${NET:-}" ] || return 0
	for host in $HOSTS switch; do
		ip netns del "$NET-$host" 2>/dev/null || true
		rm -rf "/etc/netns/$NET-$host"
	done
	rmdir /etc/netns 2>/dev/null || true
}

setup() {
	line_open
	local host
	for host in $HOSTS; do mkdir "$host"; done
}

teardown() {
	local host
	mend line1
	line_close
	for host in $HOSTS; do ip netns pids "$NET-$host" | xargs -r kill -9; done
}

# there HOST COMMAND…: this process becomes that command, in HOST's folder; so for stages, whose pid shall be theirs. (The
# namespace of names is for what keygen calls it.) on HOST COMMAND…: the same, and back.
there() {
	local host=$1
	shift
	# shellcheck disable=SC2016
	exec ip netns exec "$NET-$host" unshare --uts sh -c 'hostname "$1" && cd "$1" && shift && exec "$@"' sh "$host" "$@"
}
on() { (there "$@"); }

# What a cable and a firewall can do to one machine, and its end.
unplug() { ip -n "$NET-switch" link set "$1" down; }
drop() { ip netns exec "$NET-$1" iptables -A "$2" -j DROP; }
slow() { ip netns exec "$NET-switch" tc qdisc add dev "$1" root tbf rate "$2" burst 32k latency 400ms; }
mend() {
	ip netns exec "$NET-switch" tc qdisc del dev "$1" root 2>/dev/null || true
	ip -n "$NET-switch" link set "$1" up
	ip netns exec "$NET-$1" iptables -F
}

exchange_keys() {
	local host
	for host in $HOSTS; do on "$host" keygen keys >/dev/null; done
	cp line1/keys/peers/line1.key line2/keys/peers/line2.key head/keys/peers/
	cp head/keys/peers/head.key line1/keys/peers/
	cp head/keys/peers/head.key line2/keys/peers/
}

beat='--heartbeat 200ms'
# shellcheck disable=SC2086
start_machines() {
	exchange_keys
	frames=${1:-1000000}
	stage SINK there head sink --in 'bind:tcp://*:5602' ../x.db --keys keys $beat -v
	stage I1 there line1 infer -m "$MODEL" --in tcp://head:5601 --out connect:tcp://head:5602 --keys keys $beat -v
	stage I2 there line2 infer -m "$MODEL" --in tcp://head:5601 --out connect:tcp://head:5602 --keys keys $beat -v
	stage PREPROCESS there head preprocess --in "$pictures" --out 'tcp://*:5601' --keys keys $beat -v
	stage CAPTURE there head capture "$PICTURES" --loop 0 --count "$frames" --out "$pictures" --rate 300 $beat -v
}
# The stream lasts as long as a test takes; then all end.
stop_machines() {
	kill -TERM "$CAPTURE"
	ends CAPTURE PREPROCESS I1 I2 SINK
	frames=$(rows x.db)
}
by() { sql x.db "select count(*) from results where worker like '$1/%'"; }
# A frame does not get nearer to being given up because of a network.
nobody_blamed() { [ "$(sql x.db 'select max(tries) from results')" -eq 0 ]; }
by_has() { [ "$(by "$1")" -ge "$2" ]; }

# What the README says is done on a machine: the words under "# on HOST".
readme_on() {
	awk -v host="$1" '/^## /{ inside = $0 == "## Several machines" } inside && /^    /{ sub(/^    /, ""); if (/^# on /) { split($3, w, ","); here = w[1] }
		else if (here == host) print; else next }  inside && /^$/ { print "" }' "$TOP/README.md" | awk -v n="$2" 'BEGIN { RS = "" } NR == n'
}

@test "README, Several machines: word for word" {
	local host
	mkdir bin
	ln -s "$TOP/pipelines/andon.sh" bin/andon
	# The only stand-in: HOST:PATH is the folder of that machine here.
	cat >bin/scp <<-'END'
	#!/bin/sh
	from=$1 to=$2
	case $from in *:*) from=../${from%%:*}/${from#*:} ;; esac
	case $to in *:*) to=../${to%%:*}/${to#*:} ;; esac
	exec cp "$from" "$to"
	END
	chmod +x bin/scp
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	frames=$(find "$PICTURES" -type f ! -name '*.tsv' | wc -l)
	cp -r "$PICTURES" head/photos
	for host in line1 line2; do cp "$MODEL" "$host/model.onnx" && cp "${MODEL%.onnx}.json" "$host/model.json"; done

	on head sh -ec "$(readme_on head 1)"
	on line1 sh -ec "$(readme_on line1 1)"
	on line2 sh -ec "$(readme_on line1 1 | sed s/line1/line2/g)"
	stage I1 there line1 sh -ec "exec $(readme_on line1 2)"
	stage I2 there line2 sh -ec "exec $(readme_on line1 2)"
	stage HEAD there head sh -ec "$(readme_on head 2)"
	ends HEAD I1 I2
	mv head/results.db x.db
	holds
}

@test "two machines compute for a third, over tcp with keys" {
	start_machines
	wait_until 40 by_has line1 100
	wait_until 40 by_has line2 100
	stop_machines
	holds
	[ "$(($(by line1) + $(by line2)))" -eq "$frames" ]
}

# bats test_tags=long
@test "a cable is pulled out in the middle, and put back" {
	injected "ip link down for 3 s"
	start_machines
	wait_until 40 by_has line1 100
	unplug line1
	wait_until 40 log_says PREPROCESS 'infer (line1/[0-9]*) is silent'
	before=$(by line1)
	mend line1
	wait_until 40 by_has line1 $((before + 20))
	stop_machines
	nobody_blamed
	holds
}

@test "a firewall swallows everything of one machine, and lets it through again" {
	injected "iptables DROP both ways"
	start_machines
	wait_until 40 by_has line1 100
	drop line1 INPUT
	drop line1 OUTPUT
	wait_until 40 log_says PREPROCESS 'infer (line1/[0-9]*) is silent'
	before=$(by line1)
	mend line1
	wait_until 40 by_has line1 $((before + 20))
	stop_machines
	nobody_blamed
	holds
}

# bats test_tags=long
@test "one machine is heard but hears nothing, and later does" {
	injected "iptables DROP one way"
	start_machines
	wait_until 40 by_has line1 100
	drop line1 INPUT
	wait_until 40 log_says I1 'is silent'
	mend line1
	before=$(by line1)
	wait_until 40 by_has line1 $((before + 20))
	stop_machines
	nobody_blamed
	holds
}

# bats test_tags=long
@test "one machine hears but is not heard, and later is" {
	injected "iptables DROP the other way"
	start_machines
	wait_until 40 by_has line1 100
	drop line1 OUTPUT
	wait_until 40 log_says PREPROCESS 'infer (line1/[0-9]*) is silent'
	before=$(by line1)
	mend line1
	wait_until 40 by_has line1 $((before + 20))
	stop_machines
	nobody_blamed
	holds
}

# bats test_tags=long
@test "a machine behind a line ten times too slow does not hold up the other" {
	injected "tbf 5 Mbit/s at one worker"
	# As it is, a second of pictures is 470 Mbit of tensors.
	slow line1 5mbit || skip "no tbf in this kernel"
	beat=
	start_machines 1000
	ends CAPTURE PREPROCESS I1 I2 SINK
	holds
	echo "line1 $(by line1), line2 $(by line2)"
	[ "$(by line2)" -gt $((2 * $(by line1))) ]
}

# spent PID: sets $ticks, of processor time.
spent() {
	local field
	read -r -a field 2>/dev/null <"/proc/$1/stat" && ticks=$((field[13] + field[14]))
}

# Stops the worker SLOW while it has had more than a tenth of the time that FAST has had, however much else the machine does; for a
# second and a half at most, so that nobody takes it for dead.
slow_down() { # SLOW FAST
	local ticks slow slow_before fast_before stopped=0
	spent "$1" && slow_before=$ticks
	spent "$2" && fast_before=$ticks
	while spent "$1" && slow=$((ticks - slow_before)) && spent "$2"; do
		if [ $((10 * slow)) -gt $((ticks - fast_before)) ] && [ $((stopped == 0 || ${EPOCHREALTIME/./} - stopped < 1500000)) -eq 1 ]; then
			kill -STOP "$1"
			[ "$stopped" -gt 0 ] || stopped=${EPOCHREALTIME/./}
		else
			kill -CONT "$1"
			stopped=0
		fi
		sleep 0.02
	done
	kill -CONT "$1" 2>/dev/null || true
}
worker_of() { sql x.db "select worker from results where worker like '$1/%' limit 1" | cut -d / -f 2; }

# bats test_tags=long
@test "a machine ten times slower gets the fewest of the pictures, and the others do not wait for it" {
	injected "SIGSTOP and SIGCONT: one worker has a tenth of the other's processor time"
	beat=
	start_machines 3000
	wait_until 60 by_has line1 20
	wait_until 60 by_has line2 20
	slow=$(worker_of line1) fast=$(worker_of line2)
	echo "$slow" >>pids
	before=$(by line1) others=$(by line2)
	start SLOW slow_down "$slow" "$fast" 3>&-
	PATIENCE=200 ends CAPTURE PREPROCESS I1 I2 SINK SLOW
	holds
	nobody_blamed
	echo "slow $(($(by line1) - before)), fast $(($(by line2) - others))"
	[ "$(($(by line2) - others))" -gt "$((2 * ($(by line1) - before)))" ]
}

# bats test_tags=long
@test "all machines but the head are killed and come back" {
	injected "kill -9 of both workers"
	start_machines
	wait_until 40 by_has line1 100
	wait_until 40 by_has line2 100
	kill9 "$I1" "$I2"
	stage I1 there line1 infer -m "$MODEL" --in tcp://head:5601 --out connect:tcp://head:5602 --keys keys --heartbeat 200ms -v
	stage I2 there line2 infer -m "$MODEL" --in tcp://head:5601 --out connect:tcp://head:5602 --keys keys --heartbeat 200ms -v
	new_one() { [ "$(sql x.db "select count(*) from results where worker = '$1'")" -ge 20 ]; }
	wait_until 40 new_one "line1/$I1"
	wait_until 40 new_one "line2/$I2"
	stop_machines
	holds
}
