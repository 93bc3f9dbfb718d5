#!/usr/bin/env bats
# Sources: keys, loops, hot folders, restarts; with a driver in place of the link.
# shellcheck disable=SC2154  # start sets variables by name

setup() {
	load helper
	source=$BUILD/test/capture_source
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	end_started
}

# ppm FILE…: small pictures, each with bytes of its own.
ppm() {
	local file
	for file; do
		printf 'P6\n2 2\n255\n%12.12s' "${file##*/}" >"$file"
	done
}

keys() { # keys FILE…: what the driver printed, as "KEY PATH", each once
	awk 'NF > 4 || $5 { print $1, $2, $3, $4 }' "$@" | sort -u
}

@test "the keys of a folder are the same each time, one per place in the list" {
	mkdir photos
	ppm photos/{c,a,b}.ppm
	printf broken >photos/bb.png
	"$source" photos >first
	"$source" ./photos/ | sed 's|\./photos/|photos/|g' | cmp - first
	run cut -d' ' -f1,3- first
	[ "${lines[0]}" = "total" ] || [ "${lines[0]}" = "total 4" ]
	[ "${lines[1]}" = "photos 0 photos/a.ppm ok" ]
	[ "${lines[2]}" = "photos 1 photos/b.ppm ok" ]
	[[ "${lines[3]}" == "photos 2 photos/bb.png 'photos/bb.png': not a picture"* ]]
	[ "${lines[4]}" = "photos 3 photos/c.ppm ok" ]
}

@test "--loop counts on, --count stops, and both are announced" {
	mkdir photos
	ppm photos/{a,b,c}.ppm
	run "$source" --loop 3 photos
	[ "${lines[0]}" = "total 9" ]
	[ "${#lines[@]}" -eq 10 ]
	[[ "${lines[9]}" == *" 8 photos/c.ppm ok" ]]
	run "$source" --loop 0 --count 7 photos
	[ "${lines[0]}" = "total 7" ]
	[ "${#lines[@]}" -eq 8 ]
}

@test "--run decides the run, 'new' never repeats, nonsense is refused" {
	ppm a.ppm
	run "$source" --run 12 a.ppm
	[ "${lines[1]}" = "a.ppm 12 0 a.ppm ok" ]
	[ "$("$source" --run new a.ppm)" != "$("$source" --run new a.ppm)" ]
	run "$source" --run newer a.ppm
	[[ "$output" == "error 64 --run: 'newer'"* ]]
	run "$source" --run -1 a.ppm
	[[ "$output" == "error 64 --run"* ]]
}

@test "--rate spaces the pictures" {
	mkdir photos
	ppm photos/{a,b,c,d,e}.ppm
	local before after
	before=$(date +%s%N)
	"$source" --rate 20 photos
	after=$(date +%s%N)
	[ $((after - before)) -ge 200000000 ]
	[ $((after - before)) -lt 60000000000 ]
}

@test "nothing is taken when one of the operands does not exist" {
	ppm a.ppm
	run "$source" a.ppm nowhere.png
	[ "$output" = "error 66 'nowhere.png': No such file or directory" ]
	mkdir empty
	run "$source" empty
	[[ "$output" == *"error 66 there are no pictures" ]]
}

@test "a file that vanishes or changes after it was listed is an error row" {
	mkdir photos
	ppm photos/{a,b,c,d}.ppm
	start pid "$source" --rate 1 photos >out
	wait_until 5 grep -q a.ppm out
	kill -STOP "$pid"
	rm photos/c.ppm
	printf x >>photos/d.ppm
	kill -CONT "$pid"
	wait "$pid"
	grep 'b.ppm ok' out
	grep "c.ppm 'photos/c.ppm': cannot open: No such file" out
	grep "d.ppm 'photos/d.ppm': the file changed after it was listed" out
}

@test "names of sources are fit for files and addresses" {
	mkdir 'lot 7; rm *'
	ppm 'lot 7; rm *'/a.ppm
	run "$source" 'lot 7; rm *'
	[[ "${lines[1]}" == "lot_7__rm__ "* ]]
	cd 'lot 7; rm *'
	run "$source" .
	[[ "${lines[1]}" == "lot_7__rm__ "* ]]
}

