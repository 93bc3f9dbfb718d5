#!/usr/bin/env bats
# Decoders, the stream splitter and the listing of files, without the rest of the line.

setup() {
	load helper
	decode=$BUILD/test/capture_decode
	split=$BUILD/test/capture_split
	listing=$BUILD/test/capture_listing
	compare=$TOP/tests/capture_compare.py
	cd "$BATS_TEST_TMPDIR" || return
}

# ppm FILE [WIDTH HEIGHT]: a small picture.
ppm() {
	local width=${2:-4} height=${3:-3}
	{
		printf 'P6\n%d %d\n255\n' "$width" "$height"
		head -c $((width * height * 3)) /dev/zero | tr '\0' 'x'
	} >"$1"
}

refuses() { # refuses FILE WORDS…: an error line that holds the words
	run "$decode" "$1"
	[ "$status" -eq 0 ]
	[[ "$output" == "$1"$'\t'error$'\t'*"$2"* ]] || { echo "$output" && false; }
}

@test "every good file of PngSuite decodes as expected, every bad one is refused with a reason" {
	need_data png/pngsuite
	need_python numpy PIL
	run "$PYTHON" "$compare" pngsuite "$DATA/png/pngsuite"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ "$output" == *"161 decoded as expected, 14 refused as expected, 0 wrong"* ]]
}

@test "pictures of all forms give Pillow's pixels" {
	need_python numpy PIL
	run "$PYTHON" "$compare" generated "$BATS_TEST_TMPDIR"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ "$output" == *" equal, 0 refused by both, 0 wrong"* ]]
}

@test "JPEG corner cases and photographs give Pillow's pixels" {
	need_data jpeg images/infrared_solar images/xsdd
	need_python numpy PIL
	mapfile -t files < <(find "$DATA/jpeg" "$DATA/images/infrared_solar" -name '*.jpg' | LC_ALL=C sort | head -n 200)
	files+=("$DATA"/images/xsdd/*_60*.png)
	run "$PYTHON" "$compare" pillow "${files[@]}"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ "$output" == *" 0 wrong" ]]
}

@test "BMP photographs give Pillow's pixels" {
	need_data images/coral jpeg/libjpeg_turbo_testimages
	need_python numpy PIL
	run "$PYTHON" "$compare" pillow "$DATA"/images/coral/*.bmp "$DATA"/jpeg/libjpeg_turbo_testimages/*.bmp
	echo "$output"
	[ "$output" = "4 equal, 0 refused by both, 0 wrong" ]
}

@test "pictures that once crashed decoders are refused or decoded" {
	need_data png/libpng_crashers jpeg
	mapfile -t files < <(find "$DATA/png/libpng_crashers" "$DATA/jpeg" -type f)
	run "$decode" "${files[@]}"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq "${#files[@]}" ]
	[ "$(grep -c $'\terror\t.' <<<"$output")" -ge 22 ]
}

@test "the fast way through PNGs and libpng alone give the same bytes" {
	need_data png/pngsuite images/xsdd
	files=("$DATA"/png/pngsuite/*.png "$DATA"/images/xsdd/*_60*.png)
	"$decode" "${files[@]}" >fast
	"$decode" --record "${files[@]}" | sed 's/\terror\t/\terror\tPNG: /' >record
	run diff <(grep -v error fast) <(grep -v error record)
	[ "$status" -eq 0 ]
	[ "$(grep -c error fast)" -eq 14 ]
}

@test "a picture that was cut short is refused, wherever it was cut" {
	need_data jpeg/image_rs jpeg/libjpeg_turbo_testimages png/pngsuite
	local file size n
	for file in jpeg/image_rs/progressive/cat.jpg jpeg/image_rs/portrait_2.jpg png/pngsuite/basn2c08.png \
		png/pngsuite/basi6a16.png jpeg/libjpeg_turbo_testimages/testorig.ppm; do
		size=$(stat -c %s "$DATA/$file")
		for n in 1 2 3 5 9 50 95 99; do
			head -c $((size * n / 100)) "$DATA/$file" >"cut-$n-${file##*/}"
		done
		head -c $((size - 1)) "$DATA/$file" >"cut-1b-${file##*/}"
	done
	run "$decode" cut-*
	[ "${#lines[@]}" -eq 45 ]
	[ "$(grep -c $'\terror\t' <<<"$output")" -eq 45 ]
}

@test "a damaged JPEG is decoded only when asked to be lenient" {
	need_data jpeg/image_rs
	head -c 9000 "$DATA/jpeg/image_rs/portrait_2.jpg" >cut.jpg
	refuses cut.jpg 'JPEG: Premature end'
	run "$decode" --lenient cut.jpg
	[[ "$output" == *$'\t'113x150$'\t'3$'\t'u8$'\t'* ]]
}

