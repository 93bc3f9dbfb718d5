/* A growing run of bytes, and how numbers and strings are spelt in it. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_NUMBER_MAX 32 /* bytes of the longest number, with the NUL */

/* All zeroes is an empty one. Once memory was short, failed stays set and adding does nothing. */
struct text {
	char *data;
	size_t used, capacity;
	bool failed;
};

void text_add(struct text *t, const void *data, size_t size);
void text_puts(struct text *t, const char *s);
void text_putc(struct text *t, char c);
void text_int(struct text *t, int64_t value);
void text_f32(struct text *t, float value);
void text_f64(struct text *t, double value);
void text_json(struct text *t, const char *s); /* a JSON string, with its quotes */
void text_csv(struct text *t, const char *s);  /* an RFC 4180 field, quoted where it must be */

/* Room for size more bytes without moving what is there: 0, or -1 out of memory. */
int text_reserve(struct text *t, size_t size);
void text_clear(struct text *t); /* empty, not failed; keeps the memory */
void text_free(struct text *t);  /* leaves an empty one */

/* The shortest decimal that reads back as the same number, whether read as float or as double and
 * then rounded. The value must be finite; out holds TEXT_NUMBER_MAX; returns the length. */
int number_f32(char *out, float value);
int number_f64(char *out, double value);

#endif
