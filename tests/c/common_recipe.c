/* Recipes: what is refused and in which words, the canonical text, its stability, the shapes. */
#include "common/recipe.h"

#include <stdio.h>
#include <string.h>

static int failures, checks;

static void expect(int good, const char *what, const char *got)
{
	checks++;
	if (good)
		return;
	failures++;
	printf("FAIL %s: %s\n", what, got);
}

static void accepts(const char *text, const char *canonical)
{
	struct recipe r, again;
	struct err e = { 0 };
	char out[RECIPE_TEXT_MAX], twice[RECIPE_TEXT_MAX];

	if (recipe_parse(&r, text, &e) < 0) {
		expect(0, text, e.text);
		return;
	}
	recipe_format(&r, out);
	expect(strcmp(out, canonical) == 0, text, out);
	if (recipe_parse(&again, out, &e) < 0) {
		expect(0, out, e.text);
		return;
	}
	recipe_format(&again, twice);
	expect(strcmp(out, twice) == 0, "canonical text reads back as itself", twice);
}

static void refuses(const char *text, const char *because)
{
	struct recipe r;
	struct err e = { 0 };

	if (recipe_parse(&r, text, &e) == 0)
		expect(0, text, "was accepted");
	else
		expect(strstr(e.text, because) != NULL && e.code == EX_USAGE, text, e.text);
}

#define REST ";color=gray;scale=1;layout=nchw;dtype=f32"
#define TAIL ";color=gray;scale=1;mean=0;std=1;layout=nchw;dtype=f32"

static void check_texts(void)
{
	const char *imagenet = "resize=short:256;interp=bilinear;antialias=1;crop=center:224x224;"
			       "color=rgb;scale=1/255;mean=0.485,0.456,0.406;std=0.229,0.224,0.225;"
			       "layout=nchw;dtype=f32";

	accepts(imagenet, imagenet);
	accepts(
	    " dtype=f32 ;\n layout=nchw; std=0.229,0.224,0.225; mean=.485,.456,0.4560e0;;"
	    "scale=0.00392156862745098;color=rgb;crop=center:224;interp=bilinear;resize=short:256;",
	    "resize=short:256;interp=bilinear;antialias=1;crop=center:224x224;color=rgb;scale=1/"
	    "255;"
	    "mean=0.485,0.456,0.456;std=0.229,0.224,0.225;layout=nchw;dtype=f32");
	accepts("resize=none;interp=lanczos" REST, "resize=none;crop=none" TAIL);
	accepts("resize=stretch:64;interp=nearest;pad=9;depth=8;roi=none" REST,
		"resize=stretch:64x64;interp=nearest;antialias=0;crop=none" TAIL);
	accepts("roi=1,2,30,40;resize=letterbox:64x32;interp=box;depth=16;pad=65535" REST,
		"roi=1,2,30,40;resize=letterbox:64x32;interp=box;antialias=1;crop=none;pad=65535;"
		"color=gray;depth=16;scale=1;mean=0;std=1;layout=nchw;dtype=f32");
	accepts(
	    "resize=none;color=bgr;layout=nhwc;dtype=u8",
	    "resize=none;crop=none;color=bgr;scale=1;mean=0,0,0;std=1,1,1;layout=nhwc;dtype=u8");
	accepts(
	    "roi=fraction:0.875;resize=stretch:4x5;interp=hamming;color=gray;"
	    "scale=0.00784313725490196;mean=1e-3;layout=nhwc;dtype=f32",
	    "roi=fraction:0.875;resize=stretch:4x5;interp=hamming;antialias=1;crop=none;color=gray;"
	    "scale=1/127.5;mean=0.001;std=1;layout=nhwc;dtype=f32");
}

