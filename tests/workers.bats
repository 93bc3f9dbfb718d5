# -j N: a parent and its workers, whatever is killed, in both forms.
load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	stages=$BUILD/test/common_stages
	pictures=ipc://$BATS_TEST_TMPDIR/pictures rows=ipc://$BATS_TEST_TMPDIR/rows
	export stages
	mkfifo stream
}

teardown() {
	end_started
}

# As many pictures as one likes, at any time, and no end before fd 7 is closed.
camera() { start CAMERA sh -c 'exec capture - --name cam --out "$1" <stream' sh "$pictures" 3>&-; }
see() {
	local i
	for ((i = 0; i < $1; i++)); do printf 'P5 2 2 255\nabcd' >&7; done
}
have() { [ "$(wc -l <stored)" -ge "$1" ]; }
# Whoever inherits an orphan may be slow to bury it.
ended() {
	case $(ps -o stat= -p "$1") in '' | Z*) return 0 ;; esac
	return 1
}
all_ended() {
	local pid
	for pid; do ended "$pid" || return 1; done
}
children() { # PARENT N: its children are in $kids
	two() { [ "$(pgrep -cP "$1")" -eq "$2" ]; }
	wait_until 40 two "$1" "$2"
	mapfile -t kids < <(pgrep -P "$1")
	printf '%s\n' "${kids[@]}" >>pids
}
parent_and_sink() {
	start SINK "$stages" sink --in "bind:$rows" stored 3>&-
	start PARENT "$stages" relay -j 2 --in "$pictures" --out "connect:$rows" 3>&-
}
busy_line() { # its two workers are in $kids
	parent_and_sink
	camera
	exec 7>stream
	see 10
	wait_until 40 have 10
	children "$PARENT" 2
}
# All N are there and can be asked to leave.
in_session() { [ "$(ping --json --timeout 5s "$pictures" | jq .down)" -eq "$1" ]; }
complete() { awk '{ print $3 }' stored | sort -n | cmp - <(seq 0 $(($1 - 1))); }

@test "kill -9 of the parent: its workers hand back what they have and go, the line goes on without them" {
	busy_line
	kill -9 "$PARENT"
	wait_until 40 all_ended "${kids[@]}"
	run ! ended "$CAMERA"
	run ! ended "$SINK"
	start NEXT "$stages" relay --in "$pictures" --out "connect:$rows" 3>&- 7>&-
	see 10
	wait_until 40 have 20
	exec 7>&-
	wait "$CAMERA" && wait "$NEXT" && wait "$SINK"
	complete 20
}

@test "kill -9 of the parent in a pipe: its workers go, and the stages beside them do not wait" {
	start LINE bash -c 'set -o pipefail
		capture - <stream | sh -c "echo \$\$ >parent; exec \"\$stages\" relay -j 2" | "$stages" sink stored' 3>&-
	exec 7>stream
	see 10
	wait_until 40 have 10
	children "$(cat parent)" 2
	kill -9 "$(cat parent)"
	wait_until 40 all_ended "${kids[@]}"
	wait_until 40 ended "$LINE"
	run ! wait "$LINE"
	complete 10
}

@test "a worker that takes the place of a killed one after the end is asked to stop" {
	busy_line
	kill -STOP "$PARENT" # hears of the one that is killed only when the other has ended
	kill -9 "${kids[0]}"
	exec 7>&-
	wait "$CAMERA" && wait "$SINK"
	wait_until 40 ended "${kids[1]}"
	kill -CONT "$PARENT"
	wait_until 60 ended "$PARENT"
	wait "$PARENT"
	complete 10
}

@test "one worker that is asked to leave is not the end: another that is killed is replaced" {
	busy_line
	wait_until 40 in_session 2
	kill -TERM "${kids[0]}"
	wait_until 40 ended "${kids[0]}"
	kill -9 "${kids[1]}"
	wait_until 40 ended "${kids[1]}"
	children "$PARENT" 1
	see 10
	wait_until 40 have 20
	exec 7>&-
	wait "$CAMERA" && wait "$PARENT" && wait "$SINK"
	complete 20
}

@test "a worker that is asked to leave while it still begins is not replaced" {
	parent_and_sink
	children "$PARENT" 2
	kill -TERM "${kids[0]}" # mostly before it has a handler
	wait_until 40 ended "${kids[0]}"
	children "$PARENT" 1
	camera
	exec 7>stream
	see 10
	wait_until 40 have 10
	children "$PARENT" 1
	exec 7>&-
	wait "$CAMERA" && wait "$PARENT" && wait "$SINK"
	complete 10
}
