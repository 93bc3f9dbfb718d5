/* Reading recipe words. One row of `words` is one word; its reader takes the value's text and fills
 * the fields that belong to it. */
#include "common/recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_TEXT_MAX 128

/* What the words' values are called; the place in the list is the enum's number. */
static const char *const interp_names[] = { "nearest", "box",     "bilinear",     "hamming",
					    "bicubic", "lanczos", "opencv-linear" };
static const char *const color_names[] = { "rgb", "bgr", "gray" };
static const char *const layout_names[] = { "nchw", "nhwc" };
static const char *const resize_names[] = { "none", "stretch", "short", "letterbox" };
static const char *const crop_names[] = { "none", "center", "center-floor" };

#define COUNT(list) (int)(sizeof(list) / sizeof *(list))

static int pick(const char *const *names, int count, const char *text, int *at)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], text) == 0) {
			*at = i;
			return 0;
		}
	return -1;
}

/* A whole number in [least, most], digits only; *end is what follows. */
static int whole(const char *text, const char **end, int least, int most, int *value)
{
	long n = 0;
	const char *s = text;

	for (; *s >= '0' && *s <= '9' && n <= most; s++)
		n = n * 10 + (*s - '0');
	if (s == text || n < least || n > most)
		return -1;
	*value = (int)n;
	*end = s;
	return 0;
}

/* A finite decimal number that ends at one of `stops` or at the end. */
static int decimal(const char *text, const char **end, const char *stops, double *value)
{
	char *after;

	if (strspn(text, "+-.0123456789eE") == 0)
		return -1;
	*value = strtod(text, &after);
	if (after == text || !isfinite(*value) || (*after && !strchr(stops, *after)))
		return -1;
	if (strspn(text, "+-.0123456789eE") < (size_t)(after - text))
		return -1; /* hexadecimal, inf, nan: not our spelling */
	*end = after;
	return 0;
}

/* WIDTHxHEIGHT, or one number for a square. */
static int size_of(const char *text, int *width, int *height)
{
	const char *end;

	if (whole(text, &end, 1, RECIPE_SIDE_MAX, width) < 0)
		return -1;
	*height = *width;
	if (*end == 'x' && whole(end + 1, &end, 1, RECIPE_SIDE_MAX, height) < 0)
		return -1;
	return *end ? -1 : 0;
}

static int read_roi(struct recipe *r, const char *text)
{
	int *const fields[] = { &r->roi_x, &r->roi_y, &r->roi_width, &r->roi_height };
	const char *end = text;

	if (strcmp(text, "none") == 0) {
		r->roi = ROI_NONE;
		return 0;
	}
	if (strncmp(text, "fraction:", 9) == 0) {
		r->roi = ROI_FRACTION;
		return decimal(text + 9, &end, "", &r->roi_fraction) < 0 || r->roi_fraction <= 0 ||
			       r->roi_fraction > 1
			   ? -1
			   : 0;
	}
	r->roi = ROI_PIXELS;
	for (int i = 0; i < 4; i++) {
		if (i && *end++ != ',')
			return -1;
		if (whole(end, &end, i < 2 ? 0 : 1, RECIPE_SIDE_MAX, fields[i]) < 0)
			return -1;
	}
	return *end ? -1 : 0;
}

static int read_color(struct recipe *r, const char *text)
{
	int at;

	if (pick(color_names, COUNT(color_names), text, &at) < 0)
		return -1;
	r->color = (enum recipe_color)at;
	return 0;
}

static int read_depth(struct recipe *r, const char *text)
{
	const char *end;

	return whole(text, &end, 8, 16, &r->depth) < 0 || *end || r->depth % 8 ? -1 : 0;
}

/* "MODE" or "MODE:SIZE": the mode's number, and where its size begins ("" if there is none). */
static const char *mode_of(const char *const *names, int count, const char *text, int *at)
{
	char name[WORD_TEXT_MAX];
	size_t n = strcspn(text, ":");

	if (n >= sizeof name)
		return NULL;
	memcpy(name, text, n);
	name[n] = '\0';
	if (pick(names, count, name, at) < 0 || (*at == 0) != (text[n] == '\0'))
		return NULL;
	return text + n + (text[n] == ':');
}

static int read_resize(struct recipe *r, const char *text)
{
	int at;
	const char *size = mode_of(resize_names, COUNT(resize_names), text, &at);

	if (!size)
		return -1;
	r->resize = (enum recipe_resize)at;
	r->width = r->height = 0;
	if (at == RESIZE_NONE)
		return 0;
	if (at == RESIZE_SHORT)
		return whole(size, &size, 1, RECIPE_SIDE_MAX, &r->width) < 0 || *size ? -1 : 0;
	return size_of(size, &r->width, &r->height);
}

static int read_interp(struct recipe *r, const char *text)
{
	int at;

	if (pick(interp_names, COUNT(interp_names), text, &at) < 0)
		return -1;
	r->interp = (enum recipe_interp)at;
	return 0;
}

static int read_antialias(struct recipe *r, const char *text)
{
	if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
		return -1;
	r->antialias = *text == '1';
	return 0;
}

static int read_crop(struct recipe *r, const char *text)
{
	int at;
	const char *size = mode_of(crop_names, COUNT(crop_names), text, &at);

	if (!size)
		return -1;
	r->crop = (enum recipe_crop)at;
	r->crop_width = r->crop_height = 0;
	return at == CROP_NONE ? 0 : size_of(size, &r->crop_width, &r->crop_height);
}

static int read_pad(struct recipe *r, const char *text)
{
	const char *end;

	return whole(text, &end, 0, 65535, &r->pad) < 0 || *end ? -1 : 0;
}

