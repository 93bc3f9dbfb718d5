/* A recipe as a whole: is it complete, does it hold together, and the recipes that have a name. */
#include "common/recipe.h"

#include <stdio.h>
#include <string.h>

void recipe_init(struct recipe *r)
{
	*r = (struct recipe){ 0 };
}

int recipe_parse(struct recipe *r, const char *text, struct err *e)
{
	struct recipe fresh;

	recipe_init(&fresh);
	if (recipe_merge(&fresh, text, e) < 0 || recipe_check(&fresh, e) < 0)
		return -1;
	*r = fresh;
	return 0;
}

/* --- checking ------------------------------------------------------------------------------- */

/* The words that have no neutral value and were not said. */
static int check_given(const struct recipe *r, struct err *e)
{
	static const struct {
		unsigned bit;
		const char *key;
	} needed[] = {
		{ WORD_RESIZE, "resize" }, { WORD_INTERP, "interp" }, { WORD_COLOR, "color" },
		{ WORD_SCALE, "scale" },   { WORD_LAYOUT, "layout" }, { WORD_DTYPE, "dtype" },
	};
	unsigned need = WORD_RESIZE | WORD_COLOR | WORD_LAYOUT | WORD_DTYPE;
	char list[128] = "";

	if (r->resize != RESIZE_NONE)
		need |= WORD_INTERP;
	if (r->dtype != DTYPE_U8)
		need |= WORD_SCALE;
	need &= ~r->given;
	for (size_t i = 0; need && i < sizeof needed / sizeof *needed; i++)
		if (needed[i].bit & need) {
			size_t used = strlen(list);
			snprintf(list + used, sizeof list - used, "%s%s=", used ? ", " : "",
				 needed[i].key);
		}
	return need ? err_code(e, EX_USAGE, "recipe: it does not say %s", list) : 0;
}

static void fill_numbers(double *number, int *count, int channels, bool given, double neutral)
{
	if (!given) {
		*count = 1;
		number[0] = neutral;
	}
	if (*count == 1 && channels == 3) {
		number[1] = number[2] = number[0];
		*count = 3;
	}
}

/* Filters that look at a fixed number of samples however much they shrink. */
static bool skips_samples(const struct recipe *r)
{
	return r->interp == INTERP_NEAREST || r->interp == INTERP_OPENCV_LINEAR;
}

static void fill_neutral(struct recipe *r)
{
	int channels = recipe_channels(r);

	if (!(r->given & WORD_DEPTH))
		r->depth = 8;
	if (!(r->given & WORD_SCALE))
		r->scale_up = r->scale_down = 1;
	fill_numbers(r->mean, &r->mean_count, channels, r->given & WORD_MEAN, 0);
	fill_numbers(r->std, &r->std_count, channels, r->given & WORD_STD, 1);
	if (r->resize == RESIZE_NONE)
		r->interp = INTERP_NEAREST;
	if (!(r->given & WORD_ANTIALIAS) || r->interp == INTERP_NEAREST)
		r->antialias = !skips_samples(r);
	if (r->resize != RESIZE_LETTERBOX && r->crop == CROP_NONE)
		r->pad = 0;
}

static bool is_plain(const struct recipe *r)
{
	if (r->scale_up != r->scale_down)
		return false;
	for (int i = 0; i < r->mean_count; i++)
		if (r->mean[i] != 0)
			return false;
	for (int i = 0; i < r->std_count; i++)
		if (r->std[i] != 1)
			return false;
	return true;
}