@test "a hot folder: first what is there, then what comes, whole files only" {
	mkdir in
	ppm in/{b,a}.ppm
	start pid "$source" --watch in >out
	wait_until 5 grep -q b.ppm out
	ppm in/c.ppm
	wait_until 5 grep -q 'c.ppm ok' out
	ppm tmp.ppm
	mv tmp.ppm in/moved.ppm
	wait_until 5 grep -q 'moved.ppm ok' out
	echo text >in/notes.txt
	exec 7>in/slow.ppm # a writer that takes its time
	printf 'P6\n2 2\n' >&7
	ppm in/d.ppm
	wait_until 5 grep -q 'd.ppm ok' out
	run grep -c slow out
	[ "$output" = 0 ]
	printf '255\n123456789012' >&7
	exec 7>&-
	wait_until 5 grep -q 'slow.ppm ok' out
	run cut -d' ' -f3- out
	[ "${lines[*]}" = "0 in/a.ppm ok 1 in/b.ppm ok 2 in/c.ppm ok 3 in/moved.ppm ok 4 in/d.ppm ok 5 in/slow.ppm ok" ]
}

@test "a file that is linked in is taken, one that is made empty waits for its bytes" {
	mkdir in
	ppm whole.ppm
	start pid "$source" --watch in >out
	ln whole.ppm in/hard.ppm
	wait_until 5 grep -q 'hard.ppm ok' out
	ln -s ../whole.ppm in/soft.ppm
	wait_until 5 grep -q 'soft.ppm ok' out
	: >in/later.ppm
	ppm in/b.ppm
	wait_until 5 grep -q 'b.ppm ok' out
	ppm in/later.ppm
	wait_until 5 grep -q 'later.ppm ok' out
	: >in/empty.ppm
	wait_until 8 grep -q "empty.ppm 'in/empty.ppm': the file is empty" out
	# On a busy machine later.ppm may have been empty for too long, and is a part of its own as that too.
	[ "$(grep -vc "later.ppm 'in/later.ppm': the file is empty" out)" -eq 5 ]
}

@test "a file that is open for writing when the watch begins is taken when it is closed" {
	mkdir in
	exec 7>in/slow.ppm
	printf 'P6\n2 2\n' >&7
	start pid "$source" --watch in >out 7>&- # or it would hold the file open itself
	ppm in/a.ppm
	wait_until 5 grep -q a.ppm out
	printf '255\n123456789012' >&7
	exec 7>&-
	wait_until 5 grep -q 'slow.ppm ok' out
	[ "$(wc -l <out)" -eq 2 ]
}

@test "a file that is written again is another part" {
	mkdir in
	ppm in/latest.ppm
	start pid "$source" --watch in >out
	wait_until 5 grep -q ' 0 in/latest' out
	printf 'P5\n1 1\n255\nx' >in/latest.ppm
	wait_until 5 grep -q ' 1 in/latest' out
	touch -r in/latest.ppm stamp
	: >>in/latest.ppm # opened and closed, not changed
	touch -r stamp in/latest.ppm
	ppm in/x.ppm
	wait_until 5 grep -q ' 2 in/x' out
}

@test "--done moves what is acknowledged, never over another file" {
	mkdir in
	ppm in/{a,b}.ppm
	printf broken >in/c.png
	mkdir in/done
	echo old >in/done/b.ppm
	"$source" --watch --idle 300 --done in/done in >out
	[ "$(wc -l <out)" -eq 3 ]
	[ "$(find in -maxdepth 1 -type f | wc -l)" -eq 0 ]
	[ -e in/done/a.ppm ]
	[ -e in/done/c.png ]
	[ "$(cat in/done/b.ppm)" = old ]
	[ "$(find in/done -name 'b.*-1.ppm' | wc -l)" -eq 1 ]
}

