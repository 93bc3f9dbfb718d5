# The fault matrix, part two: the system below fails. Calls, disks, memory.
load helper
load faults/line

setup() {
	line_open
}

teardown() {
	line_close
}

# Programs under a sanitizer bring allocators of their own.
need_shim() {
	sanitized && skip "the shim does not go with a sanitizer"
	shim=$BUILD/test/fault_shim.so
}

sweep() {
	run "$PYTHON" "$TOP/tests/faults/sweep.py" "$BUILD" --sample "$1"
	echo "$output"
	injected "${lines[-1]}"
	[ "$status" -eq 0 ]
}

@test "the n-th allocation, write, sync or send of a stage fails: a clean error or another try" {
	need_shim
	sweep 1
}

# bats test_tags=long
@test "the n-th allocation, write, sync or send of a stage fails: hundreds of n" {
	need_shim
	sweep 25
}

# --- the disk ------------------------------------------------------------------------------------------

# x.db stands on a disk of its own, which is as large as it may be said later.
small_disk() {
	mkdir disk
	if mount -t tmpfs -o "size=$1" andon-faults disk 2>/dev/null; then
		DISK=mounted
		ln -s disk/x.db x.db
	else
		need_shim
		DISK=shim
	fi
}
fill_disk() {
	if [ "$DISK" = mounted ]; then
		dd if=/dev/zero of=disk/ballast bs=4k 2>/dev/null || true
	else
		touch full
	fi
}
free_disk() { rm -f disk/ballast full; }
start_sink_on_disk() {
	if [ "$DISK" = mounted ]; then
		with stage sink SINK
	else
		LD_PRELOAD=$shim SHIM_CALL=write SHIM_TIMES=0 SHIM_ERRNO=28 SHIM_WHILE=$PWD/full with stage sink SINK
	fi
}

# bats test_tags=long
@test "the sink's disk is full, then freed: nothing is acknowledged meanwhile, and it goes on by itself" {
	local before kib
	small_disk 8m
	start_sink_on_disk
	with stage infer I1
	with stage preprocess PREPROCESS
	with stage capture CAPTURE --rate 1000
	wait_until 40 have 300
	fill_disk
	injected "ENOSPC ($DISK) until it has said so and 3 s more"
	wait_until 40 log_says SINK 'disk full'
	sleep 2
	before=$(rows x.db)
	kib=$(awk '/VmRSS/ { print $2 }' "/proc/$CAPTURE/status")
	sleep 3
	[ "$(rows x.db)" -eq "$before" ]
	! ended "$CAPTURE"
	# What is not acknowledged is kept, 64 MiB at most; then there is no credit for more.
	echo "capture: $kib KiB, then $(awk '/VmRSS/ { print $2 }' "/proc/$CAPTURE/status")"
	sanitized || [ "$(awk '/VmRSS/ { print $2 }' "/proc/$CAPTURE/status")" -lt $((kib + 1024)) ]
	free_disk
	ends CAPTURE PREPROCESS I1 SINK
	log_says SINK 'nothing was lost'
	holds
}

# --- sources that begin again ----------------------------------------------------------------------------

# A folder of its own for a hot folder, with 300 pictures in it.
hot_folder() {
	local picture i
	mkdir inbox
	for picture in "$PICTURES"/*.png "$PICTURES"/*.jpg; do
		for i in 1 2 3 4 5; do cp "$picture" "inbox/$i-${picture##*/}"; done
	done
	files=$(find inbox -type f | wc -l)
	[ "$files" -eq 300 ]
}
start_hot() {
	with stage sink SINK
	with stage infer I1
	with stage preprocess PREPROCESS
	stage CAPTURE "${capture[@]:-capture}" --watch inbox --done done --out "$pictures" -vv "$@"
}
left() { find inbox -type f | wc -l; }
inbox_empty() { [ "$(left)" -eq 0 ]; }

# What has left the folder has a row: the cursor is never ahead of the store.
cursor_behind_rows() {
	find done -name '*-ring-*' -printf 'inbox/%f\n' 2>/dev/null | LC_ALL=C sort >moved
	sql x.db 'select image from results' 2>/dev/null | LC_ALL=C sort >stored
	[ -z "$(LC_ALL=C comm -23 moved stored)" ] || {
		echo "moved, and no row: $(LC_ALL=C comm -23 moved stored)"
		return 1
	}
}
all_of_the_folder() {
	wait_until 60 inbox_empty
	kill -TERM "$CAPTURE"
	ends CAPTURE PREPROCESS I1 SINK
	cursor_behind_rows
	[ "$(sql x.db 'select count(*), count(distinct image) from results')" = "$files|$files" ]
	[ "$(sql x.db "select count(*) from results where verdict = 'error' or label is null")" -eq 0 ]
	nothing_left
}

