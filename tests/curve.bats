# Who is let in, with the three small stages of tests/c/common_stages.c over tcp: whose key is in the folder and nobody
# else, and whoever is turned away is told so in one line.
load helper

stages=$BUILD/test/common_stages

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	rows=$BATS_TEST_TMPDIR/rows
	: >"$rows"
	port=$(free_port)
	at=tcp://127.0.0.1:$port
	keygen keys --name head >/dev/null
	keygen line1 --name line1 >/dev/null
}

teardown() {
	end_started
}

start_source() { start SOURCE "$stages" source --out "$at" "$@" 2>source.log; }
start_sink() { start SINK "$stages" sink --in "$at" "$rows" "$@" 2>sink.log; }
have() { [ "$(wc -l <"$rows")" -ge "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }
ends() { # NAME CODE
	local pid=${!1} code=0
	wait_until 30 ended "$pid" || return 1
	wait "$pid" || code=$?
	[ "$code" -eq "$2" ] || { echo "$1 ended with $code"; return 1; }
}
said() { grep -qF -- "$2" "$1"; }
times() { [ "$(grep -cF -- "$2" "$1")" -eq "$3" ]; }
# The stream lasts as long as a test takes; then all end.
stop_all() {
	kill -TERM "$SOURCE"
	ends SOURCE 0
	ends SINK 0
	complete "$(wc -l <"$rows")"
}
# No row comes any more; every 2 ms one would.
still() {
	local before
	before=$(wc -l <"$rows")
	sleep 1
	[ "$(wc -l <"$rows")" -eq "$before" ]
}
complete() { [ "$(awk '{ print $3 }' "$rows" | sort -n | tr '\n' ' ')" = "$(seq -s ' ' 0 $(($1 - 1))) " ]; }

# Both know each other; line1 takes 127.0.0.1 for head.
introduce() {
	cp line1/peers/line1.key keys/peers/
	cp keys/peers/head.key line1/peers/127.0.0.1.key
}

# refused 'source options' 'sink options' WHO SENTENCE: no frame passes, and WHO's log has this line once.
refused() {
	# shellcheck disable=SC2086
	start_source -n 20 $1
	# shellcheck disable=SC2086
	start_sink $2
	wait_until 20 said "$3.log" "$4"
	# It would be said again with the next tries.
	wait_until 20 tried 3
	times "$3.log" "$4" 1
	[ ! -s "$rows" ]
	kill "$SOURCE" "$SINK"
	wait "$SOURCE" "$SINK" || true
}
# Keys on one side only. Of the two, the one that reads the other's mechanism first breaks off and knows why: which
# one, is chance, so that either may tell, and each tells once.
# mismatched 'source options' 'sink options' SOURCE-SENTENCE SINK-SENTENCE
mismatched() {
	# shellcheck disable=SC2086
	start_source -n 20 $1
	# shellcheck disable=SC2086
	start_sink $2
	wait_until 30 either "$3" "$4"
	wait_until 30 tried 6
	[ "$(grep -cF -- "$3" source.log)" -le 1 ]
	[ "$(grep -cF -- "$4" sink.log)" -le 1 ]
	[ ! -s "$rows" ]
	kill "$SOURCE" "$SINK"
	wait "$SOURCE" "$SINK" || true
}
either() { said source.log "$1" || said sink.log "$2"; }
# The greetings that failed, as -vv tells.
tried() { [ "$(cat source.log sink.log | grep -c 'greeting failed')" -ge "$1" ]; }

@test "two stages of one machine talk over tcp with its own keys" {
	start_source -n 50 --keys keys
	start_sink --keys keys
	ends SOURCE 0
	ends SINK 0
	complete 50
	[ ! -s source.log ]
	[ ! -s sink.log ]
}

@test "two machines that have each other's key talk" {
	introduce
	start_source -n 50 --keys keys
	start_sink --keys line1
	ends SOURCE 0
	ends SINK 0
	complete 50
}

@test "a key that is not in the list is refused, and both sides are told whose it is" {
	introduce
	rm keys/peers/line1.key
	key=$(sed -n 's/^public //p' line1/peers/line1.key)
	refused '--keys keys -vv' '--keys line1 -vv' sink "refuses this machine's key '$key'"
	times source.log "key '$key' is not in keys/peers" 1
}

@test "who connects does not talk to a machine that has another key than was expected" {
	introduce
	keygen other --name other >/dev/null
	cp other/peers/other.key line1/peers/127.0.0.1.key
	refused '--keys keys -vv' '--keys line1 -vv' sink 'may have another key than line1/peers/127.0.0.1.key'
	said source.log 'takes us for another machine'
}

@test "without a key nobody is let in" {
	mismatched '--keys keys -vv' '-vv' 'somebody who uses no keys' 'asks for keys: give --keys'
}

@test "with keys nobody is talked to who has none" {
	introduce
	mismatched '-vv' '--keys line1 -vv' 'somebody who uses keys, while we use none' 'uses no keys, and is not talked to'
}

@test "ping needs a key too, and says what is missing" {
	introduce
	start_source -n 5 --keys keys
	wait_until 20 ping --keys line1 "$at"
	run -76 --separate-stderr ping --timeout 5s "$at"
	[[ "$stderr" == *"asks for keys: give --keys"* || "$stderr" == *"breaks off the greeting"* ]]
	keygen stranger --name x >/dev/null
	cp keys/peers/head.key stranger/peers/127.0.0.1.key
	run -76 --separate-stderr ping --timeout 20s --keys stranger "$at"
	[[ "$stderr" == *"refuses this machine's key"* ]]
	run -64 --separate-stderr ping tcp://10.9.8.7:5601
	[[ "$stderr" == *--insecure* ]]
	start_sink --keys line1
	ends SOURCE 0
	complete 5
}

@test "an unknown host has no key, and is not connected to" {
	run -66 --separate-stderr "$stages" sink --in tcp://elsewhere:5601 "$rows" --keys keys
	[[ "$stderr" == *"keys/peers/elsewhere.key"* ]]
}

@test "SIGHUP lets a new key in, and shuts out one that was taken away" {
	introduce
	mv keys/peers/line1.key away
	start_source -n 100000 --pace 2ms --keys keys -v
	start_sink --keys line1 -v
	wait_until 20 said sink.log 'refuses this machine'
	[ ! -s "$rows" ]

	cp away keys/peers/line1.key
	kill -HUP "$SOURCE"
	wait_until 20 have 20

	rm keys/peers/line1.key
	kill -HUP "$SOURCE"
	wait_until 20 said source.log 'is not in the list any more: its connection ends'
	wait_until 20 said sink.log 'upstream source'
	wait_until 20 tried_again
	wait_until 20 still
	before=$(wc -l <"$rows")

	cp away keys/peers/line1.key
	kill -HUP "$SOURCE"
	wait_until 20 have $((before + 20))
	stop_all
}
tried_again() { [ "$(grep -c 'refuses this machine' sink.log)" -ge 1 ] && [ "$(grep -c 'is not in keys/peers' source.log)" -ge 2 ]; }

@test "SIGHUP with a bad file in the list leaves the list as it was" {
	introduce
	start_source -n 100000 --pace 2ms --keys keys
	start_sink --keys line1
	wait_until 20 have 20
	echo nonsense >keys/peers/broken.key
	kill -HUP "$SOURCE"
	wait_until 20 said source.log 'broken.key: line 1 is neither'
	wait_until 20 said source.log 'the list of keys stays as it was'
	wait_until 20 have $(($(wc -l <"$rows") + 20))
	stop_all
}

@test "who connects breaks off when the key that it expects is taken away, and comes back with it" {
	introduce
	start_source -n 100000 --pace 2ms --keys keys
	start_sink --keys line1
	wait_until 20 have 20
	mv line1/peers/127.0.0.1.key away
	# 127.0.0.1 would be this machine, whose key is line1's.
	kill -HUP "$SINK"
	wait_until 20 said sink.log 'the key for'
	wait_until 20 still # what it had taken before is stored
	before=$(wc -l <"$rows")
	mv away line1/peers/127.0.0.1.key
	kill -HUP "$SINK"
	wait_until 20 have $((before + 20))
	stop_all
}

@test "workers of -j read the list again too" {
	need_data models/xsdd_plain
	infer -m "$DATA/models/xsdd_plain/model.onnx" -j 2 --in "$at" --out "connect:tcp://127.0.0.1:1" --keys keys -v 2>infer.log &
	pid=$!
	echo "$pid" >>pids
	workers() { [ "$(pgrep -cP "$pid")" -eq 2 ]; }
	wait_until 20 workers
	echo nonsense >keys/peers/broken.key
	again() { kill -HUP "$pid" && [ "$(grep -c 'stays as it was' infer.log)" -ge 2 ]; }
	wait_until 20 again
	kill -TERM "$pid"
	wait "$pid" || true
}

@test "a library that lets everybody in is found out, and without answers nobody is let in" {
	"$BUILD/test/common_curve"
}

@test "when nobody can be asked any more who may come in, the stage ends" {
	start SOURCE "$BUILD/test/common_curve" keys "$at" 2>source.log
	start_sink --keys keys
	ends SOURCE 70
	said source.log 'cannot be answered any more'
	[ ! -s "$rows" ]
}

# --- plain tcp ------------------------------------------------------------------------------------

@test "plain tcp beyond this machine is refused, whoever binds or connects, and the line says what to give" {
	local url
	for url in 'tcp://*:5601' tcp://0.0.0.0:5601 tcp://10.9.8.7:5601 'tcp://[::]:5601' tcp://lo:5601 'tcp://[fe80::1%lo]:5601' \
		tcp://no.such.host.invalid:5601 connect:tcp://10.9.8.7:5601 'tcp://127.0.0.1:0;10.9.8.7:5601'; do
		run -64 --separate-stderr "$stages" source --out "$url" -n 1
		[[ "$stderr" == *"--keys"*"--insecure"* ]] || { echo "$url: $stderr"; return 1; }
	done
	run -64 --separate-stderr "$stages" sink --in tcp://10.9.8.7:5601 "$rows"
	[[ "$stderr" == *"--keys"*"--insecure"* ]]
	echo tcp://10.9.8.7:5601 | "$stages" sink "$rows" 2>said || true
	said said --insecure
}

@test "--insecure allows it, and contradicts --keys" {
	start SOURCE "$stages" source --out "tcp://*:$port" -n 20 --insecure
	start_sink
	ends SOURCE 0
	ends SINK 0
	complete 20
	run -64 "$stages" source --out "$at" --insecure --keys keys
}

@test "a host's name is not bound" {
	run --separate-stderr "$stages" source --out tcp://localhost:5601 -n 1
	[ "$status" -eq 73 ]
	[[ "$stderr" == *"no name"* ]]
}

@test "an ipc address in a folder where others may write is warned of" {
	mkdir open
	chmod 1777 open
	start SOURCE "$stages" source --out "ipc://$BATS_TEST_TMPDIR/open/x" -n 5 2>source.log
	wait_until 20 said source.log 'other users may write in that folder'
	chmod 755 open
	start SINK "$stages" sink --in "ipc://$BATS_TEST_TMPDIR/open/x" "$rows" 2>sink.log
	ends SOURCE 0
	ends SINK 0
	complete 5
	[ ! -s sink.log ]
}

# --- key files ------------------------------------------------------------------------------------

# bad CODE SENTENCE: the folder keys is not taken.
bad() {
	run --separate-stderr "$stages" source --out "$at" -n 1 --keys keys
	[ "$status" -eq "$1" ] || { echo "status $status: $stderr"; return 1; }
	[[ "$stderr" == *"$2"* ]] || { echo "$stderr"; return 1; }
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	# Nothing of a secret key is ever said.
	secret=
	[ ! -f keys/secret.key ] || secret=$(sed -n 's/^secret //p' keys/secret.key)
	[ -z "$secret" ] || [[ "$stderr" != *"$secret"* ]]
}

@test "a folder or a key that others may read or write is refused" {
	chmod 640 keys/secret.key
	bad 77 'secret.key: others may read it (mode 0640)'
	chmod 604 keys/secret.key
	bad 77 'others may read it'
	chmod 600 keys/secret.key
	chmod 777 keys
	bad 77 'others may write there'
	chmod 700 keys
	chmod 770 keys/peers
	bad 77 'others may write there'
	chmod 700 keys/peers
	chmod 666 keys/peers/head.key
	bad 77 'others may write there'
	chmod 644 keys/peers/head.key
	if [ "$(id -u)" -eq 0 ]; then
		chown 12345 keys/secret.key
		bad 77 'belongs to user 12345'
		chown 0 keys/secret.key
		chown 12345 keys/peers
		bad 77 'belongs to user 12345'
	fi
}

@test "a folder without its parts is refused" {
	rm keys/secret.key
	bad 66 'keys/secret.key: No such file'
	mkdir keys/secret.key
	bad 66 'not a file'
	rmdir keys/secret.key
	mkfifo -m 600 keys/secret.key
	bad 66 'not a file'
	rm -r keys/peers keys/secret.key
	cp line1/secret.key keys/
	bad 66 'keys/peers: No such file'
	rm -r keys
	bad 66 'keys: No such file'
}

@test "half a key, a public one in the place of the secret one, and garbage are refused" {
	key=$(sed -n 's/^secret //p' keys/secret.key)
	peer=keys/peers/line1.key
	printf 'secret %s\n' "${key:0:20}" >keys/secret.key
	bad 65 'line 1: a key has 40 characters, this one has 20'
	printf 'public %s\n' "$key" >keys/secret.key
	bad 65 'a public key, where the secret one belongs'
	printf 'secret %s\n' "${key:0:39}~" >keys/secret.key
	bad 65 'no key: not Z85'
	printf 'secret %s\n' '########################################' >keys/secret.key
	bad 65 'no key: not Z85'
	printf '# nothing\n\n' >keys/secret.key
	bad 65 "there is no line 'secret KEY'"
	printf 'secret %s\nsecret %s\n' "$key" "$key" >keys/secret.key
	bad 65 'line 2 is a second key'
	head -c 5000 /dev/zero >keys/secret.key
	bad 65 'at most'
	head -c 500 /dev/zero >keys/secret.key
	bad 65 'no text'
	printf '\n# windows\r\n  secret\t%s  \r\n' "$key" >keys/secret.key
	printf 'secret %s\n' "$key" >"$peer"
	bad 65 'line1.key: a secret key, where a public one belongs'
	printf 'let me in\n' >"$peer"
	bad 65 'line1.key: line 1 is neither'
	: >"$peer"
	bad 65 'there is no line'
	head -c 300 /dev/urandom >"$peer"
	bad 65 'line1.key'
}

@test "an empty list lets in this machine alone" {
	introduce
	rm keys/peers/*
	start_source -n 20 --keys keys
	start_sink --keys line1
	wait_until 20 said sink.log 'refuses this machine'
	[ ! -s "$rows" ]
	kill "$SINK"
	start_sink --keys keys
	ends SOURCE 0
	complete 20
}

@test "keygen makes what --keys wants, and never writes over it" {
	umask 0
	keygen fresh --name 10.0.0.7 >said
	umask 022
	[ "$(stat -c %a fresh fresh/peers fresh/secret.key fresh/peers/10.0.0.7.key | tr '\n' ' ')" = '700 700 600 644 ' ]
	said said 'scp fresh/peers/10.0.0.7.key MACHINE:fresh/peers/'
	cp fresh/secret.key before
	run -73 --separate-stderr keygen fresh
	[[ "$stderr" == *"never written over"* ]]
	cmp before fresh/secret.key
	run -64 keygen fresh2 --name ../x
	run -64 keygen
	run -73 keygen /dev/null/x
	[ "$(cut -d' ' -f2 keys/secret.key | tail -n 1)" != "$(cut -d' ' -f2 line1/secret.key | tail -n 1)" ]
	keygen --help | grep -q 'SIGHUP'
	"$TOP/pipelines/andon.sh" --help | grep -q keygen
}

@test "an eavesdropper sees no pixels" {
	need_python zmq
	introduce
	# Everything goes through this process, which keeps it.
	cat >between.py <<'END'
import socket, sys, threading
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
def pump(a, b):
    try:
        while data := a.recv(65536):
            with open("seen", "ab") as f:
                f.write(data)
            b.sendall(data)
    except OSError:
        pass
    b.close()
while True:
    a, _ = listener.accept()
    try:
        b = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    except OSError: # not yet
        a.close()
        continue
    for pair in ((a, b), (b, a)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
END
	local options
	for options in '' '--keys'; do
		rm -f seen
		: >"$rows"
		start_source -n 5 -b 90000 $options ${options:+keys}
		start BETWEEN "$PYTHON" between.py "$port" >between
		wait_until 20 test -s between
		start SINK "$stages" sink --in "tcp://127.0.0.1:$(cat between)" "$rows" $options ${options:+line1}
		ends SINK 0
		ends SOURCE 0
		complete 5
		kill -9 "$BETWEEN"
		[ "$(stat -c %s seen)" -gt 450000 ]
		# A picture of this source is a third of it in one value.
		"$PYTHON" -c 'import sys; sys.exit(bytes([200]) * 1000 not in open("seen", "rb").read())' && plain=yes || plain=no
		[ "$plain" = "$([ -n "$options" ] && echo no || echo yes)" ]
		rm between
	done
}
