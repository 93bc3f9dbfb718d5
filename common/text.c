/* Text for JSON Lines, CSV and the store's JSON columns.
 *
 * Rows of a thousand scores are common, and snprintf with strtof takes a microsecond each, so
 * number_f32 finds the digits itself: scale by a power of ten that long double holds exactly,
 * round, and check that a small interval around the decimal rounds back to the same float. The
 * interval (2^-50) is wider than every error made here and than the rounding to double that a
 * reader may do on the way. */
#include "common/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int text_reserve(struct text *t, size_t size)
{
	size_t capacity = t->capacity ? t->capacity : 256;

	if (t->failed)
		return -1;
	if (size <= t->capacity - t->used)
		return 0;
	while (capacity - t->used < size) {
		if (capacity > SIZE_MAX / 2)
			goto failed;
		capacity *= 2;
	}
	char *data = realloc(t->data, capacity);
	if (!data)
		goto failed;
	t->data = data;
	t->capacity = capacity;
	return 0;
failed:
	t->failed = true;
	return -1;
}

void text_add(struct text *t, const void *data, size_t size)
{
	if (size == 0 || text_reserve(t, size) < 0)
		return;
	memcpy(t->data + t->used, data, size);
	t->used += size;
}

void text_puts(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_putc(struct text *t, char c)
{
	text_add(t, &c, 1);
}

void text_int(struct text *t, int64_t value)
{
	char out[TEXT_NUMBER_MAX];
	char *at = out + sizeof out;
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		*--at = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (value < 0)
		*--at = '-';
	text_add(t, at, (size_t)(out + sizeof out - at));
}

void text_f32(struct text *t, float value)
{
	char out[TEXT_NUMBER_MAX];

	text_add(t, out, (size_t)number_f32(out, value));
}

void text_f64(struct text *t, double value)
{
	char out[TEXT_NUMBER_MAX];

	text_add(t, out, (size_t)number_f64(out, value));
}

void text_json(struct text *t, const char *s)
{
	static const char hex[] = "0123456789abcdef";

	text_putc(t, '"');
	for (;;) {
		size_t plain = 0;
		while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
			plain++;
		text_add(t, s, plain);
		s += plain;
		if (*s == '\0')
			break;
		if (*s == '"' || *s == '\\') {
			text_putc(t, '\\');
			text_putc(t, *s);
		} else {
			text_puts(t, "\\u00");
			text_putc(t, hex[(unsigned char)*s >> 4]);
			text_putc(t, hex[(unsigned char)*s & 15]);
		}
		s++;
	}
	text_putc(t, '"');
}

void text_csv(struct text *t, const char *s)
{
	size_t length = strlen(s);

	/* Spaces at the ends are kept by RFC 4180 and lost by some readers: quote them too. */
	if (length && !strpbrk(s, ",\"\r\n") && s[0] != ' ' && s[length - 1] != ' ') {
		text_add(t, s, length);
		return;
	}
	if (length == 0)
		return;
	text_putc(t, '"');
	for (; *s; s++) {
		if (*s == '"')
			text_putc(t, '"');
		text_putc(t, *s);
	}
	text_putc(t, '"');
}

void text_clear(struct text *t)
{
	t->used = 0;
	t->failed = false;
}

void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){ 0 };
}

#define TEN_MAX 27 /* 5^27 < 2^64: the last power of ten that 64 bits of mantissa hold exactly */

static long double ten(int power)
{
	static const long double table[TEN_MAX + 1] = {
		1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
		1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
		1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L,
	};
	return table[power];
}

static bool reads_back(long double decimal, float value)
{
	const long double margin = 0x1p-50L;

	return (float)(decimal * (1 - margin)) == value && (float)(decimal * (1 + margin)) == value;
}

/* Write digits × 10^exponent the way people write numbers. digits has no trailing zero. */
static int spell(char *out, bool negative, uint64_t digits, int exponent)
{
	char raw[24];
	int n = snprintf(raw, sizeof raw, "%llu", (unsigned long long)digits);
	int point = n + exponent; /* digits before the point */
	char *at = out;

	if (negative)
		*at++ = '-';
	if (point > 15 || point < -5) {
		*at++ = raw[0];
		if (n > 1) {
			*at++ = '.';
			memcpy(at, raw + 1, (size_t)n - 1);
			at += n - 1;
		}
		return (int)(at - out) + snprintf(at, 8, "e%+03d", point - 1);
	}
	if (point <= 0) {
		*at++ = '0';
		*at++ = '.';
		for (int i = point; i < 0; i++)
			*at++ = '0';
	}
	for (int i = 0; i < n; i++) {
		if (i == point && i > 0)
			*at++ = '.';
		*at++ = raw[i];
	}
	for (int i = n; i < point; i++)
		*at++ = '0';
	*at = '\0';
	return (int)(at - out);
}

/* Digits by the C library, for numbers too large or small for exact powers of ten. */
static int spell_slowly(char *out, float value)
{
	for (int precision = 6; precision < 9; precision++) {
		int n = snprintf(out, TEXT_NUMBER_MAX, "%.*g", precision, (double)value);
		if (strtof(out, NULL) == value && (float)strtod(out, NULL) == value)
			return n;
	}
	return snprintf(out, TEXT_NUMBER_MAX, "%.9g", (double)value);
}

int number_f32(char *out, float value)
{
	float size = fabsf(value);

	if (size == 0)
		return snprintf(out, TEXT_NUMBER_MAX, signbit(value) ? "-0" : "0");
	if (size < 1e-15f || size >= 1e15f)
		return spell_slowly(out, value);
	int top =
	    (int)floorf(log10f(size)); /* may be one off: then a digit more or less is tried */
	for (int precision = 6; precision <= 10; precision++) {
		int power = precision - 1 - top;
		long double scaled =
		    power >= 0 ? (long double)size * ten(power) : (long double)size / ten(-power);
		uint64_t digits = (uint64_t)llroundl(scaled);
		long double decimal = power >= 0 ? (long double)digits / ten(power)
						 : (long double)digits * ten(-power);
		if (digits == 0 || !reads_back(decimal, size))
			continue;
		int exponent = -power;
		for (; digits % 10 == 0; digits /= 10)
			exponent++;
		return spell(out, value < 0, digits, exponent);
	}
	return spell_slowly(out, value);
}

int number_f64(char *out, double value)
{
	int n = 0;

	for (int precision = 15; precision <= 17; precision++) {
		n = snprintf(out, TEXT_NUMBER_MAX, "%.*g", precision, value);
		if (strtod(out, NULL) == value)
			break;
	}
	return n;
}