/* 0.00392156862745098 is how a program writes 1/255: find the divisor, in halves. */
static void as_fraction(double *up, double *down)
{
	double halves = round(2 / *up);

	if (*down == 1 && *up < 1 && halves >= 2 && halves < 1e6 && 1 / (halves / 2) == *up) {
		*down = halves / 2;
		*up = 1;
	}
}

static int read_scale(struct recipe *r, const char *text)
{
	const char *end;

	r->scale_down = 1;
	if (decimal(text, &end, "/", &r->scale_up) < 0)
		return -1;
	if (*end == '/' && decimal(end + 1, &end, "", &r->scale_down) < 0)
		return -1;
	if (!(r->scale_up > 0) || !(r->scale_down > 0) || r->scale_up > 1e9 ||
	    r->scale_down > 1e9 || r->scale_up < 1e-9 || r->scale_down < 1e-9)
		return -1;
	as_fraction(&r->scale_up, &r->scale_down);
	return 0;
}

static int read_numbers(const char *text, double *number, int *count)
{
	const char *end = text;

	for (*count = 0; *count < 3; ++*count) {
		if (*count && *end++ != ',')
			return -1;
		if (decimal(end, &end, ",", &number[*count]) < 0 || fabs(number[*count]) > 1e9)
			return -1;
		if (!*end)
			return ++*count == 2 ? -1 : 0;
	}
	return -1;
}

static int read_mean(struct recipe *r, const char *text)
{
	return read_numbers(text, r->mean, &r->mean_count);
}

static int read_std(struct recipe *r, const char *text)
{
	if (read_numbers(text, r->std, &r->std_count) < 0)
		return -1;
	for (int i = 0; i < r->std_count; i++)
		if (!(r->std[i] >= 1e-9))
			return -1;
	return 0;
}

static int read_layout(struct recipe *r, const char *text)
{
	int at;

	if (pick(layout_names, COUNT(layout_names), text, &at) < 0)
		return -1;
	r->layout = (enum recipe_layout)at;
	return 0;
}

static int read_dtype(struct recipe *r, const char *text)
{
	return dtype_parse(&r->dtype, text) < 0 || (r->dtype != DTYPE_U8 && r->dtype != DTYPE_F32)
		   ? -1
		   : 0;
}

/* key, bit in given, reader, what its value may be (for the error) */
static const struct word {
	const char *key;
	unsigned bit;
	int (*read)(struct recipe *r, const char *text);
	const char *values;
} words[] = {
	{ "roi", WORD_ROI, read_roi, "none, X,Y,WIDTH,HEIGHT or fraction:0.875" },
	{ "resize", WORD_RESIZE, read_resize,
	  "none, stretch:WIDTHxHEIGHT, short:SIDE or letterbox:WIDTHxHEIGHT" },
	{ "interp", WORD_INTERP, read_interp,
	  "nearest, box, bilinear, hamming, bicubic, lanczos or opencv-linear" },
	{ "antialias", WORD_ANTIALIAS, read_antialias, "0 or 1" },
	{ "crop", WORD_CROP, read_crop, "none, center:WIDTHxHEIGHT or center-floor:WIDTHxHEIGHT" },
	{ "pad", WORD_PAD, read_pad, "0 to 65535" },
	{ "color", WORD_COLOR, read_color, "rgb, bgr or gray" },
	{ "depth", WORD_DEPTH, read_depth, "8 or 16" },
	{ "scale", WORD_SCALE, read_scale, "a number or a fraction such as 1/255, above 0" },
	{ "mean", WORD_MEAN, read_mean, "one or three numbers" },
	{ "std", WORD_STD, read_std, "one or three numbers above 0" },
	{ "layout", WORD_LAYOUT, read_layout, "nchw or nhwc" },
	{ "dtype", WORD_DTYPE, read_dtype, "u8 or f32" },
};

/* One "KEY=VALUE", blanks trimmed. `said`: the words of this text so far. */
static int merge_word(struct recipe *r, char *text, unsigned *said, struct err *e)
{
	char *value = strchr(text, '=');

	if (!value)
		return err_code(e, EX_USAGE, "recipe: '%s' is not of the form KEY=VALUE", text);
	*value++ = '\0';
	for (int i = 0; i < COUNT(words); i++) {
		if (strcmp(words[i].key, text) != 0)
			continue;
		if (*said & words[i].bit)
			return err_code(e, EX_USAGE, "recipe: '%s' is said twice", text);
		if (words[i].read(r, value) < 0)
			return err_code(e, EX_USAGE, "recipe: %s: '%s' is not %s", text, value,
					words[i].values);
		*said |= words[i].bit;
		return 0;
	}
	return err_code(e, EX_USAGE, "recipe: '%s' is not a word of a recipe", text);
}

int recipe_merge(struct recipe *r, const char *text, struct err *e)
{
	static const char blanks[] = " \t\r\n";
	struct recipe fresh = *r; /* *r stays whole if the text is wrong */
	char word[WORD_TEXT_MAX];
	unsigned said = 0;

	while (*text) {
		text += strspn(text, blanks);
		size_t n = strcspn(text, ";"), trimmed = n;
		while (trimmed && strchr(blanks, text[trimmed - 1]))
			trimmed--;
		if (trimmed >= sizeof word)
			return err_code(e, EX_USAGE, "recipe: '%.40s…' is too long", text);
		memcpy(word, text, trimmed);
		word[trimmed] = '\0';
		if (trimmed && merge_word(&fresh, word, &said, e) < 0)
			return -1;
		text += n + (text[n] == ';');
	}
	fresh.given |= said;
	*r = fresh;
	return 0;
}