# bats test_tags=long
@test "a hot folder, all killed at once again and again: what has left the folder is stored, and all once" {
	local i
	injected "5 times SIGKILL to all four, 200 to 800 ms after the start, seed $SEED"
	hot_folder
	for i in 1 2 3 4 5; do
		start_hot --rate 100
		sleep "0.$((200 + RANDOM % 600))"
		kill9 "$CAPTURE" "$PREPROCESS" "$I1" "$SINK"
		cursor_behind_rows
	done
	echo "$(left) of $files to come after the last kill"
	start_hot
	all_of_the_folder
}

# bats test_tags=long
@test "a hot folder, killed between writing its journal anew and renaming it, and failing there" {
	injected "SIGKILL, then an error, between write and rename of the journal"
	hot_folder
	start_hot --rate 200
	wait_until 40 have 50
	kill9 "$CAPTURE"
	FAILPOINT=write-rename:1:kill stage CAPTURE "$BUILD/failpoints/bin/capture" --watch inbox --done done --out "$pictures"
	ends_with 137 CAPTURE
	FAILPOINT=write-rename:1:error stage CAPTURE "$BUILD/failpoints/bin/capture" --watch inbox --done done --out "$pictures"
	ends_with 74 CAPTURE
	[ "$(grep -c 'error: cannot write' log/CAPTURE)" -eq 1 ]
	stage CAPTURE capture --watch inbox --done done --out "$pictures" -vv
	all_of_the_folder
}

grey_pictures() { # N
	local i
	for ((i = 0; i < $1; i++)); do
		printf 'P5 16 16 255\n'
		head -c 256 "$MODEL"
	done
}

@test "a live capture restarts: a new run, in which nothing is swallowed" {
	injected "SIGKILL of a live capture; the camera goes on"
	grey_pictures 100 >stream
	with stage sink SINK
	with stage infer I1
	with stage preprocess PREPROCESS
	stage CAPTURE bash -c "exec capture - --name cam --rate 100 --out '$pictures' -vv <stream"
	wait_until 40 have 30
	kill9 "$CAPTURE"
	stage CAPTURE bash -c "exec capture - --name cam --out '$pictures' -vv <stream"
	ends CAPTURE PREPROCESS I1 SINK
	sql x.db 'select run, count(*), min(seq), max(seq) from results group by run order by run' >runs
	cat runs
	[ "$(wc -l <runs)" -eq 2 ]
	[[ $(tail -n 1 runs) == *"|100|0|99" ]]
	awk -F '|' '$2 != $4 + 1 || $3 != 0 { exit 1 }' runs # no gap in the one that was killed
	nothing_left
}

# bats test_tags=smoke
@test "kill between spool and send: what was spooled is stored under the key that it had" {
	injected "SIGKILL after a picture was spooled and before it was sent"
	grey_pictures 100 >stream
	with stage sink SINK
	with stage infer I1
	with stage preprocess PREPROCESS
	FAILPOINT=spool-send:30:kill stage CAPTURE bash -c "exec '$BUILD/failpoints/bin/capture' - --name cam --spool spool --out '$pictures' <stream"
	ends_with 137 CAPTURE
	stage CAPTURE bash -c "exec capture - --name cam --spool spool --out '$pictures' -vv <stream"
	ends CAPTURE PREPROCESS I1 SINK
	sql x.db 'select run, count(*), min(seq), max(seq) from results group by run order by run' >runs
	cat runs
	[[ $(tail -n 1 runs) == *"|100|0|99" ]]
	awk -F '|' '$2 != $4 + 1 || $2 < 30 || $3 != 0 { exit 1 }' runs
	[ "$(sql x.db 'select count(*) from drops')" -eq 0 ]
	sink --audit x.db
	nothing_left
}

@test "the same recording twice gives no new row, --run new gives all of them" {
	injected "the same 60 pictures three times"
	local again
	for again in '' '' '--run new'; do
		# shellcheck disable=SC2086
		(set -o pipefail && capture "$PICTURES" $again | preprocess | infer -m "$MODEL" | sink x.db 2>>log/SINK) 3>&-
		rows x.db
	done >counts
	[ "$(paste -sd ' ' counts)" = "60 60 120" ]
	sql x.db 'select image, scores, count(*) from results group by image, scores having count(*) <> 2' >odd
	[ ! -s odd ]
	sink --audit x.db
	nothing_left
}
