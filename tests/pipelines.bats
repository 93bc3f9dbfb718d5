#!/usr/bin/env bats
# The scripts in pipelines/ as a user runs them, and the dispatcher that make install puts into bin.

load helper

parts=$TOP/pipelines/demo/parts
model=$TOP/pipelines/demo/rings.onnx

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	db=$BATS_TEST_TMPDIR/out.db
}

teardown() {
	end_started
}

# many COUNT: a folder of that many pictures, made of the demo's under new names.
many() {
	mkdir many
	"$PYTHON" - "$1" "$parts" <<-'END'
		import glob, os, sys
		names = sorted(glob.glob(sys.argv[2] + "/*.png"))
		for i in range(int(sys.argv[1])):
		    os.symlink(names[i % len(names)], "many/%05d.png" % i)
	END
}

at_least() { [ "$(rows "$1" 2>/dev/null || echo 0)" -ge "$2" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }

@test "01 classifies a folder, and a second time stores nothing twice" {
	run -0 --separate-stderr "$TOP/pipelines/01-classify-folder.sh" "$parts" "$model" "$db" --good good:0.8 rows.jsonl
	[ "$(rows "$db")" -eq 60 ]
	[ "$(wc -l <rows.jsonl)" -eq 60 ]
	[ "$(sql "$db" "select count(*) from results where verdict is null or verdict = 'error'")" -eq 0 ]
	run -0 "$TOP/pipelines/01-classify-folder.sh" "$parts" "$model" "$db"
	[ "$(rows "$db")" -eq 60 ]
}

@test "01 fails when the model is none, and stores nothing" {
	echo nonsense >broken.onnx
	run "$TOP/pipelines/01-classify-folder.sh" "$parts" broken.onnx "$db"
	[ "$status" -ne 0 ]
	[[ $output == *broken.onnx* ]]
	[ ! -e "$db" ] || [ "$(rows "$db")" -eq 0 ]
}

@test "02 classifies what comes into a hot folder, moves it away, and ends in order" {
	mkdir hot
	cp "$parts"/ring-00[1-5].png hot/
	start script setsid "$TOP/pipelines/02-watch-folder.sh" hot "$model" "$db" --good good:0.8 >lines
	wait_until 30 at_least "$db" 5
	for n in 11 12 13; do
		cp "$parts/ring-0$n.png" "hot/.part" && mv hot/.part "hot/ring-0$n.png"
	done
	cp "$parts/ring-014.png" hot/
	wait_until 30 at_least "$db" 9
	moved() { [ "$(find hot/done -name '*.png' | wc -l)" -eq 9 ]; }
	wait_until 30 moved
	[ -z "$(find hot -maxdepth 1 -name '*.png')" ]
	kill -TERM -- "-$script" # as a supervisor does: the whole group
	wait_until 30 gone "$script"
	wait "$script"
	[ "$(rows "$db")" -eq 9 ]
	[ "$(jq -r .verdict lines | wc -l)" -eq 9 ]
	sink --audit "$db"
}

@test "03 local: several workers, every picture once" {
	many 300
	run -0 "$TOP/pipelines/03-scale-workers.sh" local many "$model" "$db" 3
	[ "$(rows "$db")" -eq 300 ]
	[ "$(sql "$db" 'select count(distinct image) from results')" -eq 300 ]
}

@test "03 head and workers: one killed in the middle, no row lost and none twice" {
	many 3000 # so that there is a middle, however late this looks
	WORK_PORT=$(free_port 2)
	export WORK_PORT RESULT_PORT=$((WORK_PORT + 1))
	local scale=$TOP/pipelines/03-scale-workers.sh
	start head "$scale" head many "$model" "$db"
	start first "$scale" worker "$model"
	start second "$scale" worker "$model"
	wait_until 30 at_least "$db" 50
	kill -9 "$first"
	wait "$head"
	wait "$second"
	[ "$(rows "$db")" -eq 3000 ]
	[ "$(sql "$db" 'select count(distinct seq) from results')" -eq 3000 ]
	[ "$(sql "$db" "select count(*) from results where verdict = 'error'")" -eq 0 ]
	sink --audit "$db"
}

@test "04 classifies what ffmpeg gives" {
	command -v ffmpeg >/dev/null || skip "no ffmpeg"
	run -0 "$TOP/pipelines/04-ffmpeg-camera.sh" test "$model" "$db" 25
	[ "$(rows "$db")" -eq 25 ]
	[ "$(sql "$db" "select count(*) from results where source = 'camera' and label is not null")" -eq 25 ]
	ffmpeg -nostdin -loglevel error -f lavfi -i testsrc=size=160x120:rate=10 -t 3 -c:v mjpeg film.avi
	FPS=5 NAME=film run -0 "$TOP/pipelines/04-ffmpeg-camera.sh" film.avi "$model" film.db
	[ "$(rows film.db)" -eq 15 ]
}

@test "04 ends in order when it is told to stop" {
	command -v ffmpeg >/dev/null || skip "no ffmpeg"
	FPS=10 start script setsid "$TOP/pipelines/04-ffmpeg-camera.sh" test "$model" "$db"
	wait_until 30 at_least "$db" 20
	kill -TERM -- "-$script"
	wait_until 30 gone "$script"
	wait "$script"
	sink --audit "$db"
}

@test "04 fails when the camera does" {
	command -v ffmpeg >/dev/null || skip "no ffmpeg"
	run "$TOP/pipelines/04-ffmpeg-camera.sh" no-such-film.mp4 "$model" "$db"
	[ "$status" -ne 0 ]
	[[ $output == *no-such-film.mp4* ]]
}

@test "04 says how to install ffmpeg where it is missing" {
	mkdir empty
	run -69 env PATH="$PWD/empty" /bin/bash "$TOP/pipelines/04-ffmpeg-camera.sh" test "$model"
	[[ $output == *"apt-get install ffmpeg"* ]]
}

@test "scripts called wrongly say how to call them" {
	local script
	for script in "$TOP"/pipelines/0*.sh; do
		run -64 --separate-stderr "$script"
		[ -z "$output" ]
		[[ $stderr == *"${script##*/}"* ]]
		run -64 --separate-stderr "$script" --help
	done
	run -64 "$TOP/pipelines/03-scale-workers.sh" sideways a b c
}

@test "andon runs the programs that make install put away, and tells what there is" {
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s -C "$TOP" B="$BUILD" install DESTDIR="$PWD/root" PREFIX=/opt/andon >make.log 2>&1
	andon=root/opt/andon/bin/andon
	[ -x "$andon" ]
	# The path that is written in it holds below the root only.
	sed "s|/opt/andon|$PWD/root/opt/andon|" "$andon" >here && chmod +x here
	run -0 ./here --help
	for name in capture preprocess infer sink; do
		[[ $output == *"  $name "* ]]
	done
	[[ "$(./here --version)" =~ ^andon\ [0-9.]+$ ]]
	[ "$(./here --exec-path)" = "$PWD/root/opt/andon/lib/andon" ]
	diff <(./here sink --help) <(sink --help)
	diff <(./here help infer) <(infer --help)
	run -64 ./here nonsense
	[[ $output == *"'nonsense' is not a command"* ]]
	run -64 ./here ../bin/andon
	run -64 ./here
	run -64 ./here sink --nonsense
	set -o pipefail
	./here capture "$parts" | ./here preprocess | ./here infer -m "$model" | ./here sink --quiet "$db"
	[ "$(rows "$db")" -eq 60 ]
}

@test "andon finds the programs of its checkout" {
	diff <(BUILD=$BUILD "$TOP/pipelines/andon.sh" capture --help) <(capture --help)
}
