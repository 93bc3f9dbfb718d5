# shellcheck disable=SC2154 # start sets the variables it is told
load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	FEED=$BUILD/test/sink_feed
	[ -x "$FEED" ] || skip "tests/c/sink_feed is not built"
}

teardown() {
	end_started
	[ ! -d "$BATS_TEST_TMPDIR/small" ] || umount "$BATS_TEST_TMPDIR/small" 2>/dev/null || true
}

# feed OPTION… : the scores of sink_feed into `sink $SINK_ARGS`; fails as either of them does.
feed() {
	set -o pipefail
	"$FEED" "$@" | sink "${sink[@]}"
}

# ends CODE PID: the process ends with this code. (`run wait` would not be its parent.)
ends() {
	local code=0
	wait "$2" || code=$?
	[ "$code" -eq "$1" ] || { echo "ended with $code, not $1"; return 1; }
}

# Are the rows of a store and a file of JSON Lines the very same? (jq would round nanoseconds.)
same_times() {
	"$PYTHON" -c 'import json, sqlite3, sys
a = sorted(sqlite3.connect(sys.argv[1]).execute("select seq, result_ts from results"))
b = sorted((r["seq"], r["result_ts"]) for r in map(json.loads, open(sys.argv[2])))
sys.exit(a != b)' "$1" "$2"
}

@test "every part becomes a row in the store, JSON Lines and CSV alike" {
	sink=(r.db r.jsonl r.csv --good ok:0.9 --ng scratch:0.6)
	run -0 feed --count 500 --fail-at 17
	run -0 "$PYTHON" - <<-'END'
		import csv, json, sqlite3
		names = [d[0] for d in sqlite3.connect("r.db").execute("select * from results").description][1:]
		rows = {r[2]: dict(zip(names, r)) for r in sqlite3.connect("r.db").execute(
		    "select %s from results" % ",".join(names))}
		lines = [json.loads(l) for l in open("r.jsonl")]
		table = list(csv.DictReader(open("r.csv", newline="")))
		assert len(rows) == len(lines) == len(table) == 500
		assert list(table[0]) == names, names
		for line in lines:
		    row, cells = rows[line["seq"]], table[[int(t["seq"]) for t in table].index(line["seq"])]
		    assert line.pop("v") == 1
		    for name in names:
		        said = line.get(name)
		        stored = json.loads(row[name]) if name in ("scores", "timings", "meta") and row[name] else row[name]
		        assert said == stored, (name, said, stored)
		        cell = cells[name]
		        if name in ("scores", "timings", "meta") and cell: cell = json.loads(cell)
		        elif isinstance(said, (int, float)): cell = type(said)(cell)
		        elif said is None: assert cell == ""; cell = None
		        assert cell == said, (name, cell, said)
		assert rows[17]["verdict"] == "error" and "not a picture" in rows[17]["reason"]
		assert open("r.csv", "rb").read().count(b"\r\n") == 501
	END
}

@test "the same run again stores nothing twice and balances" {
	sink=(r.db r.jsonl)
	run -0 feed --count 300
	run -0 feed --count 300
	[[ "$output" == *"300 parts, 0 stored, 300 duplicates"* ]]
	[[ "$output" == *"300 emitted, 300 rows"*"balanced"* ]]
	[ "$(rows r.db)" -eq 300 ]
	[ "$(wc -l <r.jsonl)" -eq 300 ]
	run -0 sink --audit r.db
	[[ "$output" == *"balanced"* ]]
}

@test "a text file that is named later gets the stored rows" {
	sink=(r.db)
	run -0 feed --count 50
	sink=(r.db r.jsonl)
	run -0 feed --count 50
	[ "$(wc -l <r.jsonl)" -eq 50 ]
	same_times r.db r.jsonl
}

@test "verdicts follow the rules: ng first, good by the top label, else uncertain" {
	sink=(r.db --good ok:0.9 --ng scratch:0.6)
	run -0 feed --count 300
	[ "$(sql r.db "select count(*) from results where verdict='good'")" -eq \
		"$(sql r.db "select count(*) from results where label='ok' and score >= 0.9")" ]
	[ "$(sql r.db "select count(*) from results where verdict='ng'")" -eq \
		"$(sql r.db "select count(*) from results where label='scratch' and score >= 0.6")" ]
	[ "$(sql r.db "select count(*) from results where verdict='uncertain' and label='dent'")" -eq 100 ]
	[ "$(sql r.db "select distinct reason from results where label='dent'")" = "no rule for 'dent'" ]
	[ "$(sql r.db "select distinct threshold from results where verdict='good'")" = 0.9 ]
}

