/* One block of channels along one row, for one width of vectors: included by depthwise.c with
 *   WIDE   channels of the block, bytes of a vector
 *   VI, VF its integer and float types
 *   MM(x)  its intrinsics' names, MI(x) those that end in _si and the width
 *   NAME   the function's */

/* Four sums of each channel's vector become one vector of bytes in the channels' own order. */
INLINE VI NAME(finish)(const struct requant *r, const VI *sum, const float *factor)
{
	const VI low = MM(set1_epi16)((short)r->low), high = MM(set1_epi16)((short)r->high);
	const VI zero = MM(set1_epi16)((short)r->zero), byte = MM(set1_epi16)(255);
	VI word[4];

#pragma GCC unroll 4
	for (int j = 0; j < 4; j++) {
		VF v = MM(mul_ps)(MM(cvtepi32_ps)(sum[j]), MM(loadu_ps)(factor + j * (WIDE / 4)));
		word[j] = MM(cvtps_epi32)(MM(min_ps)(v, MM(set1_ps)(200000.0f)));
	}
#pragma GCC unroll 2
	for (int j = 0; j < 2; j++) {
		VI p = MM(adds_epi16)(MM(packs_epi32)(word[2 * j], word[2 * j + 1]), zero);
		p = MM(min_epi16)(MM(max_epi16)(p, low), high);
		word[j] = MI(and)(p, byte);
	}
	return MM(packus_epi16)(word[0], word[1]);
}

/* `flight` output pixels that begin at w, channels from c on. */
INLINE void NAME(pixels)(const struct qdepthwise *d, const int flight, const int groups, size_t hop,
			 const char *packed, size_t w, size_t c, size_t n)
{
	const char *weights = packed + WIDE * 8;
	VI sum[4][4];

#pragma GCC unroll 4
	for (int f = 0; f < flight; f++)
#pragma GCC unroll 4
		for (int j = 0; j < 4; j++)
			sum[f][j] = LOAD(packed + j * WIDE);
	for (size_t l = 0; l < d->lines; l++) {
		const void *const *at = d->at + l * d->columns + w * d->stride;
#pragma GCC unroll 2
		for (int g = 0; g < groups; g++, at += 4 * hop) {
			VI p0 = LOAD((const char *)at[0] + c), p1 = LOAD((const char *)at[hop] + c);
			VI p2 = LOAD((const char *)at[2 * hop] + c),
			   p3 = LOAD((const char *)at[3 * hop] + c);
			VI l0 = MM(unpacklo_epi8)(p0, p1), h0 = MM(unpackhi_epi8)(p0, p1);
			VI l1 = MM(unpacklo_epi8)(p2, p3), h1 = MM(unpackhi_epi8)(p2, p3);
			VI v[4] = { MM(unpacklo_epi16)(l0, l1), MM(unpackhi_epi16)(l0, l1),
				    MM(unpacklo_epi16)(h0, h1), MM(unpackhi_epi16)(h0, h1) };
#pragma GCC unroll 4
			for (int f = 0; f < flight; f++)
#pragma GCC unroll 4
				for (int j = 0; j < 4; j++)
					sum[f][j] = MM(dpbusd_epi32)(
					    sum[f][j], v[j],
					    LOAD(weights + ((f * groups + g) * 4 + j) * WIDE));
		}
		weights += flight * groups * 4 * WIDE;
	}
#pragma GCC unroll 4
	for (int f = 0; f < flight; f++) {
		VI y = NAME(finish)(d->requant, sum[f],
				    (const float *)(const void *)(packed + WIDE * 4));
		uint8_t *to = d->y + (w + (size_t)f) * d->y_pitch + c;
		if (w + (size_t)f >= d->width)
			break;
		if (n == WIDE) {
			STORE(to, y);
		} else {
			uint8_t whole[64];
			STORE(whole, y);
			store_first(to, whole, n);
		}
	}
}

INLINE void NAME(row)(const struct qdepthwise *d, const int flight, const int groups, size_t hop,
		      const char *packed, size_t c, size_t n)
{
	for (size_t w = 0; w < d->width; w += (size_t)flight)
		NAME(pixels)(d, flight, groups, hop, packed, w, c, n);
}

static void NAME(block)(const struct qdepthwise *d, const char *packed, size_t c, size_t n)
{
	switch (d->dilation == 1 ? d->flight * 4 + d->groups : 0) {
	case 4 + 1:
		NAME(row)(d, 1, 1, 1, packed, c, n);
		break;
	case 4 + 2:
		NAME(row)(d, 1, 2, 1, packed, c, n);
		break;
	case 8 + 1:
		NAME(row)(d, 2, 1, 1, packed, c, n);
		break;
	case 8 + 2:
		NAME(row)(d, 2, 2, 1, packed, c, n);
		break;
	case 16 + 2:
		NAME(row)(d, 4, 2, 1, packed, c, n);
		break;
	default: /* one pixel at a time */
		NAME(row)(d, 1, (int)d->groups, d->dilation, packed, c, n);
	}
}

#undef WIDE
#undef VI
#undef VF
#undef MM
#undef MI
#undef NAME
#undef LOAD
#undef STORE
