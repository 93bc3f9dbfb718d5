/* The recipe: what a network wants of a picture, written once, as one line of KEY=VALUE words:
 *
 *   resize=short:256;interp=bilinear;antialias=1;crop=center:224x224;color=rgb;scale=1/255;
 *   mean=0.485,0.456,0.406;std=0.229,0.224,0.225;layout=nchw;dtype=f32
 *
 * and, where they are wanted, roi, pad and depth. The words may stand in any order; the work is
 * always done in that of the struct. An open struct, because it is data. preprocess/RECIPE.md
 * explains every word. */
#ifndef COMMON_RECIPE_H
#define COMMON_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"
#include "common/hash.h"

#define RECIPE_TEXT_MAX 1024 /* bytes with the NUL; a canonical recipe always fits */
#define RECIPE_SIDE_MAX 16384

enum recipe_roi { ROI_NONE, ROI_PIXELS, ROI_FRACTION };
enum recipe_color { COLOR_RGB, COLOR_BGR, COLOR_GRAY };
enum recipe_resize { RESIZE_NONE, RESIZE_STRETCH, RESIZE_SHORT, RESIZE_LETTERBOX };
enum recipe_interp {
	INTERP_NEAREST,
	INTERP_BOX,
	INTERP_BILINEAR,
	INTERP_HAMMING,
	INTERP_BICUBIC,
	INTERP_LANCZOS,
	INTERP_OPENCV_LINEAR, /* OpenCV's INTER_LINEAR, the default of cv2.resize */
};
/* How an odd margin is halved: CENTER to the even side as torchvision and timm do, FLOOR down as
 * Hugging Face's transformers do. */
enum recipe_crop { CROP_NONE, CROP_CENTER, CROP_FLOOR };
enum recipe_layout { LAYOUT_NCHW, LAYOUT_NHWC };

/* Which words have been said: bits of recipe.given. */
enum recipe_word {
	WORD_ROI = 1 << 0,
	WORD_COLOR = 1 << 1,
	WORD_DEPTH = 1 << 2,
	WORD_RESIZE = 1 << 3,
	WORD_INTERP = 1 << 4,
	WORD_ANTIALIAS = 1 << 5,
	WORD_CROP = 1 << 6,
	WORD_PAD = 1 << 7,
	WORD_SCALE = 1 << 8,
	WORD_MEAN = 1 << 9,
	WORD_STD = 1 << 10,
	WORD_LAYOUT = 1 << 11,
	WORD_DTYPE = 1 << 12,
};

struct recipe {
	enum recipe_roi roi;
	int roi_x, roi_y, roi_width, roi_height; /* ROI_PIXELS */
	double roi_fraction;                     /* ROI_FRACTION: in (0, 1] of each side */

	enum recipe_color color;
	int depth; /* bits of a sample while it is resized: 8 or 16 */

	enum recipe_resize resize;
	int width, height; /* of the resize; RESIZE_SHORT: width alone, the short side */
	enum recipe_interp interp;
	bool antialias;

	enum recipe_crop crop;
	int crop_width, crop_height;
	int pad; /* sample value of borders: letterbox, crop larger than the picture */

	double scale_up, scale_down; /* sample × scale_up ÷ scale_down, then − mean, ÷ std */
	int mean_count, std_count;   /* 1 or 3 as written; recipe_check makes them the channels' */
	double mean[3], std[3];      /* in the order of color */

	enum recipe_layout layout;
	enum dtype dtype; /* DTYPE_U8 or DTYPE_F32 */

	unsigned given; /* which words were said; recipe_check requires those that have no neutral
			   value */
};

/* Read a whole recipe. 0, or -1 with *e (EX_USAGE) naming the word that is wrong, unknown, said
 * twice or missing. Afterwards *r is complete and recipe_format works on it. */
int recipe_parse(struct recipe *r, const char *text, struct err *e);

/* Begin with nothing said, add or replace words, and close: recipe_check says which words are
 * missing or contradict each other, and fills in the neutral values. */
void recipe_init(struct recipe *r);
int recipe_merge(struct recipe *r, const char *text, struct err *e);
int recipe_check(struct recipe *r, struct err *e);

/* The canonical text of a checked recipe: fixed order, shortest numbers, every word that says
 * something (roi, pad and depth only if they are not neutral). Equal recipes give equal text. */
void recipe_format(const struct recipe *r, char text[RECIPE_TEXT_MAX]);

/* SHA-256 of the canonical text. */
void recipe_hash(const struct recipe *r, char hex[HASH_HEX]);

/* Shape of the tensor it makes, {1, C, H, W} or {1, H, W, C}; -1 where it depends on the picture.
 */
void recipe_shape(const struct recipe *r, int64_t shape[4]);

/* Channels of the tensor: 3, or 1 for gray. */
int recipe_channels(const struct recipe *r);

/* Recipes that have a name. recipe_preset gives NULL for an unknown one; recipe_preset_name gives
 * the i-th name, NULL past the end. */
const char *recipe_preset(const char *name);
const char *recipe_preset_name(size_t i);

/* --- from a JSON file (recipe_json.c) ---------------------------------------------------------
 *
 * Four spellings: our own {"recipe": "…"}; Hugging Face's preprocessor_config.json; timm's
 * pretrained_cfg (alone or inside its config.json); torchvision's names (resize_size, crop_size,
 * interpolation, mean, std). Nothing is guessed: a file that leaves a word open, or asks for a step
 * that is not done here, is an error that says so.
 *
 * recipe_from_config: 1 a whole recipe, 0 the file is fine but speaks of none, -1 *e
 * (EX_NOINPUT: no such file). recipe_config_merge is the same without the final recipe_check, so
 * that words can be added to what the file says. */
int recipe_from_config(struct recipe *r, const char *path, struct err *e);
int recipe_config_merge(struct recipe *r, const char *path, struct err *e);

#endif