static void check_refusals(void)
{
	accepts("resize=stretch:4x5;interp=opencv-linear" REST,
		"resize=stretch:4x5;interp=opencv-linear;antialias=0;crop=none" TAIL);
	refuses("", "does not say resize=, color=, scale=, layout=, dtype=");
	refuses("resize=stretch:4x4" REST, "does not say interp=");
	refuses("resize=none;resize=none" REST, "said twice");
	refuses("resize=none;sharpen=1" REST, "'sharpen' is not a word");
	refuses("resize" REST, "'resize' is not of the form KEY=VALUE");
	refuses("resize=stretch:0x4;interp=box" REST, "'stretch:0x4'");
	refuses("resize=stretch:16385x4;interp=box" REST, "'stretch:16385x4'");
	refuses("resize=stretch:99999999999999999999;interp=box" REST, "is not none");
	refuses("resize=short:4x4;interp=box" REST, "short:SIDE");
	refuses("resize=short;interp=box" REST, "short:SIDE");
	refuses("resize=none:4" REST, "'none:4'");
	refuses("resize=stretch:4;interp=area" REST, "'area' is not nearest, box");
	refuses("resize=stretch:4;interp=bilinear;antialias=0" REST, "antialias=0");
	refuses("resize=none;color=rgb;scale=0;layout=nchw;dtype=f32", "'0'");
	refuses("resize=none;color=rgb;scale=1/0;layout=nchw;dtype=f32", "'1/0'");
	refuses("resize=none;color=rgb;scale=nan;layout=nchw;dtype=f32", "'nan'");
	refuses("resize=none;color=rgb;scale=0x10;layout=nchw;dtype=f32", "'0x10'");
	refuses("resize=none;color=rgb;scale=1e999;layout=nchw;dtype=f32", "'1e999'");
	refuses("resize=none;mean=1,2" REST, "'1,2'");
	refuses("resize=none;mean=1,2,3,4" REST, "'1,2,3,4'");
	refuses("resize=none;std=0" REST, "'0'");
	refuses("resize=none;mean=1,2,3" REST, "color=gray has 1 channel, mean has 3");
	refuses("resize=none;color=rgb;scale=1/255;layout=nchw;dtype=u8",
		"dtype=u8 takes no scale");
	refuses("resize=none;depth=16;color=rgb;layout=nchw;dtype=u8", "depth=16 needs dtype=f32");
	refuses("resize=none;color=rgb;layout=nchw;dtype=f16", "'f16' is not u8 or f32");
	refuses("resize=stretch:4;interp=opencv-linear;antialias=1" REST, "goes with antialias=0");
	refuses("resize=stretch:4;interp=opencv-linear;depth=16" REST, "depth=8");
	refuses("resize=letterbox:4;interp=box;pad=256" REST, "depth=8");
	refuses("roi=fraction:1.5;resize=short:4;interp=box" REST, "fraction:1.5");
	refuses("roi=fraction:0.5;resize=none" REST, "needs a resize");
	refuses("roi=1,2,3;resize=none" REST, "'1,2,3'");
	refuses("roi=1,2,0,4;resize=none" REST, "'1,2,0,4'");
}

static void check_presets(void)
{
	struct recipe r;
	struct err e = { 0 };
	size_t n;

	for (n = 0; recipe_preset_name(n); n++)
		expect(recipe_parse(&r, recipe_preset(recipe_preset_name(n)), &e) == 0,
		       recipe_preset_name(n), e.text);
	expect(n == 7, "number of presets", "not seven");
	expect(!recipe_preset("nonsense"), "an unknown preset", "was found");
}

static void check_shape(const char *text, int64_t a, int64_t b, int64_t c)
{
	struct recipe r;
	struct err e = { 0 };
	int64_t shape[4] = { 0 };
	char got[64];

	if (recipe_parse(&r, text, &e) == 0)
		recipe_shape(&r, shape);
	snprintf(got, sizeof got, "%lld,%lld,%lld,%lld", (long long)shape[0], (long long)shape[1],
		 (long long)shape[2], (long long)shape[3]);
	expect(shape[0] == 1 && shape[1] == a && shape[2] == b && shape[3] == c, text, got);
}

int main(void)
{
	check_texts();
	check_refusals();
	check_presets();
	check_shape(recipe_preset("imagenet"), 3, 224, 224);
	check_shape(recipe_preset("keras-tf"), 224, 224, 3);
	check_shape(recipe_preset("none"), -1, -1, 3);
	check_shape("resize=stretch:64x32;interp=box" REST, 1, 32, 64);
	check_shape("resize=short:64;interp=box" REST, 1, -1, -1);
	check_shape("roi=0,0,7,5;resize=none" REST, 1, 5, 7);
	printf("%d checks of recipes, %d wrong\n", checks, failures);
	return failures > 0;
}