@test "without rules the verdict is empty and the label stands" {
	sink=(r.db -)
	run -0 --separate-stderr feed --count 3
	[ "$(jq -c '[.verdict, .label]' <<<"$output")" = '[null,"ok"]
[null,"scratch"]
[null,"dent"]' ]
	[ "$(sql r.db 'select count(*) from results where verdict is null')" -eq 3 ]
}

@test "a rule for a label that the model lacks is told, and nothing is called good" {
	sink=(r.db --good ok:0.1 --ng scrach:0.6)
	run -0 feed --count 30
	[[ "$output" == *"no label 'scrach' (it has ok|scratch|dent)"* ]]
	[ "$(sql r.db "select count(*) from results where verdict='good'")" -eq 0 ]
	[[ "$(sql r.db "select reason from results where label='ok' limit 1")" == *"'scrach'"* ]]
}

@test "with a label file a rule for a label that is not in it is refused at the start" {
	printf 'ok\nscratch\ndent\n' >labels.txt
	run -64 sink --labels labels.txt --ng scrach:0.6 r.db </dev/null
	[[ "$output" == *"has no 'scrach'"* ]]
	[ ! -e r.db ]
	sink=(r.db --labels labels.txt --good ok:0.5 --ng dent:0.5)
	run -0 feed --count 30 --no-labels
	[ "$(sql r.db "select count(*) from results where verdict in ('good', 'ng')")" -gt 0 ]
}

@test "rules that make no sense are usage errors that quote them" {
	local rule
	for rule in ok ok: :0.5 ok:much ok:nan; do
		run -64 sink --good "$rule" r.db </dev/null
		[[ "$output" == *"'$rule'"* ]]
	done
	run -64 sink --good a:0.5 --good a:0.6 r.db </dev/null
	[[ "$output" == *"two rules for 'a'"* ]]
}

@test "a score that is not a number is no verdict but an error row" {
	sink=(r.db --good ok:0.1)
	run -0 feed --count 10 --nan-at 3
	[ "$(sql r.db "select seq, verdict, reason, label is null from results where verdict='error'")" = \
		"3|error|the score of class 0 is not a number|1" ]
}

@test "drops are counted and the books balance with them" {
	sink=(r.db)
	run -0 feed --count 10 --drop-at 4
	[[ "$output" == *"10 emitted, 9 rows (0 errors), 1 dropped: balanced"* ]]
	[ "$(sql r.db 'select first, last, reason from drops')" = "4|4|spool full" ]
	run -0 sink --audit r.db
}

@test "text has no place for drops: they are named at the end" {
	sink=(r.jsonl r.csv)
	run -0 feed --count 10 --drop-at 4
	[[ "$output" == *"1 dropped: balanced"* ]]
	[[ "$output" == *"stand in no output, only in a store (.db): "*"/7: 4"* ]]
	sink=(s.jsonl s.db)
	run -0 feed --count 10 --drop-at 4
	[[ "$output" != *"stand in no output"* ]]
}

@test "a run that does not begin at 0 balances, however slowly it comes" {
	sink=(r.db)
	run -0 feed --first 10 --count 30 --rate 20
	[[ "$output" == *"30 emitted, 30 rows (0 errors), 0 dropped: balanced"* ]]
	run -0 sink --audit r.db
	[ "$(sql r.db 'select first, emitted, ended, model from runs')" = "10|30|1|feed" ]
	run -0 feed --first 12 --count 5
	[ "$(sql r.db 'select first, emitted from runs')" = "10|30" ]
}

@test "a missing frame is named, and exits 65; the audit finds it later" {
	local name
	for name in r.db r.jsonl r.csv; do
		sink=("$name")
		run -65 feed --count 10 --hide-at 4
		[[ "$output" == *"1 MISSING: 4"* ]]
	done
	run -1 sink --audit r.db
	[[ "$output" == *"1 MISSING: 4"* ]]
}

@test "rows that somebody deletes are missed by the audit, as ranges" {
	sink=(r.db)
	run -0 feed --count 100
	sql r.db 'delete from results where seq in (3, 50, 51, 52, 99)'
	run -1 sink --audit r.db
	[[ "$output" == *"5 MISSING: 3, 50-52, 99"* ]]
}

@test "killed with SIGKILL again and again, every row is there once, in all outputs" {
	local url=ipc://$BATS_TEST_TMPDIR/feed i
	start feeder "$FEED" --count 1000000 --rate 1000 --out "$url" --heartbeat 200ms -vv 2>feeder.log
	for i in 1 2 3 4 5; do
		start sinker sink -vv --in "$url" r.db r.jsonl r.csv 2>>sink.log
		wait_until 20 test_rows_at_least $((i * 400)) || { cat ./*.log; return 1; }
		kill -9 "$sinker"
	done
	start sinker sink -vv --in "$url" r.db r.jsonl r.csv 2>>sink.log
	wait_until 20 test_rows_at_least 2400
	kill -TERM "$feeder"
	ends 0 "$sinker"
	ends 0 "$feeder"
	local n
	n=$(rows r.db)
	[ "$(sql r.db 'select max(seq) + 1 from results')" -eq "$n" ]
	[ "$(sql r.db 'pragma integrity_check')" = ok ]
	[ "$(jq -r .seq r.jsonl | sort -n | uniq | wc -l)" -eq "$n" ]
	[ "$(wc -l <r.jsonl)" -eq "$n" ]
	[ "$("$PYTHON" -c 'import csv; print(len({r["seq"] for r in csv.DictReader(open("r.csv", newline=""))}))')" -eq "$n" ]
	[ "$(wc -l <r.csv)" -eq $((n + 1)) ]
	run -0 sink --audit r.db
	same_times r.db r.jsonl
}

test_rows_at_least() {
	[ -e r.jsonl ] && [ "$(wc -l <r.jsonl)" -ge "$1" ]
}

@test "a stream that breaks off exits 75, and the audit says that the end was not seen" {
	local url=ipc://$BATS_TEST_TMPDIR/feed
	start feeder "$FEED" --count 100000 --rate 500 --out "$url" 2>/dev/null
	wait_until 20 test -S "${url#ipc://}"
	start sinker sink --in "$url" --orphan-timeout 2s --heartbeat 100ms r.db 2>sink.log
	wait_until 20 test_stored 50
	kill -9 "$feeder"
	ends 75 "$sinker"
	grep -q "the stream broke off" sink.log
	run -1 sink --audit r.db
	[[ "$output" == *"end of stream not seen"* ]]
}

test_stored() {
	[ -e r.db ] && [ "$(rows r.db)" -ge "$1" ]
}

@test "SIGTERM ends sink with exit 0 and what it had is stored" {
	local url=ipc://$BATS_TEST_TMPDIR/feed
	start feeder "$FEED" --count 100000 --rate 500 --out "$url" 2>/dev/null
	start sinker sink --in "$url" r.db 2>sink.log
	wait_until 20 test_stored 20
	kill -TERM "$sinker"
	ends 0 "$sinker"
	[ "$(sql r.db 'pragma integrity_check')" = ok ]
}

@test "when the reader of standard output goes, sink exits 74 and the source is told" {
	run bash -c "set -o pipefail; '$FEED' --count 5000 2>feed.log | { sink - 2>sink.log; echo \$? >code; } | head -n 1"
	[ "$(cat code)" -eq 74 ]
	grep -q "standard output: its reader has gone" sink.log
	[ "${#lines[@]}" -eq 1 ]
	[ "$status" -ne 0 ]
}

@test "standard output carries JSON Lines, or CSV when asked" {
	sink=(csv:-)
	run -0 --separate-stderr feed --count 2
	[[ "${lines[0]}" == source,run,seq,* ]]
	[ "${#lines[@]}" -eq 3 ]
}

@test "what sink does not know, or what is not its own, is refused and left as it is" {
	run -64 sink </dev/null
	[[ "$output" == *"at least one output"* ]]
	run -64 sink results.xls </dev/null
	[[ "$output" == *"csv:results.xls"* ]]
	run -64 sink a.db db:a.db </dev/null
	[[ "$output" == *"twice"* ]]
	sqlite3 foreign.db 'create table t(x); insert into t values(1)'
	cp foreign.db copy.db
	run -65 sink foreign.db </dev/null
	[[ "$output" == *"not a store of andon"* ]]
	cmp foreign.db copy.db
	run -65 sink --audit foreign.db
	run -73 sink nowhere/r.db </dev/null
	[[ "$output" == *"nowhere/r.db: No such file"* ]]
	run -73 sink nowhere/r.csv </dev/null
	run -66 sink --audit nothing.db
	[ ! -e nothing.db ]
}

@test "a store of a newer schema is refused in words" {
	sink=(r.db)
	run -0 feed --count 1
	sql r.db 'pragma user_version=99' && sql r.db 'pragma wal_checkpoint' >/dev/null
	run -65 sink r.db </dev/null
	[[ "$output" == *"newer andon (schema 99"* ]]
}

@test "two sinks do not share a text file" {
	: >r.jsonl
	start locker flock --no-fork r.jsonl sleep 1000
	wait_until 5 bash -c '! flock -n r.jsonl true'
	run -75 sink r.jsonl </dev/null
	[[ "$output" == *"another process is writing to it"* ]]
}

@test "while another process locks the store sink waits, says so, and loses nothing" {
	sink=(r.db)
	run -0 feed --count 1 --run 1
	start locker "$PYTHON" -c "
import os, sqlite3, time
c = sqlite3.connect('r.db', isolation_level=None)
c.execute('begin immediate'); open('locked', 'w')
while not os.path.exists('enough'): time.sleep(0.02)
c.execute('rollback')"
	wait_until 10 test -e locked
	start feeding feed --count 20 >said 2>&1
	wait_until 20 grep -q "r.db: locked by another process: waiting" said
	touch enough
	ends 0 "$feeding"
	grep -q "stored again after" said
	[ "$(rows r.db)" -eq 21 ]
}

@test "while the disk is full nothing is acknowledged; when there is room it goes on" {
	mkdir small
	mount -t tmpfs -o size=1m tmpfs small 2>/dev/null || skip "mounting needs root"
	local url=ipc://$BATS_TEST_TMPDIR/feed
	head -c 700k /dev/zero >small/filler
	start feeder "$FEED" --count 1500 --out "$url" 2>/dev/null
	start sinker sink --in "$url" small/r.db small/r.jsonl 2>sink.log
	wait_until 20 grep -q "disk full: waiting" sink.log
	kill -0 "$feeder"
	mount -o remount,size=30m small
	ends 0 "$sinker"
	ends 0 "$feeder"
	grep -q "stored again" sink.log
	[ "$(rows small/r.db)" -eq 1500 ]
	[ "$(jq -r .seq small/r.jsonl | sort -n | uniq | wc -l)" -eq 1500 ]
	run -0 sink --audit small/r.db
}

@test "asked to stop while the disk is full, sink gives up in time with exit 75" {
	local url=ipc://$BATS_TEST_TMPDIR/feed
	[ -w /dev/full ] || skip "no /dev/full"
	start feeder "$FEED" --count 10 --out "$url" 2>/dev/null
	start sinker sink --in "$url" jsonl:/dev/full 2>sink.log
	wait_until 20 grep -q "/dev/full: disk full: waiting" sink.log
	kill -TERM "$sinker"
	ends 75 "$sinker"
	grep -q "asked to stop" sink.log
	kill -0 "$feeder"
}

@test "eval prints confusion, escapes and overkill, and checks recall" {
	local i labels=(ok scratch dent)
	for i in {0..29}; do
		printf 'somewhere/%05d.png\t%s\n' "$i" "${labels[i % 3]}"
	done | sed 's/00001.png\tscratch/00001.png\tok/; s/00003.png\tok/00003.png\tdent/' >labels.tsv
	sink=(r.db)
	run -0 feed --count 30
	run -0 sink --eval labels.tsv r.db
	[[ "$output" == *"accuracy 0.9333 (28 of 30)"* ]]
	[[ "$output" == *"escapes   0.0500 (1 of 20 bad parts"* ]]
	[[ "$output" == *"overkill  0.1000 (1 of 10 good parts"* ]]
	run -0 sink --eval labels.tsv --min-recall scratch=1 r.db
	run -1 sink --eval labels.tsv --min-recall ok=0.95 r.db
	[[ "$output" == *"recall of 'ok' is 0.9000, below 0.95"* ]]
	run -64 sink --eval labels.tsv --min-recall scrach=0.5 r.db
	run -1 sink --eval labels.tsv --min-recall ng=0.96 r.db
	[[ "$output" == *"recall of 'ng' is 0.9500"* ]]
	run -0 sink --eval labels.tsv --min-recall ng=0.95 --min-recall good=0.9 r.db
	run -66 sink --eval nothing.tsv r.db
}

@test "a listed part without a row counts against the recall" {
	printf 'file,label\n00000.png,ok\n00003.png,ok\n99999.png,ok\n' >labels.csv
	sink=(r.db)
	run -0 feed --count 4
	run -1 sink --eval labels.csv --min-recall ok=0.7 r.db
	[[ "$output" == *"1 listed parts have no row"* ]]
}

@test "progress shows on a terminal only, and --quiet says nothing" {
	command -v script >/dev/null || skip "no script(1)"
	sink=(r.db --ng scratch:0.5)
	run -0 feed --count 10
	[[ "$output" != *$'\r'* ]]
	run -0 script -qec "$FEED --count 400 --rate 500 | sink s.db --ng scratch:0.5" /dev/null
	[[ "$output" == *$'\r'*"/400 "*"/s"*"last ng: scratch"* ]]
	sink=(q.db --quiet)
	run -0 feed --count 10
	[ -z "$output" ]
}

@test "the summary tells verdicts, labels, latency, cost and books" {
	sink=(r.db --good ok:0.1 --ng scratch:0.1)
	run -0 feed --count 60 --rate 200
	[[ "$output" == *"60 parts, 60 stored, 0 duplicates"* ]]
	[[ "$output" == *"good "*"20"*"33.3 %"* ]]
	[[ "$output" =~ "latency, picture to durable row: p50 "[0-9.]+" ms, p99 "[0-9.]+" ms" ]]
	[[ "$output" == *"cost of a part: 1.500 ms of work (infer 1.500), sink "*" bytes stored"* ]]
	[[ "$output" == *"balanced"* ]]
}
