/* OpenCV's INTER_LINEAR for 8-bit samples, in its own fixed point. */
#ifndef PREPROCESS_OPENCV_H
#define PREPROCESS_OPENCV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "preprocess/geometry.h"

struct opencv_tap {
	int at, next;          /* the two samples */
	int32_t first, second; /* their weights, × 2^11 */
};

struct opencv {
	struct opencv_tap *across, *down; /* one for each kept column and row */
	bool halves;                      /* exactly half in both directions: a mean of four */
	int pixels;                       /* kept columns */
	size_t samples;                   /* of a row */
	int32_t *row[2];                  /* source rows after the horizontal pass */
	int held[2];                      /* which they are, -1 none */
};

int opencv_open(struct opencv *o, const struct geometry *g, int channels, struct err *e);
void opencv_close(struct opencv *o);

void opencv_across(const struct opencv *o, int channels, const uint8_t *row, int32_t *out);
void opencv_down(const struct opencv_tap *tap, const int32_t *upper, const int32_t *lower,
		 size_t samples, uint8_t *out);
void opencv_halve(const struct opencv *o, int channels, const uint8_t *upper, const uint8_t *lower,
		  uint8_t *out);

#endif
