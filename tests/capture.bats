#!/usr/bin/env bats
# capture as a user runs it, with sink at its other end.
# shellcheck disable=SC2016,SC2154  # other shells expand; start and run set variables by name

load helper

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	set -o pipefail
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

# A running line of capture and sink: its capture's pid is in $capture, its sink's in $sink.
line() { # line DB CAPTURE-ARGUMENTS…
	local db=$1
	shift
	mkfifo pipe 2>/dev/null || true
	# opened in the processes themselves: here, each would wait for the other
	start sink bash -c 'exec sink "$0" -q <pipe' "$db"
	start capture bash -c 'exec capture "$@" >pipe' - "$@"
}

has_rows() {
	[ "$(rows "$1")" -ge "$2" ]
}

is_empty() {
	[ "$(find "$1" -maxdepth 1 -type f | wc -l)" -eq 0 ]
}

@test "a folder is one row per picture, and the same folder again stores nothing" {
	mkdir photos
	ppm photos/{c,a,b}.ppm
	touch photos/README
	capture photos | sink x.db -q
	[ "$(sql x.db "select seq, image from results order by seq" | tr '\n' ' ')" = "0|photos/a.ppm 1|photos/b.ppm 2|photos/c.ppm " ]
	capture photos/ | sink x.db -q
	[ "$(rows x.db)" -eq 3 ]
	capture photos --run new | sink x.db -q
	[ "$(rows x.db)" -eq 6 ]
}