@test "capture killed at any moment: each file keeps its key, all are done in the end" {
	local crash ack
	mkdir fresh
	(cd fresh && for n in {001..80}; do ppm "$n.ppm"; done)
	for crash in 1 66 80; do # keys are given to 64 files at once
		for ack in 0 1 60; do
			rm -rf in out*
			cp -r fresh in
			"$source" --watch --done in/done --crash "$crash" --ack "$ack" in >out1 || [ $? -eq 9 ]
			ppm in/late.ppm
			"$source" --watch --done in/done --idle 100 --crash "$crash" --ack "$ack" in >out2 || [ $? -eq 9 ]
			"$source" --watch --done in/done --idle 100 in >out3
			[ "$(find in -maxdepth 1 -type f | wc -l)" -eq 0 ]
			[ "$(find in/done -name '*.ppm' | wc -l)" -eq 81 ]
			# as many keys as paths, and as many as files: none lost, none twice
			[ "$(keys out1 out2 out3 | cut -d' ' -f1-3 | sort -u | wc -l)" -eq 81 ]
			[ "$(keys out1 out2 out3 | cut -d' ' -f4 | sort -u | wc -l)" -eq 81 ]
			[ "$(keys out1 out2 out3 | wc -l)" -eq 81 ]
		done
	done
}

@test "names with blanks and line ends survive a crash" {
	mkdir in
	ppm 'in/ a b.ppm' $'in/x\ny.ppm'
	"$source" --watch --done in/done --crash 2 --ack 0 in >out1 || [ $? -eq 9 ]
	"$source" --watch --done in/done --idle 100 in >out2
	[ "$(awk '{print $2, $3}' out1 out2 | sort -u | wc -l)" -eq 2 ]
	[ -e $'in/done/x\ny.ppm' ]
	[ -e 'in/done/ a b.ppm' ]
}

@test "two captures do not empty one folder" {
	mkdir in
	ppm in/a.ppm
	start pid "$source" --watch --done in/done in >out
	wait_until 5 grep -q a.ppm out
	run "$source" --watch --done in/done in
	[[ "$output" == "error 75 another capture empties this folder" ]]
}

@test "a hot folder that goes away ends the watch" {
	mkdir in
	start pid "$source" --watch in >out
	ppm in/a.ppm
	wait_until 5 grep -q a.ppm out
	rm -r in
	wait_until 5 grep -q "error 66 folder 'in' is gone" out
}

@test "options that do not go together are refused in words" {
	mkdir in
	run "$source" --watch in other
	[[ "$output" == "error 64 --watch takes one folder" ]]
	run "$source" --watch --loop 2 in
	[[ "$output" == "error 64 --loop"* ]]
	run "$source" --watch --run 3 in
	[[ "$output" == "error 64 --run"* ]]
	run "$source" --done x in
	[[ "$output" == "error 64 --done"* ]]
	run "$source" --watch --done in in
	[[ "$output" == "error 64 --done"*"itself"* ]]
	run "$source" - in
	[[ "$output" == "error 64 '-'"* ]]
	run "$source" --watch nowhere
	[[ "$output" == "error 66 cannot open folder 'nowhere'"* ]]
}

@test "pictures on standard input have a run that never comes again" {
	ppm a.ppm
	"$source" - < <(cat a.ppm a.ppm) >one
	"$source" - < <(cat a.ppm a.ppm) >two
	[ "$(wc -l <one)" -eq 2 ]
	[ "$(awk '{print $1, $3, $5}' one | tr '\n' ,)" = "stdin 0 ok,stdin 1 ok," ]
	[ "$(awk '{print $2}' one two | sort -u | wc -l)" -eq 2 ]
	run "$source" - </dev/null
	[ "$output" = "error 66 no picture came on standard input" ]
}

@test "a broken stream is one error row, and the next picture is the next part" {
	ppm a.ppm
	"$source" - < <(cat a.ppm; echo garbage; cat a.ppm; head -c 12 a.ppm) >out
	run cut -d' ' -f3- out
	[ "${#lines[@]}" -eq 4 ]
	[ "${lines[0]}" = "0 - ok" ]
	[[ "${lines[1]}" == "1 - the stream is broken at byte 23: not a picture"* ]]
	[ "${lines[2]}" = "2 - ok" ]
	[[ "${lines[3]}" == "3 - the stream is broken at byte 54: it ends within a picture"* ]]
}

@test "a folder of some thousand files is listed at once" {
	mkdir many
	(cd many && seq -f '%06g.ppm' 0 2999 | xargs touch)
	run timeout 100 "$source" --count 2 many
	[ "${lines[0]}" = "total 2" ]
	[ "${#lines[@]}" -eq 3 ]
}
