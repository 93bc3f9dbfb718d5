/* Numbers are the shortest that read back; strings survive JSON and CSV; key sets are sets. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/keys.h"
#include "common/text.h"

static int failures;

#define CHECK(condition, ...)                \
	do {                                 \
		if (!(condition)) {          \
			printf(__VA_ARGS__); \
			printf("\n");        \
			failures++;          \
		}                            \
	} while (0)

static uint32_t random_bits(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

static int digits_of(const char *s)
{
	int n = 0, trailing = 0;

	for (; *s && *s != 'e'; s++) {
		if (*s < '0' || *s > '9' || (n == 0 && *s == '0'))
			continue;
		n++;
		trailing = *s == '0' ? trailing + 1 : 0;
	}
	return n - trailing;
}

/* Fewest digits with which printf's text reads back. */
static int fewest_digits(float value)
{
	char out[64];

	for (int precision = 1; precision < 9; precision++) {
		snprintf(out, sizeof out, "%.*e", precision - 1, (double)value);
		if (strtof(out, NULL) == value)
			return digits_of(out);
	}
	return 9;
}

static void check_f32(float value, bool shortest)
{
	char out[TEXT_NUMBER_MAX];
	int n = number_f32(out, value);
	float direct = strtof(out, NULL), through = (float)strtod(out, NULL);

	CHECK(n == (int)strlen(out) && n < TEXT_NUMBER_MAX, "length of %s", out);
	CHECK(memcmp(&direct, &value, 4) == 0, "%.9g written as %s", (double)value, out);
	CHECK(memcmp(&through, &value, 4) == 0, "%.9g as %s, read as double", (double)value, out);
	if (shortest && fabsf(value) > 1e-30f)
		CHECK(digits_of(out) <= fewest_digits(value), "%s is longer than needed", out);
}

static void check_numbers(void)
{
	static const float known[] = { 0,         -0.0f,       1,          0.1f,    0.9f,
				       0.973f,    1e-5f,       1.5e-7f,    FLT_MAX, FLT_MIN,
				       1e-45f,    16777216,    0.3333333f, 1e15f,   123456.7f,
				       9999999.f, 0.99999994f, 1e10f };
	uint64_t state = 42;
	size_t tried = 0;

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		check_f32(known[i], false), check_f32(-known[i], false);
	for (int i = 0; i < 1000000; i++, tried++) {
		uint32_t bits = random_bits(&state);
		float value;
		if (i & 1) /* as scores are: in 0…1 */
			value = (float)(bits >> 8) * 0x1p-24f;
		else
			memcpy(&value, &bits, 4);
		if (isfinite(value))
			check_f32(value, i % 16 == 1);
	}
	char out[TEXT_NUMBER_MAX];
	number_f32(out, 0.973f);
	CHECK(strcmp(out, "0.973") == 0, "0.973 as %s", out);
	number_f32(out, 1.0f);
	CHECK(strcmp(out, "1") == 0, "1 as %s", out);
	number_f32(out, 2.5e-7f);
	CHECK(strcmp(out, "2.5e-07") == 0, "2.5e-7 as %s", out);
	number_f32(out, 1200);
	CHECK(strcmp(out, "1200") == 0, "1200 as %s", out);
	number_f64(out, 41.7);
	CHECK(strcmp(out, "41.7") == 0, "41.7 as %s", out);
	printf("%zu numbers read back the same\n", tried);
}

static void check_strings(void)
{
	struct text t = { 0 };

	text_json(&t, "a\"b\\c\x01\té");
	text_putc(&t, '\0');
	CHECK(strcmp(t.data, "\"a\\\"b\\\\c\\u0001\\u0009é\"") == 0, "JSON %s", t.data);
	text_clear(&t);
	text_csv(&t, "plain");
	text_putc(&t, '|');
	text_csv(&t, "a,\"b\"");
	text_putc(&t, '|');
	text_csv(&t, " a");
	text_putc(&t, '|');
	text_csv(&t, "");
	text_int(&t, INT64_MIN);
	text_putc(&t, '\0');
	CHECK(strcmp(t.data, "plain|\"a,\"\"b\"\"\"|\" a\"|-9223372036854775808") == 0, "CSV %s",
	      t.data);
	text_free(&t);
}

/* A set of keys against a plain array of flags. */
static void check_keys(void)
{
	enum { SIZE = 400 };
	uint64_t state = 7;

	for (int round = 0; round < 200; round++) {
		struct keys k = { 0 };
		bool there[SIZE] = { false };
		for (int i = 0; i < 60; i++) {
			uint64_t first = random_bits(&state) % SIZE;
			uint64_t last = first + random_bits(&state) % 9;
			if (last >= SIZE)
				last = SIZE - 1;
			CHECK(keys_add(&k, "s", 1, first, last) == 0, "no memory");
			for (uint64_t s = first; s <= last; s++)
				there[s] = true;
		}
		uint64_t count = 0, missing = 0;
		for (uint64_t s = 0; s < SIZE; s++) {
			CHECK(keys_have(&k, "s", 1, s) == there[s], "key %d", (int)s);
			CHECK(!keys_have(&k, "s", 2, s), "another run");
			count += there[s];
			missing += s >= 10 && s < 390 && !there[s];
		}
		struct key_range range[SIZE];
		size_t ranges;
		const struct key_run *r = keys_run(&k, "s", 1);
		CHECK(keys_count(r) == count, "count");
		CHECK(keys_missing(r, 10, 389, range, SIZE, &ranges) == missing, "missing");
		for (size_t i = 0; i < ranges; i++)
			for (uint64_t s = range[i].first; s <= range[i].last; s++)
				CHECK(!there[s] && s >= 10 && s < 390, "range");
		keys_free(&k);
	}
	size_t ranges;
	struct key_range all;
	CHECK(keys_missing(NULL, 0, UINT64_MAX - 1, &all, 1, &ranges) == UINT64_MAX,
	      "nothing there");
}

int main(void)
{
	check_numbers();
	check_strings();
	check_keys();
	printf("%d failures\n", failures);
	return failures != 0;
}