@test "each bad file of PngSuite is an error row that names it and says why, the others go on" {
	need_data png/pngsuite
	capture "$DATA/png/pngsuite" | sink x.jsonl -q
	[ "$(wc -l <x.jsonl)" -eq 175 ]
	[ "$(jq -r 'select(.verdict == "error") | .image | split("/") | last' x.jsonl | grep -c '^x')" -eq 14 ]
	[ "$(jq -r 'select(.verdict == "error") | select((.reason | length) > 40) | .reason' x.jsonl | grep -c "x.*\.png': ")" -eq 14 ]
	# The others were decoded, and then nobody was there to judge them.
	[ "$(jq -r 'select(.reason | startswith("no label")) | .meta.width' x.jsonl | wc -l)" -eq 161 ]
}

@test "hostile pictures never stop the line" {
	need_data png/libpng_crashers jpeg
	capture "$DATA/png/libpng_crashers" "$DATA/jpeg" -r | sink x.jsonl -q
	[ "$(jq -r .image x.jsonl | sort -u | wc -l)" -eq "$(wc -l <x.jsonl)" ]
	[ "$(jq -r 'select(.reason | startswith("no label") | not) | .image' x.jsonl | wc -l)" -ge 22 ]
}

@test "a name that does not exist ends capture with 66 before anything is sent" {
	ppm a.ppm
	run -66 --separate-stderr capture a.ppm nowhere.png
	[ -z "$output" ]
	[ "$stderr" = "capture: error: 'nowhere.png': No such file or directory" ]
	run -66 --separate-stderr capture 'x-*.png'
	[ "$stderr" = "capture: error: no file matches 'x-*.png'" ]
	run -64 capture
	run -64 --separate-stderr capture a.ppm --loop -1
	[[ "$stderr" == *"--loop"* ]]
}

@test "a --name that cannot stand in a row is refused before anything is sent" {
	run -64 --separate-stderr capture "$TOP/pipelines/demo/parts" --name ''
	[ -z "$output" ]
	[[ "$stderr" == *"--name: a name has 1 to 63 bytes, this one has 0" ]]
	run -64 --separate-stderr capture "$TOP/pipelines/demo/parts" --name "$(printf '%064d' 7)"
	[[ "$stderr" == *"--name: a name has 1 to 63 bytes, this one has 64" ]]
	run -64 infer -m "$TOP/pipelines/demo/rings.onnx" --name ''
}

@test "pictures one after the other on standard input are rows of a named source" {
	ppm a.ppm b.ppm c.ppm
	cat a.ppm b.ppm c.ppm | capture - --name cam1 | sink x.db -q
	[ "$(sql x.db "select group_concat(source || seq) from (select * from results order by seq)")" = cam10,cam11,cam12 ]
	capture - --name cam1 <a.ppm | sink x.db -q
	[ "$(rows x.db)" -eq 4 ]
}

@test "what ffmpeg writes to a pipe is read, in every format of it" {
	command -v ffmpeg >/dev/null || skip "ffmpeg is not installed"
	local format
	for format in ppm pam png mjpeg bmp "png -pix_fmt gray16be"; do
		# shellcheck disable=SC2086  # words are options
		ffmpeg -nostdin -loglevel error -f lavfi -i testsrc=size=64x48:rate=25 -frames:v 5 -f image2pipe -c:v $format - |
			capture - --name cam1 | sink x.jsonl -q
	done
	[ "$(jq -c '[.meta.width, .meta.height]' x.jsonl | sort | uniq -c | sed 's/^ *//')" = '30 [64,48]' ]
}

@test "a picture on standard input is sent when it is whole, not when the next one comes" {
	ppm a.ppm
	mkfifo camera pipe
	start sink bash -c 'exec sink x.db -q <pipe'
	start capture bash -c 'exec capture - <camera >pipe'
	exec 7>camera
	cat a.ppm >&7
	wait_until 10 has_rows x.db 1
	head -c 15 a.ppm >&7
	exec 7>&-
	wait "$capture"
	wait "$sink"
	[ "$(rows x.db)" -eq 2 ]
	[[ "$(sql x.db "select reason from results where seq = 1")" == *"ends within a picture"* ]]
}

@test "--loop and --count make as many rows, with keys that count on" {
	mkdir photos
	ppm photos/{a,b,c}.ppm
	capture photos --loop 0 --count 500 | sink x.db -q
	[ "$(sql x.db "select count(*), min(seq), max(seq), count(distinct seq), count(distinct image) from results")" = "500|0|499|500|3" ]
}

@test "a signal ends an endless capture: what was sent is stored, all exit 0" {
	mkdir photos
	ppm photos/{a,b,c}.ppm
	line x.db photos --loop 0 --rate 500
	wait_until 10 has_rows x.db 20
	kill -TERM "$capture"
	wait "$capture"
	wait "$sink"
	[ "$(sql x.db "select count(*) = max(seq) + 1 from results")" = 1 ]
}

@test "a watched folder ends with a signal, and 0" {
	mkdir in
	ppm in/a.ppm
	line x.db --watch in
	wait_until 10 has_rows x.db 1
	ppm in/b.ppm
	wait_until 10 has_rows x.db 2
	kill -TERM "$capture"
	wait "$capture"
	wait "$sink"
	[ "$(sql x.db "select group_concat(image) from (select * from results order by seq)")" = in/a.ppm,in/b.ppm ]
}

@test "kill -9 again and again over a hot folder: every file one row, and done" {
	mkdir in
	local i n
	for n in {001..120}; do ppm "in/$n.ppm"; done
	for i in 1 2 3 4; do
		line x.db --watch --done in/done --rate 200 in
		wait_until 10 has_rows x.db $((i * 15))
		kill -9 "$capture"
		wait "$capture" || true
		wait "$sink" || true
		ppm "in/late$i.ppm"
	done
	line x.db --watch --done in/done in
	wait_until 10 is_empty in
	kill -TERM "$capture"
	wait "$capture"
	wait "$sink"
	[ "$(find in/done -name '*.ppm' | wc -l)" -eq 124 ]
	[ "$(sql x.db "select count(*), count(distinct image) from results")" = "124|124" ]
}

@test "kill -9 of capture, restarted under the same addresses: every picture one row" {
	mkdir photos
	local n
	for n in {001..150}; do ppm "photos/$n.ppm"; done
	local address=ipc://$BATS_TEST_TMPDIR/line
	start sink sink x.db -q --in "$address"
	start capture capture photos --rate 30 --out "$address"
	wait_until 10 has_rows x.db 30
	kill -9 "$capture"
	wait "$capture" || true
	start capture capture photos --out "$address"
	wait "$capture"
	wait "$sink"
	[ "$(sql x.db "select count(*), count(distinct seq), max(seq) from results")" = "150|150|149" ]
}

@test "pictures are taken upright as EXIF says, or as they are stored" {
	need_python PIL
	"$PYTHON" -c "
from PIL import Image
exif = Image.Exif()
exif[0x0112] = 6
Image.new('RGB', (30, 20)).save('a.jpg', exif=exif)"
	capture a.jpg | sink x.jsonl -q
	[ "$(jq -c '[.meta.width, .meta.height, .meta.orientation]' x.jsonl)" = '[20,30,6]' ]
	capture --as-stored a.jpg | sink y.jsonl -q
	[ "$(jq -c '[.meta.width, .meta.height, .meta.orientation]' y.jsonl)" = '[30,20,null]' ]
}