static int check_consistent(const struct recipe *r, struct err *e)
{
	int channels = recipe_channels(r);

	if (r->mean_count != channels || r->std_count != channels)
		return err_code(e, EX_USAGE, "recipe: color=%s has %d channel%s, %s has %d numbers",
				r->color == COLOR_GRAY  ? "gray"
				: r->color == COLOR_BGR ? "bgr"
							: "rgb",
				channels, channels > 1 ? "s" : "",
				r->mean_count != channels ? "mean" : "std",
				r->mean_count != channels ? r->mean_count : r->std_count);
	if (!r->antialias && r->resize != RESIZE_NONE && !skips_samples(r))
		return err_code(
		    e, EX_USAGE,
		    "recipe: antialias=0 without interp=nearest is not supported: what is "
		    "exact here is Pillow's resampling, antialias=1");
	if (r->roi == ROI_FRACTION && r->resize == RESIZE_NONE)
		return err_code(e, EX_USAGE, "recipe: roi=fraction needs a resize");
	if (r->interp == INTERP_OPENCV_LINEAR &&
	    (r->antialias || r->depth == 16 || r->roi == ROI_FRACTION))
		return err_code(e, EX_USAGE,
				"recipe: interp=opencv-linear goes with antialias=0, depth=8 and "
				"no roi=fraction");
	if (r->depth == 8 && r->pad > 255)
		return err_code(e, EX_USAGE, "recipe: pad=%d does not fit into depth=8", r->pad);
	if (r->dtype == DTYPE_U8 && r->depth == 16)
		return err_code(e, EX_USAGE, "recipe: depth=16 needs dtype=f32");
	if (r->dtype == DTYPE_U8 && !is_plain(r))
		return err_code(e, EX_USAGE, "recipe: dtype=u8 takes no scale, mean or std");
	return 0;
}

int recipe_check(struct recipe *r, struct err *e)
{
	if (check_given(r, e) < 0)
		return -1;
	fill_neutral(r);
	if (check_consistent(r, e) < 0)
		return -1;
	r->given = WORD_DTYPE * 2 - 1;
	return 0;
}

/* --- recipes that have a name ----------------------------------------------------------------- */

#define IMAGENET_NORM "scale=1/255;mean=0.485,0.456,0.406;std=0.229,0.224,0.225;"

/* name, recipe. Who uses it:
 *   imagenet            torchvision's classifiers (the IMAGENET1K_V1 weights)
 *   imagenet-inception  timm's inception family: 299 pixels, crop_pct 0.875, into -1..1
 *   clip                OpenAI's CLIP image towers
 *   timm-bicubic-0.95   timm's newer recipes: crop_pct 0.95
 *   keras-tf            keras.utils.load_img(target_size=(224, 224)), preprocess_input mode "tf"
 *   keras-caffe         the same, mode "caffe"
 *   none                the picture as it is, as RGB bytes */
static const char *const presets[][2] = {
	{ "imagenet", "resize=short:256;interp=bilinear;antialias=1;crop=center:224x224;"
		      "color=rgb;" IMAGENET_NORM "layout=nchw;dtype=f32" },
	{ "imagenet-inception",
	  "resize=short:341;interp=bicubic;antialias=1;crop=center:299x299;color=rgb;"
	  "scale=1/255;mean=0.5;std=0.5;layout=nchw;dtype=f32" },
	{ "clip", "resize=short:224;interp=bicubic;antialias=1;crop=center:224x224;color=rgb;"
		  "scale=1/255;mean=0.48145466,0.4578275,0.40821073;"
		  "std=0.26862954,0.26130258,0.27577711;layout=nchw;dtype=f32" },
	{ "timm-bicubic-0.95",
	  "resize=short:235;interp=bicubic;antialias=1;crop=center:224x224;color=rgb;" IMAGENET_NORM
	  "layout=nchw;dtype=f32" },
	{ "keras-tf", "resize=stretch:224x224;interp=nearest;color=rgb;scale=1/127.5;mean=1;"
		      "layout=nhwc;dtype=f32" },
	{ "keras-caffe", "resize=stretch:224x224;interp=nearest;color=bgr;scale=1;"
			 "mean=103.939,116.779,123.68;layout=nhwc;dtype=f32" },
	{ "none", "resize=none;color=rgb;layout=nhwc;dtype=u8" },
};

const char *recipe_preset(const char *name)
{
	for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
		if (strcmp(presets[i][0], name) == 0)
			return presets[i][1];
	return NULL;
}

const char *recipe_preset_name(size_t i)
{
	return i < sizeof presets / sizeof *presets ? presets[i][0] : NULL;
}
