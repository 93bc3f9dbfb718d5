/* Half precision by integers: exact on every machine. */
#include "infer/half.h"

#include <math.h>
#include <string.h>

float half_value(uint16_t h)
{
	int exponent = h >> 10 & 31, mantissa = h & 1023;
	float f;

	if (exponent == 31)
		f = mantissa ? NAN : INFINITY;
	else if (exponent == 0)
		f = ldexpf((float)mantissa, -24);
	else
		f = ldexpf((float)(mantissa + 1024), exponent - 25);
	return h >> 15 ? -f : f;
}

uint16_t half_of(float f)
{
	uint32_t bits, sign, magnitude, half;
	int shift;

	memcpy(&bits, &f, sizeof bits);
	sign = bits >> 16 & 0x8000;
	magnitude = bits & 0x7fffffff;
	if (magnitude > 0x7f800000) /* NaN */
		return (uint16_t)(sign | 0x7e00);
	if (magnitude >= 0x477ff000) /* 65520 and above round to infinity */
		return (uint16_t)(sign | 0x7c00);
	if (magnitude >= 0x38800000) { /* normal: rebias, round away 13 bits */
		half = magnitude - 0x38000000;
		half += 0x0fff + (half >> 13 & 1);
		return (uint16_t)(sign | half >> 13);
	}
	if (magnitude < 0x33000000) /* below half the least */
		return (uint16_t)sign;
	shift = 126 - (int)(magnitude >> 23); /* 14 … 24 */
	half = (magnitude & 0x7fffff) | 0x800000;
	magnitude = half >> shift;
	half &= (1u << shift) - 1;
	if (half > 1u << (shift - 1) || (half == 1u << (shift - 1) && (magnitude & 1)))
		magnitude++;
	return (uint16_t)(sign | magnitude);
}

void half_to_float(const void *from, float *to, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint16_t h;

		memcpy(&h, (const char *)from + 2 * i, 2);
		to[i] = half_value(h);
	}
}

void float_round_half(float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = half_value(half_of(x[i]));
}
