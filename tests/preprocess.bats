# preprocess: recipes, where they come from, and the pixels that they make.
load helper

drive=$BUILD/test/preprocess_drive
end=$BUILD/test/preprocess_end
IMAGENET='resize=short:256;interp=bilinear;antialias=1;crop=center:224x224;color=rgb;scale=1/255;mean=0.485,0.456,0.406;std=0.229,0.224,0.225;layout=nchw;dtype=f32'
SMALL='resize=stretch:20x10;interp=bicubic;color=gray;scale=1/255;layout=nchw;dtype=f32'

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	end_started
}

need_pillow() {
	need_python PIL
	need_python numpy
}

compare() { # PART: of the comparison with Pillow, torchvision …
	run --separate-stderr "$PYTHON" "$TOP/tests/preprocess_pillow.py" "$drive" "$1"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output != *skipped* ]] || skip "$output"
}

# pictures: three of them, a.png b.png c.png, of different sizes.
pictures() {
	"$PYTHON" - <<-'END'
		import numpy as np
		from PIL import Image
		for name, size in (("a", (40, 30, 3)), ("b", (33, 57, 3)), ("c", (10, 20, 3))):
		    y, x, c = np.indices(size)
		    Image.fromarray(((x * 7 + y * 13 + c * 60) % 256).astype(np.uint8)).save(name + ".png")
	END
}

# reference NAME CODE: save what CODE makes of image `i` (Pillow) as NAME.npy.
reference() {
	"$PYTHON" -c "
import sys, numpy as np
from PIL import Image
i = Image.open(sys.argv[1])
np.save(sys.argv[2], $3)" "$2" "$1"
}

recipe_is() { # EXPECTED OPTION…
	local expected=$1
	shift
	run -0 --separate-stderr preprocess --print-recipe "$@"
	[ "$output" = "$expected" ] || { echo "$output"; return 1; }
}

fails() { # CODE TEXT OPTION…
	local code=$1 text=$2
	shift 2
	run "-$code" --separate-stderr preprocess "$@" </dev/null
	[ -z "$output" ] || { echo "on stdout: $output"; return 1; }
	# shellcheck disable=SC2154 # run --separate-stderr sets it
	[[ "$stderr" == *"$text"* ]] || { echo "$stderr"; return 1; }
}

@test "resized pixels are Pillow's, for every filter, mode, box and set of kernels" {
	need_pillow
	compare resize
}

@test "whole recipes make the tensors that Pillow and numpy make" {
	need_pillow
	compare recipes
}

@test "the Keras presets make what preprocess_input makes" {
	need_pillow
	compare keras
}

@test "sixteen bits are resized as Pillow's mode I does" {
	need_pillow
	compare deep
}

@test "torchvision's Resize, CenterCrop, ToTensor and Normalize make the same floats" {
	need_pillow
	need_python torch
	need_python torchvision
	compare torchvision
}

@test "opencv-linear is cv2.resize to the bit" {
	need_pillow
	need_python cv2
	compare opencv
}

@test "the comparison notices a single level of difference" {
	need_pillow
	run "$PYTHON" - "$drive" <<-'END'
		import sys, os
		sys.path.insert(0, os.environ["TOP"] + "/tests")
		import preprocess_pillow as p
		real = p.Driver.run
		def wrong(self, *a, **k):
		    got = real(self, *a, **k).copy()
		    got.flat[0] ^= 1
		    return got
		p.Driver.run = wrong
		sys.argv = [sys.argv[0], sys.argv[1], "resize"]
		sys.exit(p.main())
	END
	[ "$status" -eq 1 ]
	[[ "$output" == *"bytes differ"* ]]
}

@test "--print-recipe prints the canonical form of a preset" {
	recipe_is "$IMAGENET" --preset imagenet
}

@test "--print-recipe sorts, shortens and completes a recipe" {
	recipe_is 'resize=stretch:20x10;interp=bicubic;antialias=1;crop=none;color=gray;scale=1/255;mean=0;std=1;layout=nchw;dtype=f32' \
		--recipe 'dtype=f32; layout=nchw; scale=0.00392156862745098; color=gray; interp=bicubic; resize=stretch:20x10'
}

