/* Depthwise convolution of bytes, one output row at a time, channels last, for processors with VNNI.
 *
 * Instead of one tap for four channels the instruction takes four neighbouring taps of one channel: four
 * pixels' bytes are interleaved once, and serve several output pixels, whose weights are laid into the
 * four places as they need them. Channels go in blocks of 64, 32 or 16.
 *
 * Packed, per block of `wide` channels: bias (i32), factor (f32); then for each row of the window, output
 * pixel in flight and group of four pixels the weights of 4 x wide bytes. Channels stand in the order in
 * which interleaving leaves them: vector j holds, of each 16, those from 4j to 4j + 3. */
#ifndef INFER_KERNELS_QDEPTHWISE_H
#define INFER_KERNELS_QDEPTHWISE_H

#include "infer/kernels/qconv.h"

struct qdepthwise {
	size_t channels, width; /* output pixels of the row */
	size_t lines, columns;  /* pointers: line by line, as far as the last group reaches */
	const void *const *at;  /* at[line * columns + x], x = 0 is the first pixel of padding */
	size_t flight, groups;  /* output pixels at a time; groups of four pixels that they see */
	size_t stride, dilation;
	const char *packed;
	uint8_t *y;
	size_t y_pitch;
	const struct requant *requant;
};

/* Channels of the block that begins when this many are left. */
static inline size_t qdepthwise_wide(size_t left)
{
	return left > 48 ? 64 : left > 16 ? 32 : 16;
}

static inline size_t qdepthwise_block_bytes(size_t wide, size_t lines, size_t flight, size_t groups)
{
	return wide * (8 + lines * flight * groups * 4);
}

static inline size_t qdepthwise_place(size_t channel)
{
	return channel % 16 / 4; /* vector; in it: channel / 16 * 4 + channel % 4 */
}

void qdepthwise__vnni(const struct qdepthwise *d);

#endif
