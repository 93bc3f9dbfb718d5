/* The indirection: for each tap of a window and each output pixel a pointer to the channels that it sees,
 * or to a page of padding where it hangs over the edge. No picture is ever copied for its borders.
 * Elements may be of any size: all steps are in bytes. */
#ifndef INFER_KERNELS_ROWS_H
#define INFER_KERNELS_ROWS_H

#include <stdbool.h>
#include <stddef.h>

struct rows {
	size_t in[3], out[3]; /* depth, height, width; of fewer dimensions the leading ones are 1 */
	size_t kernel[3], stride[3], dilation[3];
	ptrdiff_t pad[3]; /* before; what is read beyond the end is padding too */
	size_t pitch;     /* bytes from pixel to pixel of the picture */
};

size_t rows_taps(const struct rows *r);   /* of the window */
size_t rows_pixels(const struct rows *r); /* of one output picture */

/* For output pixels [first, first + count) of picture x: to[tap * count + i]. */
void rows_point(const struct rows *r, const void *x, size_t first, size_t count,
		const void *padding, const void **to);

/* Few channels without gaps, as in the first layer: the taps of one row of the window lie side by side
 * in the picture, so that they serve as one tap of kernel width x pitch bytes. Only windows that hang
 * over the left or right edge are copied. */
bool rows_run(const struct rows *r, size_t groups, size_t channel_bytes);
size_t rows_run_taps(const struct rows *r);
size_t rows_run_bytes(const struct rows *r);

/* As rows_point with rows_run_taps taps; padding holds rows_run_bytes; spare: as many bytes for each of
 * taps x count pointers. */
void rows_point_runs(const struct rows *r, const void *x, size_t first, size_t count,
		     const void *padding, void *spare, const void **to);

#endif
