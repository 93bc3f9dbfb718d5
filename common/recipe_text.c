/* A checked recipe as its canonical text, what follows from it, and the recipes that have a name.
 */
#include "common/recipe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
	char *out;
	size_t used;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *format, ...)
{
	va_list args;
	size_t room = RECIPE_TEXT_MAX - t->used;

	va_start(args, format);
	int n = vsnprintf(t->out + t->used, room, format, args);
	va_end(args);
	if (n > 0)
		t->used += (size_t)n < room ? (size_t)n : room - 1;
}

/* The shortest decimal that reads back as the same number. */
static void put_number(struct text *t, double value)
{
	char digits[40];

	for (int precision = 1; precision <= 17; precision++) {
		snprintf(digits, sizeof digits, "%.*g", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	put(t, "%s", digits);
}

static void put_numbers(struct text *t, const char *key, const double *number, int count)
{
	put(t, ";%s=", key);
	for (int i = 0; i < count; i++) {
		put(t, "%s", i ? "," : "");
		put_number(t, number[i]);
	}
}

static void put_roi(struct text *t, const struct recipe *r)
{
	if (r->roi == ROI_PIXELS)
		put(t, "roi=%d,%d,%d,%d;", r->roi_x, r->roi_y, r->roi_width, r->roi_height);
	if (r->roi == ROI_FRACTION) {
		put(t, "roi=fraction:");
		put_number(t, r->roi_fraction);
		put(t, ";");
	}
}

static void put_resize(struct text *t, const struct recipe *r)
{
	static const char *const interp[] = { "nearest", "box",     "bilinear",     "hamming",
					      "bicubic", "lanczos", "opencv-linear" };

	if (r->resize == RESIZE_NONE) {
		put(t, "resize=none");
		return;
	}
	if (r->resize == RESIZE_SHORT)
		put(t, "resize=short:%d", r->width);
	else
		put(t, "resize=%s:%dx%d", r->resize == RESIZE_STRETCH ? "stretch" : "letterbox",
		    r->width, r->height);
	put(t, ";interp=%s;antialias=%d", interp[r->interp], r->antialias);
}

/* Words that came later, or that few use (roi, pad, depth), stand in the text only where they say
 * something: what a recipe is called must not change when the language grows. */
void recipe_format(const struct recipe *r, char text[RECIPE_TEXT_MAX])
{
	static const char *const color[] = { "rgb", "bgr", "gray" };
	struct text t = { text, 0 };

	put_roi(&t, r);
	put_resize(&t, r);
	if (r->crop == CROP_NONE)
		put(&t, ";crop=none");
	else
		put(&t, ";crop=%s:%dx%d", r->crop == CROP_FLOOR ? "center-floor" : "center",
		    r->crop_width, r->crop_height);
	if (r->pad || r->resize == RESIZE_LETTERBOX)
		put(&t, ";pad=%d", r->pad);
	put(&t, ";color=%s", color[r->color]);
	if (r->depth != 8)
		put(&t, ";depth=%d", r->depth);
	put(&t, ";scale=");
	put_number(&t, r->scale_up);
	if (r->scale_down != 1) {
		put(&t, "/");
		put_number(&t, r->scale_down);
	}
	put_numbers(&t, "mean", r->mean, r->mean_count);
	put_numbers(&t, "std", r->std, r->std_count);
	put(&t, ";layout=%s;dtype=%s", r->layout == LAYOUT_NCHW ? "nchw" : "nhwc",
	    dtype_name(r->dtype));
}

void recipe_hash(const struct recipe *r, char hex[HASH_HEX])
{
	char text[RECIPE_TEXT_MAX];

	recipe_format(r, text);
	hash_bytes(text, strlen(text), hex);
}

int recipe_channels(const struct recipe *r)
{
	return r->color == COLOR_GRAY ? 1 : 3;
}

void recipe_shape(const struct recipe *r, int64_t shape[4])
{
	int64_t width = -1, height = -1;

	if (r->crop != CROP_NONE) {
		width = r->crop_width;
		height = r->crop_height;
	} else if (r->resize == RESIZE_STRETCH || r->resize == RESIZE_LETTERBOX) {
		width = r->width;
		height = r->height;
	} else if (r->resize == RESIZE_NONE && r->roi == ROI_PIXELS) {
		width = r->roi_width;
		height = r->roi_height;
	}
	shape[0] = 1;
	if (r->layout == LAYOUT_NCHW) {
		shape[1] = recipe_channels(r);
		shape[2] = height;
		shape[3] = width;
	} else {
		shape[1] = height;
		shape[2] = width;
		shape[3] = recipe_channels(r);
	}
}
