#!/usr/bin/env bats
# Frames that kill whoever works on them: three crashes, a tombstone in the store, the frame in a folder, and
# a verdict once there is a worker that bears it.
# shellcheck disable=SC2154  # start sets variables by name

setup() {
	load helper
	cd "$BATS_TEST_TMPDIR" || return
	parts=$TOP/pipelines/demo/parts model=$TOP/pipelines/demo/rings.onnx
	recipe=$(jq -r .recipe "$TOP/pipelines/demo/rings.json")
	in=ipc://$BATS_TEST_TMPDIR/in out=ipc://$BATS_TEST_TMPDIR/out
}

teardown() {
	end_started
}

# A worker that dies of frame 7, as often as it is started again by whoever looks after it.
deadly_worker() {
	"$BASH" -c 'until "$@" 2>/dev/null; do echo died >>deaths; done' worker "$BUILD/test/common_stages" relay \
		--kill-at 7 --in "$in" --out "connect:$out" 2>/dev/null
}

calm_scores() { # the scores of part 7 if nobody dies
	capture "$parts" | preprocess | infer -m "$model" | sink calm.db --quiet
	sql calm.db 'select scores from results where seq = 7'
}

ends() {
	wait_until 60 bash -c "! kill -0 ${!1} 2>/dev/null"
	wait "${!1}"
}

buried() { # SOURCE: one frame killed three workers, the others are fine, and it is kept
	ends WORKER
	ends SINK
	[ "$(wc -l <deaths)" -eq 3 ]
	[ "$(rows x.db)" -eq 60 ]
	[ "$(sql x.db "select seq || ' ' || verdict || ' ' || tries || ' ' || reason from results where reason like '%died%'")" = \
		"7 error 3 3 workers died or hung over this frame: no more try it" ]
	[ "$(find dead -type f | wc -l)" -eq 1 ]
	[ -e "dead/parts-$(sql x.db 'select distinct run from results')-7.frame" ]
	sink --audit x.db
}

replayed() { # DB: the part has the verdict that it would have had
	[ "$(rows "$1")" -eq 1 ]
	[ "$(sql "$1" 'select scores from results')" = "$(calm_scores)" ]
	[ "$(sql "$1" "select json_extract(meta, '\$.dead_source') || ' ' || json_extract(meta, '\$.dead_seq') from results")" = "parts 7" ]
	[ "$(sql "$1" "select json_extract(meta, '\$.dead_run') from results")" = "$(sql x.db 'select distinct run from results')" ]
	[ "$(sql "$1" "select source || ' ' || seq || ' ' || image from results")" = "dead 0 $(echo dead/*.frame)" ]
}

@test "a tensor that kills three workers is kept by preprocess, and gets its verdict from a healthy one" {
	start SINK sink --in "bind:$out" x.db --quiet --good ok:0.5
	start WORKER deadly_worker
	capture "$parts" | preprocess --recipe "$recipe" --out "$in" --dead-letter dead 2>err
	grep -q "parts 7 is kept as 'dead/parts-[0-9]*-7.frame'" err
	buried
	set -o pipefail
	capture dead | preprocess | infer -m "$model" | sink r.db --quiet
	replayed r.db
	capture dead | infer -m "$model" | sink direct.db --quiet
	replayed direct.db
	# Another recipe's tensor is no picture of this one's.
	capture dead | preprocess --preset imagenet | "$BUILD/test/common_stages" relay | sink other.db --quiet
	[ "$(sql other.db 'select reason from results')" = "the frame is a tensor of another recipe, not a picture" ]
}

@test "a picture that kills three workers is kept by capture, and gets its verdict from a healthy one" {
	start SINK sink --in "bind:$out" x.db --quiet
	start WORKER deadly_worker
	capture "$parts" --out "$in" --dead-letter dead
	buried
	set -o pipefail
	capture dead | preprocess | infer -m "$model" | sink r.db --quiet
	replayed r.db
	capture - <dead/*.frame | preprocess | infer -m "$model" | sink s.db --quiet
	[ "$(sql s.db 'select scores from results')" = "$(sql r.db 'select scores from results')" ]
}

@test "what lies where a letter is first written is neither waited for nor written to" {
	mkdir dead
	start SINK sink --in "bind:$out" x.db --quiet
	start CAPTURE capture "$parts" --out "$in" --dead-letter dead
	mkfifo "dead/.letter-$CAPTURE"
	start WORKER deadly_worker
	ends CAPTURE
	buried
	[ -z "$(find dead -type p)" ]
}

@test "no letter is written over another, damaged ones are error rows" {
	for _ in 1 2; do
		rm -f x.db* deaths
		start SINK sink --in "bind:$out" x.db --quiet
		start WORKER deadly_worker
		capture "$parts" --out "$in" --dead-letter dead --quiet --run 5
		ends WORKER
		ends SINK
	done
	[ -e dead/parts-5-7.2.frame ]
	[ "$(find dead -type f | wc -l)" -eq 2 ]
	head -c 1000 dead/parts-5-7.frame >dead/short.frame
	{ head -c 5000 dead/parts-5-7.frame; printf X; tail -c +5002 dead/parts-5-7.frame; } >dead/changed.frame
	rm x.db*
	capture dead | preprocess | infer -m "$model" | sink x.db --quiet
	[ "$(sql x.db "select count(*) from results where label is not null")" -eq 2 ]
	[ "$(sql x.db "select reason from results where image like '%short%'")" = "'dead/short.frame': frame: the file ends too early" ]
	[ "$(sql x.db "select reason from results where image like '%changed%'")" = \
		"'dead/changed.frame': frame: the checksum of its payload is wrong" ]
}

@test "a letter that another program wrote from PROTOCOL.md is read" {
	mkdir dead
	{ printf 'ANDON F\n' && cat "$TOP/tests/fuzz/corpus/capture_frame/picture"; } >dead/a.frame
	capture dead | "$BUILD/test/common_stages" relay | sink x.db --quiet
	[ "$(sql x.db 'select meta from results')" = '{"dead_source":"parts","dead_run":5,"dead_seq":7,"dead_ts":1790000000000000000,"dead_path":"a.png","width":2,"height":2}' ]
}

@test "a folder that cannot be written, and --max-tries 0, are refused in words" {
	touch file
	run -73 --separate-stderr capture "$parts" --out "$in" --dead-letter file
	[[ $stderr == *"--dead-letter: cannot"*"'file'"* ]]
	run -64 --separate-stderr capture "$parts" --out "$in" --dead-letter dead --max-tries 0
	[[ $stderr == *"--dead-letter: with --max-tries 0 no frame is ever given up"* ]]
	run -64 --separate-stderr sink x.db --dead-letter dead
}