@test "--roi and --set change single words of a recipe" {
	recipe_is "roi=5,6,70,80;${IMAGENET/nchw/nhwc}" --preset imagenet --set layout=nhwc --roi 5,6,70,80
}

@test "--recipe is trusted more than --config, and --config more than --preset" {
	echo "{\"recipe\": \"$SMALL\"}" >model.json
	recipe_is "$IMAGENET" --recipe "$IMAGENET" --config model.json --preset clip
	run -0 --separate-stderr preprocess --print-recipe --config model.json --preset clip
	[[ "$output" == resize=stretch:20x10* ]]
}

@test "--config reads what Hugging Face writes" {
	cat >preprocessor_config.json <<-'END'
		{"crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
		 "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "BitImageProcessor", "image_std": [0.229, 0.224, 0.225],
		 "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256}}
	END
	recipe_is "${IMAGENET/center:/center-floor:}" --config preprocessor_config.json
}

@test "--config reads what timm writes" {
	cat >config.json <<-'END'
		{"architecture": "resnet18", "num_classes": 2, "label_names": ["good", "ng"],
		 "pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "bilinear", "crop_pct": 0.875, "crop_mode": "center",
		 "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}
	END
	recipe_is "$IMAGENET" --config config.json
}

@test "a configuration that leaves a word open is refused, and --set can say it" {
	echo '{"recipe": "resize=none;color=gray;scale=1/255;layout=nchw"}' >model.json
	fails 65 "model.json: recipe: it does not say dtype=" --config model.json --print-recipe
	recipe_is 'resize=none;crop=none;color=gray;scale=1/255;mean=0;std=1;layout=nchw;dtype=f32' --config model.json --set dtype=f32
}

@test "a missing configuration is exit 66, a broken one 65, both by name" {
	fails 66 nowhere.json --config nowhere.json --print-recipe
	echo '{"recipe":' >broken.json
	fails 65 "broken.json: not JSON: line" --config broken.json --print-recipe
	echo '{"labels":["a"]}' >silent.json
	fails 65 "silent.json: it does not speak of a recipe" --config silent.json --print-recipe
}

@test "no recipe at all is a mistake that lists the presets" {
	fails 64 "imagenet, imagenet-inception, clip, timm-bicubic-0.95, keras-tf, keras-caffe, none" --print-recipe
}

@test "a wrong word is named at once, without waiting for a model" {
	fails 64 "'sharpen' is not a word of a recipe" --recipe 'sharpen=1'
	fails 64 "'area' is not nearest, box" --recipe 'resize=stretch:4;interp=area'
	fails 64 "--preset: 'nonsense' is none of imagenet, " --preset nonsense
	fails 64 "--roi: recipe: roi: '1,2'" --preset clip --roi 1,2
}

@test "pictures become tensors that carry the recipe's hash" {
	need_pillow
	pictures
	capture a.png b.png c.png | preprocess --recipe "$SMALL" | "$end" rows
	[ "$(cut -f 2,3 rows | sort -u)" = "ok	f32 1x1x10x20" ]
	[ "$(wc -l <rows)" -eq 3 ]
	preprocess --recipe "$SMALL" --print-recipe | tr -d '\n' | sha256sum | cut -d ' ' -f 1 >want
	cut -f 5 rows | sort -u | diff - want
	# The same bytes that Python computes.
	"$PYTHON" - >want <<-'END'
		import hashlib, numpy as np
		from PIL import Image
		for name in "abc":
		    i = Image.open(name + ".png").convert("L").resize((20, 10), 3)
		    print(hashlib.sha256((np.asarray(i, np.float32) / np.float32(255)).tobytes()).hexdigest())
	END
	sort -n rows | cut -f 4 | diff - want
}

@test "the recipe comes from downstream when no flag says one" {
	need_pillow
	pictures
	capture a.png | preprocess | "$end" rows --wants "$(preprocess -r "$SMALL" --print-recipe)"
	[ "$(cut -f 2,3 rows)" = "ok	f32 1x1x10x20" ]
	capture a.png | preprocess --preset imagenet | "$end" rows --wants "$(preprocess -r "$SMALL" --print-recipe)"
	[ "$(cut -f 2,3 rows)" = "ok	f32 1x1x10x20" ]
	capture a.png | preprocess --preset none | "$end" rows
	[ "$(cut -f 2,3 rows)" = "ok	u8 1x30x40x3" ] || [ "$(cut -f 2,3 rows)" = "ok	u8 1x40x30x3" ]
}

@test "samples whose scale, mean and std the receiver does become the same floats" {
	need_pillow
	pictures
	"$PYTHON" - <<-'END'
		from PIL import Image
		import numpy as np
		g = np.random.default_rng(5)
		Image.fromarray(g.integers(0, 65536, (50, 70), np.uint16)).save("d.png")
		Image.fromarray(g.integers(0, 256, (31, 90, 4), np.uint8), "RGBA").save("e.png")
	END
	local recipe words
	for words in 'resize=stretch:64x48;interp=bicubic;color=rgb;scale=1/255;mean=0.485,0.456,0.406;std=0.229,0.224,0.225;layout=nchw' \
		'resize=short:40;interp=bilinear;crop=center:40x60;pad=114;color=bgr;scale=1;mean=103.939,116.779,123.68;layout=nhwc' \
		'resize=letterbox:56x56;interp=lanczos;pad=7;color=rgb;scale=1/127.5;mean=1;layout=nhwc' \
		'resize=letterbox:33x20;interp=opencv-linear;color=gray;scale=0.00392156862745098;mean=0.5;std=0.25;layout=nchw' \
		'resize=none;color=bgr;scale=1/255;std=0.3,0.2,0.1;layout=nchw' 'roi=fraction:0.8;resize=stretch:9x9;interp=nearest;color=gray;scale=1/255;layout=nhwc'; do
		recipe=$(preprocess --print-recipe -r "$words;dtype=f32")
		capture a.png b.png c.png d.png e.png | preprocess | "$end" rows --wants "$recipe"
		capture a.png b.png c.png d.png e.png | preprocess | "$end" samples --wants "$recipe" --samples
		[ "$(grep -c '	ok	f32' rows)" -eq 5 ]
		[ "$(grep -c '	ok	u8' samples)" -eq 5 ]
		diff <(sed 's/	f32 /	u8 /' rows) samples
		# Said on the command line in other words, it is the same recipe.
		capture a.png b.png c.png d.png e.png | preprocess -r "dtype=f32;$words" | "$end" again --wants "$recipe" --samples
		diff samples again
	done
	# Another recipe than the one that is asked for, and sixteen bits, stay floats.
	capture a.png | preprocess --recipe "$SMALL" | "$end" rows --wants "$recipe" --samples
	[ "$(cut -f 3 rows)" = "f32 1x1x10x20" ]
	recipe=$(preprocess --print-recipe -r 'resize=none;color=gray;depth=16;scale=1/65535;layout=nchw;dtype=f32')
	capture d.png | preprocess | "$end" rows --wants "$recipe" --samples
	[ "$(cut -f 3 rows)" = "f32 1x1x50x70" ]
}

@test "who cannot do scale, mean and std is not given samples: refused beside one who asked for them" {
	need_pillow
	pictures
	recipe=$(preprocess -r "$SMALL" --print-recipe)
	at=ipc://$BATS_TEST_TMPDIR/at
	start CAPTURE capture a.png b.png c.png --out "ipc://$BATS_TEST_TMPDIR/pictures" --rate 20 --loop 0
	start PREPROCESS preprocess --in "ipc://$BATS_TEST_TMPDIR/pictures" --out "$at" -v 2>said
	start FIRST "$end" first --in "$at" --wants "$recipe" --samples
	wait_until 20 grep -qs u8 first
	run -65 --separate-stderr "$end" second --in "$at" --wants "$recipe"
	[[ "$stderr" == *"as u8 samples"*"infer --normalise upstream"* ]]
	# Who wants nothing in particular is let in.
	start THIRD "$end" third --in "$at"
	both() { [ "$(grep -c 'downstream preprocess_end .* is there' said)" -eq 2 ]; }
	wait_until 20 both
	kill "$CAPTURE"
	wait "$CAPTURE" "$PREPROCESS" "$FIRST" "$THIRD"
}

@test "a flag that overrules the model's recipe is said" {
	need_pillow
	pictures
	capture a.png | preprocess --recipe "$SMALL" 2>said | "$end" rows --wants "$IMAGENET"
	grep -q "the model asks for another recipe: $IMAGENET" said
	[ "$(cut -f 3 rows)" = "f32 1x1x10x20" ]
}

@test "a preset that the model's recipe overrules is said, one that is the same is not" {
	need_pillow
	pictures
	capture a.png | preprocess --preset clip 2>said | "$end" rows --wants "$IMAGENET"
	grep -q -- "--preset clip is not used: the model says its own recipe" said
	capture a.png | preprocess --preset imagenet 2>said | "$end" rows --wants "$IMAGENET"
	[ ! -s said ]
}

@test "a recipe that does not make what the model takes ends with 65, naming both" {
	need_pillow
	pictures
	export end SMALL
	run bash -c 'capture a.png 2>/dev/null | preprocess --recipe "$SMALL" 2>said |
		"$end" rows --dtype f32 --shape -1,3,224,224 2>/dev/null; echo "${PIPESTATUS[1]}"'
	[ "$output" = 65 ]
	grep -q "the recipe makes f32 1x1x10x20, the model takes f32 ?x3x224x224" said
}

@test "a picture that cannot be prepared becomes an error row and the batch goes on" {
	need_pillow
	pictures
	capture a.png b.png c.png | preprocess --recipe "$SMALL" --roi 0,0,25,25 | "$end" rows
	[ "$(wc -l <rows)" -eq 3 ]
	[ "$(grep -c '	error	' rows)" -eq 1 ]
	grep -q 'roi=0,0,25,25 lies outside the picture of' rows
}

@test "a picture of the wrong size for the model is an error row that says both sizes" {
	need_pillow
	pictures
	capture a.png b.png | preprocess --recipe 'resize=none;color=gray;scale=1;layout=nchw;dtype=f32' |
		"$end" rows --shape 1,1,40,30
	[ "$(grep -c '	ok	' rows)" -eq 1 ]
	grep -q 'becomes 1x33x57, the model takes 1x40x30' rows
}

@test "--check finds the training code's own array equal" {
	need_pillow
	pictures
	reference ref a.png "np.asarray(i.convert('L').resize((20, 10), 3), np.float32)[None, None] / np.float32(255)"
	run -0 --separate-stderr preprocess --recipe "$SMALL" --check ref.npy a.png
	[[ "$output" == *"a.png: maximal difference 0, mean difference 0, 0 of 200 values differ" ]]
}

@test "--check takes references with and without batch, of either layout, as bytes or floats" {
	need_pillow
	pictures
	local rgb='resize=stretch:20x10;interp=bicubic;color=rgb;layout=nhwc;dtype=u8' pixels="np.asarray(i.resize((20, 10), 3))"
	local form
	for form in "$pixels" "${pixels}[None]" "${pixels}.transpose(2, 0, 1)" "${pixels}.astype(np.float32)" \
		"${pixels}.astype(np.float64).transpose(2, 0, 1)[None]" "${pixels}.astype(np.uint16)"; do
		reference ref a.png "np.ascontiguousarray($form)"
		run -0 --separate-stderr preprocess --recipe "$rgb" --check ref.npy a.png
		[[ "$output" == *" 0 of 600 values differ"* ]]
	done
	"$PYTHON" -c "
import numpy as np
from PIL import Image
np.save('both.npy', np.stack([np.asarray(Image.open(n + '.png').resize((20, 10), 3)) for n in 'ab']))"
	run -0 --separate-stderr preprocess --recipe "$rgb" --check both.npy a.png b.png
	[ "${#lines[@]}" -eq 2 ]
}

@test "palette, alpha, grey, 16-bit and JPEG files become the RGB that Pillow's convert makes" {
	need_pillow
	"$PYTHON" - <<-'END'
		import numpy as np
		from PIL import Image
		rng = np.random.default_rng(7)
		rgba = rng.integers(0, 256, (30, 41, 4), dtype=np.uint8)
		pictures = {"rgba": Image.fromarray(rgba), "rgb": Image.fromarray(rgba[..., :3]), "la": Image.fromarray(rgba[..., :2].copy(), "LA"),
		            "l": Image.fromarray(rgba[..., 0].copy()), "one": Image.fromarray(rgba[..., 0] > 99)}
		pictures["p"] = pictures["rgb"].quantize(50)
		for name, image in pictures.items():
		    image.save(name + ".png")
		pictures["p"].save("trns.png", transparency=3)
		pictures["rgb"].save("rgb.jpg", quality=80)
		pictures["l"].save("l.jpg")
		pictures["rgb"].save("rgb.ppm")
		Image.fromarray(rng.integers(0, 65536, (30, 41), dtype=np.uint16)).save("deep.png")
		for name in ("rgba.png", "rgb.png", "la.png", "l.png", "one.png", "p.png", "trns.png", "rgb.jpg", "l.jpg", "rgb.ppm"):
		    np.save(name + ".npy", np.asarray(Image.open(name).convert("RGB").resize((20, 10), 2)))
		deep = np.asarray(Image.open("deep.png")).astype(np.int32)
		np.save("deep.png.npy", (deep >> 8).astype(np.uint8)[..., None] * np.ones(3, np.uint8))
		np.save("deep.npy", (deep / np.float32(65535)).astype(np.float32))
	END
	local name
	for name in rgba.png rgb.png la.png l.png one.png p.png trns.png rgb.jpg l.jpg rgb.ppm; do
		run -0 preprocess --recipe 'resize=stretch:20x10;interp=bilinear;color=rgb;layout=nhwc;dtype=u8' --check "$name.npy" "$name"
	done
	run -0 preprocess --preset none --check deep.png.npy deep.png
	run -0 preprocess --recipe 'resize=none;color=gray;depth=16;scale=1/65535;layout=nhwc;dtype=f32' --check deep.npy deep.png
}

@test "--check exits 1 above the tolerance and tells where" {
	need_pillow
	pictures
	reference ref a.png "np.asarray(i.convert('L').resize((20, 10), 2), np.float32) / np.float32(255)"
	run -1 --separate-stderr preprocess --recipe "$SMALL" --check ref.npy a.png
	[[ "$output" == *"most at channel 0, row "*": above 0" ]]
	run -0 --separate-stderr preprocess --recipe "$SMALL" --check ref.npy --tolerance 1 a.png
}

@test "--check refuses references and pictures that do not fit, by name" {
	need_pillow
	pictures
	reference ref a.png "np.zeros((3, 10, 20), np.float32)"
	fails 65 "the reference is 3x10x20, the recipe makes 1x10x20" --recipe "$SMALL" --check ref.npy a.png
	fails 66 nowhere.npy --recipe "$SMALL" --check nowhere.npy a.png
	echo nonsense >broken.npy
	fails 65 "broken.npy: it is not an .npy file" --recipe "$SMALL" --check broken.npy a.png
	fails 66 nowhere.png --recipe "$SMALL" --check ref.npy nowhere.png
	fails 64 "--check needs the IMAGE" --recipe "$SMALL" --check ref.npy
	reference ref a.png "np.zeros((1, 1, 10, 20), np.float32)"
	echo nonsense >broken.png
	fails 65 broken.png --recipe "$SMALL" --check ref.npy broken.png
	run -65 preprocess --recipe "$SMALL" --check ref.npy a.png b.png
	[[ "$output" == *"b.png: the reference holds 1 picture, this is one more"* ]]
}