@test "a wrong check sum in any chunk of a PNG is refused" {
	need_data png/pngsuite
	# tEXt says nothing about pixels, but a file that is damaged in one place is not trusted elsewhere
	sed 's/Title/Titel/' "$DATA/png/pngsuite/ct1n0g04.png" >title.png
	cmp -s title.png "$DATA/png/pngsuite/ct1n0g04.png" && false
	refuses title.png 'CRC error'
}

@test "sides over 16384 and pictures without pixels are refused before memory is taken" {
	printf 'P5 20000 20000 255\n' >large.pgm
	printf 'P5 16384 16384 65535\n' >short.pgm
	printf 'P6 0 5 255\n' >none.ppm
	sanitized || ulimit -v 300000
	refuses large.pgm 'sides must be from 1 to 16384'
	refuses short.pgm 'ends too early'
	refuses none.ppm 'sides must be'
}

# scans FILE COUNT: a sound progressive JPEG of 2048x2048 pixels in a few kilobytes, whose every scan makes the
# decoder go through all of it.
scans() {
	"$PYTHON" - "$@" <<-'END'
		import sys

		def segment(marker, body):
		    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body

		def table(kind, codes):
		    counts = bytes(len(codes.get(n, b"")) for n in range(1, 17))
		    return segment(0xC4, bytes([kind]) + counts + b"".join(codes[n] for n in sorted(codes)))

		side = (2048).to_bytes(2, "big")
		data = b"\xff\xd8" + segment(0xDB, bytes([0]) + bytes([1] * 64))
		data += segment(0xC2, bytes([8]) + side * 2 + bytes([1, 1, 0x11, 0]))
		data += table(0x00, {1: b"\0"}) + table(0x10, {1: b"\xe0", 2: b"\x10"})
		data += segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(256 * 256 // 8)
		# two runs of 32767 empty blocks, one of 2
		bits = ("0" + "1" * 14) * 2 + "10" + "0"
		bits += "1" * (-len(bits) % 8)
		scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
		for i in range(int(sys.argv[2])):
		    data += segment(0xDA, bytes([1, 1, 0, i % 63 + 1, i % 63 + 1, 0])) + scan
		open(sys.argv[1], "wb").write(data + b"\xff\xd9")
	END
}

@test "a progressive JPEG with hundreds of scans is refused" {
	scans few.jpg 20
	run "$decode" few.jpg
	[[ "$output" == *$'\t'2048x2048$'\t'1$'\t'u8$'\t'* ]]
	scans many.jpg 5000
	refuses many.jpg 'scans are too many'
}

@test "a Netpbm picture with samples above maxval, a bad header or a second picture is refused" {
	printf 'P5 2 1 100\nde' >above.pgm
	printf 'P2 2 1 9 3 12\n' >above2.pgm
	printf 'P5 2 1 0\nab' >zero.pgm
	printf 'P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE CMYK\nENDHDR\nabcd' >cmyk.pam
	printf 'P5 1 1 255\naP5 1 1 255\nb' >two.pgm
	refuses above.pgm 'sample 101 is above maxval 100'
	refuses above2.pgm 'sample 12 is above maxval 9'
	refuses zero.pgm 'maxval 0'
	refuses cmyk.pam 'not supported'
	refuses two.pgm 'more than one picture'
}

@test "other formats are called by their names" {
	head -c 64 /dev/zero | tr '\0' q | cat <(printf 'BM12\0\0\0\0') - >a.bmp
	printf 'II*\0abcd' >a.tif
	printf 'GIF89a..' >a.gif
	printf 'RIFF\4\0\0\0WEBP' >a.webp
	printf 'hello world' >a.txt
	: >empty.png
	refuses a.bmp 'BMP: a header of'
	refuses a.tif 'TIFF'
	refuses a.gif 'GIF'
	refuses a.webp 'WebP'
	refuses a.txt 'not a picture'
	refuses empty.png 'empty'
}

@test "pipes, folders and devices among the files are refused at once" {
	mkfifo pipe.png
	mkdir folder.png
	ln -s /dev/zero device.png
	ln -s nowhere.png dangling.png
	run timeout 60 "$decode" pipe.png folder.png device.png dangling.png
	[ "$status" -eq 0 ]
	[[ "${lines[0]}" == *"not a file but a pipe"* ]]
	[[ "${lines[1]}" == *"not a file but a folder"* ]]
	[[ "${lines[2]}" == *"not a file but a device"* ]]
	[[ "${lines[3]}" == *"No such file"* ]]
}

@test "a stream of mixed pictures is cut where they end, however it arrives" {
	need_data jpeg/image_rs png/pngsuite
	printf 'P1 2 2 1001 ' >plain.pbm
	printf 'P2\n3 1\n9\n1 2 3\n' >plain.pgm
	ppm a.ppm
	cat "$DATA"/png/pngsuite/bas*.png plain.pbm "$DATA"/jpeg/image_rs/*.jpg plain.pgm a.ppm \
		"$DATA/jpeg/image_rs/progressive/cat.jpg" a.ppm plain.pgm >stream
	local pictures=("$DATA"/png/pngsuite/bas*.png "$DATA"/jpeg/image_rs/*.jpg)
	"$split" <stream >whole
	[ "$(grep -c '^picture' whole)" -eq $((${#pictures[@]} + 6)) ]
	run grep -v '^picture' whole
	[ -z "$output" ]
	for n in 1 7 1000; do
		"$split" "$n" <stream | cmp - whole
	done
}

@test "a broken stream gives one error and goes on with the next picture" {
	need_data jpeg/image_rs
	local jpeg=$DATA/jpeg/image_rs/portrait_2.jpg
	{ cat "$jpeg"; head -c 5000 "$jpeg"; cat "$jpeg" "$jpeg"; } >stream
	run "$split" 333 <stream
	[ "${#lines[@]}" -eq 4 ]
	[ "${lines[0]}" = "picture 11387" ]
	[[ "${lines[1]}" == "broken the stream is broken at byte 11387: JPEG"* ]]
	[ "${lines[3]}" = "picture 11387" ]

	ppm a.ppm
	{ cat a.ppm; printf 'garbage garbage'; cat a.ppm a.ppm; } >stream
	run "$split" <stream
	[ "${#lines[@]}" -eq 4 ]
	[[ "${lines[1]}" == "broken"*"not a picture"* ]]
}

@test "a stream that ends within a picture says so" {
	ppm a.ppm
	run "$split" < <(cat a.ppm; head -c 20 a.ppm)
	[ "${#lines[@]}" -eq 2 ]
	[[ "${lines[1]}" == *"ends within a picture"* ]]
}

@test "a stream of garbage is given up in bounded time" {
	run timeout 300 "$split" < <(head -c 80000000 /dev/zero | tr '\0' 'q')
	[ "${#lines[@]}" -eq 2 ]
	[[ "${lines[0]}" == broken* ]]
	[[ "${lines[1]}" == hopeless* ]]
}

@test "folders and patterns are listed in byte order, each file once" {
	mkdir photos
	touch photos/{b,a,A,ä}.png photos/notes.txt photos/.hidden.png photos/x.TIF
	mkdir photos/sub && touch photos/sub/c.jpg
	run "$listing" photos/a.png 'photos/[ab].png' photos
	[ "${lines[*]:0:5}" = "photos/A.png photos/a.png photos/b.png photos/x.TIF photos/ä.png" ]
	[[ "${lines[5]}" == *"skipped 1, folders 1" ]]
	run "$listing" -r photos
	[ "${lines[3]}" = photos/sub/c.jpg ]
}

@test "the content id stays for the same files, by whatever spelling, and changes with them" {
	mkdir photos
	ppm photos/a.ppm
	ppm photos/b.ppm
	id() { "$listing" "$@" | sed -n 's/^id \([0-9]*\),.*/\1/p'; }
	first=$(id photos)
	[ -n "$first" ]
	[ "$(id photos/)" = "$first" ]
	[ "$(id "$PWD/photos")" = "$first" ]
	[ "$(cd photos && id .)" = "$first" ]
	[ "$(id photos/b.ppm photos/a.ppm)" = "$first" ]
	touch -d '2020-01-01' photos/b.ppm
	[ "$(id photos)" != "$first" ]
	cp -a photos other
	[ "$(id other)" != "$(id photos)" ]
}

@test "a file that does not exist, or a pattern without a match, is named" {
	run "$listing" nowhere.png
	[[ "$output" == "error 66 'nowhere.png': No such file"* ]]
	run "$listing" 'x*.png'
	[ "$output" = "error 66 no file matches 'x*.png'" ]
}

@test "a file whose name looks like a pattern is that file" {
	touch 'a[1].png' a1.png
	run "$listing" 'a[1].png'
	[ "${lines[0]}" = 'a[1].png' ]
	[ "${#lines[@]}" -eq 2 ]
}

@test "links in a circle and deep folders end" {
	mkdir -p photos/sub
	ln -s .. photos/sub/up
	ln -s ../photos photos/loop
	touch photos/sub/a.png
	run timeout 60 "$listing" -r photos
	[ "${lines[0]}" = photos/sub/a.png ]
	[ "${#lines[@]}" -eq 2 ]
}
