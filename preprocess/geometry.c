/* Sizes and offsets, rounded as the libraries round that people train with:
 *   short side       torchvision: the long side is short × long / short side, truncated
 *   letterbox        both sides × min(w / W, h / H), rounded half to even; the odd border row goes
 *                    to the right and to the bottom
 *   crop=center      torchvision: half the margin, rounded half to even; a picture that is too
 *                    small is padded, the odd border row to the right and to the bottom
 *   crop=center-floor  transformers: half the margin, rounded down, in both cases
 *   roi=fraction:F   Pillow's box: (1 - F) / 2 of each side is left out, not rounded to pixels */
#include "preprocess/geometry.h"

#include <math.h>

static int take_roi(struct geometry *g, const struct recipe *r, int width, int height,
		    struct err *e)
{
	g->x = (struct extent){ .size = width };
	g->y = (struct extent){ .size = height };
	if (r->roi == ROI_PIXELS) {
		if (r->roi_x + r->roi_width > width || r->roi_y + r->roi_height > height)
			return err_set(e, "roi=%d,%d,%d,%d lies outside the picture of %dx%d",
				       r->roi_x, r->roi_y, r->roi_width, r->roi_height, width,
				       height);
		g->x = (struct extent){ .from = r->roi_x, .size = r->roi_width };
		g->y = (struct extent){ .from = r->roi_y, .size = r->roi_height };
	}
	return 0;
}

static void take_box(struct extent *a, const struct recipe *r)
{
	double margin = r->roi == ROI_FRACTION ? a->size * (1 - r->roi_fraction) / 2 : 0;

	a->box0 = (float)margin;
	a->box1 = (float)(a->size - margin);
}

static int at_least_one(double side)
{
	return side < 1 ? 1 : (int)side;
}

static void take_size(struct geometry *g, const struct recipe *r)
{
	double ratio;
	int width = g->x.size, height = g->y.size;

	switch (r->resize) {
	case RESIZE_NONE:
		g->x.full = width;
		g->y.full = height;
		break;
	case RESIZE_STRETCH:
		g->x.full = r->width;
		g->y.full = r->height;
		break;
	case RESIZE_SHORT:
		g->x.full = r->width;
		g->y.full = r->width;
		if (width <= height)
			g->y.full = (int)((double)((int64_t)r->width * height) / width);
		else
			g->x.full = (int)((double)((int64_t)r->width * width) / height);
		break;
	case RESIZE_LETTERBOX:
		ratio = fmin((double)r->width / width, (double)r->height / height);
		g->x.full = at_least_one(nearbyint(width * ratio));
		g->y.full = at_least_one(nearbyint(height * ratio));
		break;
	}
}

/* The output of `side` pixels looks at the resized picture from `offset` on; what lies outside of
 * it is border. */
static void look_from(struct extent *a, int offset, int side)
{
	int end = offset + side < a->full ? offset + side : a->full;

	a->first = offset > 0 ? offset : 0;
	a->count = end - a->first;
	a->at = offset < 0 ? -offset : 0;
	a->side = side;
}

static int halve(int margin, enum recipe_crop how)
{
	if (margin < 0)
		return how == CROP_FLOOR ? -((1 - margin) / 2) : -(-margin / 2);
	if (how == CROP_FLOOR || margin % 4 != 3)
		return margin / 2;
	return margin / 2 + 1; /* 1.5 becomes 2, 2.5 stays 2: half to even */
}

/* The crop is taken of the padded letterbox, so the two offsets add up. */
static void take_crop(struct extent *a, const struct recipe *r, int box_side, int crop_side)
{
	int offset = 0, side = a->full;

	if (r->resize == RESIZE_LETTERBOX) {
		side = box_side;
		offset = -((box_side - a->full) / 2);
	}
	if (r->crop != CROP_NONE) {
		offset += halve(side - crop_side, r->crop);
		side = crop_side;
	}
	look_from(a, offset, side);
}

int geometry_of(struct geometry *g, const struct recipe *r, int width, int height, struct err *e)
{
	if (take_roi(g, r, width, height, e) < 0)
		return -1;
	take_box(&g->x, r);
	take_box(&g->y, r);
	take_size(g, r);
	take_crop(&g->x, r, r->width, r->crop_width);
	take_crop(&g->y, r, r->height, r->crop_height);
	if (g->x.side > RECIPE_SIDE_MAX || g->y.side > RECIPE_SIDE_MAX)
		return err_set(e, "a picture of %dx%d becomes %dx%d, sides are at most %d", width,
			       height, g->x.side, g->y.side, RECIPE_SIDE_MAX);
	if (g->x.count < 1 || g->y.count < 1)
		return err_set(e, "nothing of the picture of %dx%d is left", width, height);
	return 0;
}
