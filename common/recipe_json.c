/* Recipes from the JSON files that training frameworks write. Each spelling is turned into recipe
 * words; what is not said there, or cannot be done here, is refused in words.
 *
 * Hugging Face: transformers' image processors (resize, centre crop that halves odd margins
 * downwards, rescale, normalise). timm: the eval transform of create_transform. torchvision: the
 * arguments of transforms._presets.ImageClassification. */
#include "common/recipe.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

/* Add words, as if somebody had typed them. */
static int say(struct recipe *r, struct err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int say(struct recipe *r, struct err *e, const char *format, ...)
{
	char words[RECIPE_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	return recipe_merge(r, words, e);
}

/* A whole number that can be a side, or the one element of a list: 1, 0 it is none, never -1. */
static int side_of(const struct json *j, int64_t *side)
{
	if (json_count(j) == 1)
		j = json_item(j, 0);
	return json_whole(j, side) == 0 && *side > 0 && *side <= RECIPE_SIDE_MAX;
}

/* "mean" or "std" from a number or a list of 1 or 3; *count is how many. */
static int say_numbers(struct recipe *r, const char *word, const struct json *j, const char *key,
		       size_t *count, struct err *e)
{
	double n[3];

	*count = json_is_list(j) ? json_count(j) : 1;
	if (*count != 1 && *count != 3)
		return err_set(e, "\"%s\" must be one or three numbers", key);
	for (size_t i = 0; i < *count; i++)
		if (json_decimal(json_is_list(j) ? json_item(j, i) : j, &n[i]) < 0)
			return err_set(e, j ? "\"%s\" is not numbers" : "it lacks \"%s\"", key);
	if (*count == 1)
		return say(r, e, "%s=%.17g", word, n[0]);
	return say(r, e, "%s=%.17g,%.17g,%.17g", word, n[0], n[1], n[2]);
}

/* Mean and std, and the colour that their number tells where nothing else does. */
static int say_norm(struct recipe *r, const struct json *j, const char *mean, const char *std,
		    struct err *e)
{
	size_t means, stds;

	if (say_numbers(r, "mean", json_member(j, mean), mean, &means, e) < 0 ||
	    say_numbers(r, "std", json_member(j, std), std, &stds, e) < 0)
		return -1;
	if (r->given & WORD_COLOR)
		return 0;
	if (json_is_list(json_member(j, mean)))
		return say(r, e, "color=%s", means == 3 ? "rgb" : "gray");
	return 0;
}

static int need_flag(const struct json *j, const char *key, bool *value, struct err *e)
{
	const struct json *member = json_member(j, key);

	*value = false;
	if (!member)
		return err_set(e, "it lacks \"%s\"", key);
	return json_flag(member, value) < 0 ? err_set(e, "\"%s\" is not true or false", key) : 0;
}

static bool is_true(const struct json *j, const char *key)
{
	bool value;

	return json_flag(json_member(j, key), &value) == 0 && value;
}

/* "bilinear", "InterpolationMode.BILINEAR" or Pillow's number. */
static int say_interp(struct recipe *r, const struct json *j, const char *key, struct err *e)
{
	static const char *const pillow[] = { "nearest", "lanczos", "bilinear",
					      "bicubic", "box",     "hamming" };
	const struct json *member = json_member(j, key);
	const char *text = json_text(member);
	int64_t number;

	if (!member)
		return err_set(e, "it lacks \"%s\"", key);
	if (json_whole(member, &number) == 0 && number >= 0 && number < 6)
		return say(r, e, "interp=%s", pillow[number]);
	if (text && strncmp(text, "InterpolationMode.", 18) == 0)
		text += 18;
	for (int i = 0; text && i < 6; i++)
		if (strcasecmp(text, pillow[i]) == 0)
			return say(r, e, "interp=%s", pillow[i]);
	return err_set(e, "\"%s\" is none of nearest, box, bilinear, hamming, bicubic, lanczos",
		       key);
}

/* --- Hugging Face ----------------------------------------------------------------------------- */

/* A step that is switched on and that nobody here knows must not be left out in silence. */
static int refuse_unknown(void *context, const char *key, const struct json *value)
{
	static const char *const known[] = { "do_resize",       "do_center_crop",
					     "do_rescale",      "do_normalize",
					     "do_convert_rgb",  "do_flip_channel_order",
					     "do_reduce_labels" };
	bool on;

	if (json_flag(value, &on) < 0 || !on)
		return 0;
	if (strncmp(key, "do_", 3) != 0 && strcmp(key, "rescale_offset") != 0 &&
	    strcmp(key, "include_top") != 0)
		return 0;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(key, known[i]) == 0)
			return 0;
	return err_set(context, "\"%s\" is not supported", key);
}

static bool type_begins(const struct json *j, const char *with)
{
	const char *type = json_text(json_member(j, "image_processor_type"));

	if (!type)
		type = json_text(json_member(j, "feature_extractor_type"));
	return type && strncmp(type, with, strlen(with)) == 0;
}

/* ConvNext's own rule: below 384 a short side of size/crop_pct and a crop, else a stretch. */
static int hf_convnext(struct recipe *r, const struct json *j, int64_t side, struct err *e)
{
	double part;

	if (side >= 384)
		return say(r, e, "resize=stretch:%lld", (long long)side);
	if (json_decimal(json_member(j, "crop_pct"), &part) < 0 || part < 0.05 || part > 1)
		return err_set(e, "it lacks \"crop_pct\", between 0.05 and 1");
	return say(r, e, "resize=short:%lld;crop=center-floor:%lld",
		   (long long)((double)side / part), (long long)side);
}

static int hf_resize(struct recipe *r, const struct json *j, struct err *e)
{
	const struct json *size = json_member(j, "size");
	int64_t side, width, height;
	bool is_short = side_of(json_member(size, "shortest_edge"), &side);

	if (say_interp(r, j, "resample", e) < 0)
		return -1;
	if (json_member(size, "longest_edge"))
		return err_set(e, "\"size\" with \"longest_edge\" is not supported");
	if (!is_short && side_of(size, &side)) {
		if (type_begins(j, "CLIP") || type_begins(j, "ConvNext"))
			is_short = true;
		else if (type_begins(j, "ViT") || type_begins(j, "DeiT") || type_begins(j, "Beit"))
			return say(r, e, "resize=stretch:%lld", (long long)side);
		else
			return err_set(e,
				       "\"size\" is one number: say whether it is "
				       "{\"shortest_edge\": N} or {\"height\": N, \"width\": N}");
	}
	if (is_short && (json_member(j, "crop_pct") || type_begins(j, "ConvNext")))
		return hf_convnext(r, j, side, e);
	if (is_short)
		return say(r, e, "resize=short:%lld", (long long)side);
	if (side_of(json_member(size, "width"), &width) &&
	    side_of(json_member(size, "height"), &height))
		return say(r, e, "resize=stretch:%lldx%lld", (long long)width, (long long)height);
	return err_set(e, "it lacks \"size\" with \"shortest_edge\", or \"height\" and \"width\"");
}

static int hf_crop(struct recipe *r, const struct json *j, struct err *e)
{
	const struct json *size = json_member(j, "crop_size");
	int64_t width, height;

	if (!is_true(j, "do_center_crop")) {
		if (size && !json_member(j, "do_center_crop"))
			return err_set(e, "it has \"crop_size\" but lacks \"do_center_crop\"");
		return r->given & WORD_CROP ? 0 : say(r, e, "crop=none");
	}
	if (side_of(size, &width))
		height = width;
	else if (!side_of(json_member(size, "width"), &width) ||
		 !side_of(json_member(size, "height"), &height))
		return err_set(e, "it lacks \"crop_size\" with \"height\" and \"width\"");
	return say(r, e, "crop=center-floor:%lldx%lld", (long long)width, (long long)height);
}

static int hf_values(struct recipe *r, const struct json *j, struct err *e)
{
	bool rescale, normalize;
	double factor;

	if (need_flag(j, "do_rescale", &rescale, e) < 0 ||
	    need_flag(j, "do_normalize", &normalize, e) < 0)
		return -1;
	if (rescale && json_decimal(json_member(j, "rescale_factor"), &factor) < 0)
		return err_set(e, "it lacks \"rescale_factor\"");
	if (say(r, e, "scale=%.17g;dtype=%s", rescale ? factor : 1,
		rescale || normalize ? "f32" : "u8") < 0)
		return -1;
	return normalize ? say_norm(r, j, "image_mean", "image_std", e) : 0;
}

static int from_hugging_face(struct recipe *r, const struct json *j, struct err *e)
{
	const char *format = json_text(json_member(j, "data_format"));
	bool resize;

	if (json_each(j, refuse_unknown, e) < 0 || need_flag(j, "do_resize", &resize, e) < 0)
		return -1;
	if ((resize ? hf_resize(r, j, e) : say(r, e, "resize=none")) < 0 || hf_crop(r, j, e) < 0)
		return -1;
	if (is_true(j, "do_flip_channel_order") && say(r, e, "color=bgr") < 0)
		return -1;
	if (hf_values(r, j, e) < 0)
		return -1;
	if (!(r->given & WORD_COLOR) && is_true(j, "do_convert_rgb") && say(r, e, "color=rgb") < 0)
		return -1;
	return say(r, e, "layout=%s", format && strstr(format, "channels_last") ? "nhwc" : "nchw");
}

/* --- timm ------------------------------------------------------------------------------------- */

static int timm_size(struct recipe *r, const struct json *j, int64_t *channels, struct err *e)
{
	const struct json *size = json_member(j, "input_size");
	const char *mode = json_text(json_member(j, "crop_mode"));
	int64_t width, height;
	double part;

	if (json_count(size) != 3 || !side_of(json_item(size, 0), channels) ||
	    !side_of(json_item(size, 1), &height) || !side_of(json_item(size, 2), &width))
		return err_set(e, "it lacks \"input_size\": [channels, height, width]");
	if (json_decimal(json_member(j, "crop_pct"), &part) < 0 || part < 0.05 || part > 1)
		return err_set(e, "it lacks \"crop_pct\", between 0.05 and 1");
	long long wide = (long long)floor((double)width / part);
	long long high = (long long)floor((double)height / part);
	if (mode && strcmp(mode, "squash") == 0) {
		if (say(r, e, "resize=stretch:%lldx%lld", wide, high) < 0)
			return -1;
	} else if (mode && strcmp(mode, "center") != 0) {
		return err_set(e, "\"crop_mode\": \"%s\" is not supported", mode);
	} else if (wide != high) {
		return err_set(e, "\"input_size\" that is not square is not supported with a "
				  "centre crop");
	} else if (say(r, e, "resize=short:%lld", wide) < 0) {
		return -1;
	}
	return say(r, e, "crop=center:%lldx%lld", (long long)width, (long long)height);
}

static int from_timm(struct recipe *r, const struct json *j, struct err *e)
{
	int64_t channels;

	if (timm_size(r, j, &channels, e) < 0 || say_interp(r, j, "interpolation", e) < 0)
		return -1;
	if (channels != 1 && channels != 3)
		return err_set(e, "\"input_size\" has %lld channels, 1 or 3 are supported",
			       (long long)channels);
	if (say(r, e, "color=%s;scale=1/255;layout=nchw;dtype=f32",
		channels == 3 ? "rgb" : "gray") < 0)
		return -1;
	return say_norm(r, j, "mean", "std", e);
}

/* --- torchvision ------------------------------------------------------------------------------ */

static int from_torchvision(struct recipe *r, const struct json *j, struct err *e)
{
	const struct json *size = json_member(j, "resize_size");
	int64_t side, width, height;
	bool antialias;

	if (say_interp(r, j, "interpolation", e) < 0)
		return -1;
	if (json_flag(json_member(j, "antialias"), &antialias) == 0 &&
	    say(r, e, "antialias=%d", antialias) < 0)
		return -1;
	if (side_of(size, &side)) {
		if (say(r, e, "resize=short:%lld", (long long)side) < 0)
			return -1;
	} else if (json_count(size) != 2 || !side_of(json_item(size, 0), &height) ||
		   !side_of(json_item(size, 1), &width)) {
		return err_set(e, "\"resize_size\" is not one side, or [height, width]");
	} else if (say(r, e, "resize=stretch:%lldx%lld", (long long)width, (long long)height) < 0) {
		return -1;
	}
	size = json_member(j, "crop_size");
	if (side_of(size, &side))
		height = width = side;
	else if (json_count(size) != 2 || !side_of(json_item(size, 0), &height) ||
		 !side_of(json_item(size, 1), &width))
		return err_set(e, "it lacks \"crop_size\"");
	if (say(r, e, "crop=center:%lldx%lld;scale=1/255;layout=nchw;dtype=f32", (long long)width,
		(long long)height) < 0)
		return -1;
	return say_norm(r, j, "mean", "std", e);
}

/* --- which of them ---------------------------------------------------------------------------- */

static int from_json(struct recipe *r, const struct json *j, struct err *e)
{
	const struct json *timm = json_member(j, "pretrained_cfg");
	const struct json *own = json_member(j, "recipe");

	if (own)
		return json_text(own) ? recipe_merge(r, json_text(own), e)
				      : err_set(e, "\"recipe\" is not a text");
	if (json_is_object(timm))
		return from_timm(r, timm, e);
	if (json_is_list(json_member(j, "input_size")) && json_member(j, "crop_pct"))
		return from_timm(r, j, e);
	if (json_member(j, "resize_size"))
		return from_torchvision(r, j, e);
	if (json_member(j, "image_processor_type") || json_member(j, "feature_extractor_type") ||
	    json_member(j, "do_resize") || json_member(j, "do_normalize"))
		return from_hugging_face(r, j, e);
	return 1;
}

int recipe_config_merge(struct recipe *r, const char *path, struct err *e)
{
	struct json *root;
	struct recipe fresh = *r;
	int result;

	if (json_open(&root, path, e) < 0)
		return -1;
	result = from_json(&fresh, root, e);
	json_close(&root);
	if (result < 0) {
		e->code = EX_DATAERR;
		return err_at(e, "%s", path);
	}
	if (result == 1)
		return 0;
	*r = fresh;
	return 1;
}

int recipe_from_config(struct recipe *r, const char *path, struct err *e)
{
	struct recipe fresh;
	int result;

	recipe_init(&fresh);
	result = recipe_config_merge(&fresh, path, e);
	if (result < 1)
		return result;
	if (recipe_check(&fresh, e) < 0) {
		e->code = EX_DATAERR;
		return err_at(e, "%s", path);
	}
	*r = fresh;
	return 1;
}
