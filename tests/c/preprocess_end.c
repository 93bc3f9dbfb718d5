/* The stage behind preprocess, for its tests: says what it wants, and writes down what comes.
 * run by: preprocess.bats
 *
 *     preprocess_end ROWS [--wants RECIPE [--samples]] [--dtype T] [--shape N,C,H,W]
 *
 * --samples: u8 will do, the rest of the recipe is done here.
 *
 * One line a frame: seq, ok or error, type and shape, SHA-256 of the payload, recipe_sha256, path,
 * reason; tabs between. Samples' SHA-256 is that of what was made of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/normalise.h"
#include "common/stage.h"

static const char *recipe = "", *dtype = "", *shape = "";
static bool samples;

static const struct option_row options[] = {
	{ "wants", 0, OPTION_TEXT, "RECIPE", &recipe, "want this recipe", 0, 0 },
	{ "samples", 0, OPTION_FLAG, NULL, &samples, "or 8-bit samples", 0, 0 },
	{ "dtype", 0, OPTION_TEXT, "T", &dtype, "want this type", 0, 0 },
	{ "shape", 0, OPTION_TEXT, "N,C,H,W", &shape, "want this shape", 0, 0 },
	{ 0 },
};

static const struct stage_spec spec = {
	.manual = { "preprocess_end", "write down what comes", "ROWS", "", "", NULL },
	.options = options,
	.pulls = true,
	.operands_least = 1,
	.operands_most = 1,
};

static void want(struct stage *s)
{
	struct wants w = { 0 };

	snprintf(w.recipe, sizeof w.recipe, "%s", recipe);
	if (*dtype)
		dtype_parse(&w.dtype, dtype);
	for (const char *at = shape; *at; at += strcspn(at, ",")) {
		at += *at == ',';
		w.shape[w.rank++] = atoll(at);
	}
	w.samples = samples;
	stage_want(s, &w);
}

static const char *text(const struct frame *f, const char *key)
{
	return frame_text(f, key) ? frame_text(f, key) : "-";
}

static void hash_normalised(const struct frame *f, char hex[HASH_HEX])
{
	struct normaliser n;
	struct recipe r;
	struct err e;
	float *values = malloc(f->payload->size * sizeof *values);

	if (!values || recipe_parse(&r, recipe, &e) < 0)
		exit(EX_SOFTWARE);
	normaliser_init(&n, &r);
	normalise_all(&n, values, f->payload->data, f->payload->size / (size_t)n.channels);
	hash_bytes(values, f->payload->size * sizeof *values, hex);
	free(values);
}

static void write_down(FILE *out, const struct frame *f)
{
	char hex[HASH_HEX] = "-";

	if (f->payload && samples && f->dtype == DTYPE_U8)
		hash_normalised(f, hex);
	else if (f->payload)
		hash_bytes(f->payload->data, f->payload->size, hex);
	fprintf(out, "%" PRIu64 "\t%s\t%s", f->seq, f->status == FRAME_OK ? "ok" : "error",
		dtype_name(f->dtype));
	for (int i = 0; i < f->rank; i++)
		fprintf(out, "%s%" PRId64, i ? "x" : " ", f->shape[i]);
	fprintf(out, "\t%s\t%s\t%s\t%s\n", hex, text(f, "recipe_sha256"), text(f, "path"),
		f->reason);
	fflush(out);
}

int main(int argc, char **argv)
{
	struct stage *s = stage_open(&spec, argc, argv);
	struct frame *f;
	char **operands;

	stage_operands(s, &operands);
	FILE *out = fopen(operands[0], "w");
	if (!out)
		return EX_CANTCREAT;
	want(s);
	while (stage_next(s, &f) == 1) {
		write_down(out, f);
		stage_done(s, &f);
	}
	fclose(out);
	return stage_close(&s, 0);
}
