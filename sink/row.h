/* A row: what is stored about one part. common/SCHEMA.md says what the fields mean; row_columns is
 * the same table for the writers, so that JSON, CSV and the store cannot disagree. */
#ifndef SINK_ROW_H
#define SINK_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"
#include "common/text.h"
#include "sink/verdict.h"

#define ROW_INT_NONE INT64_MIN

enum column_kind {
	COLUMN_TEXT, /* const char *, NULL: none                 */
	COLUMN_JSON, /* const char * that is JSON, NULL: none    */
	COLUMN_INT,  /* int64_t, ROW_INT_NONE: none              */
	COLUMN_F32,  /* float, not finite: none                  */
	COLUMN_F64,  /* double, not finite: none                 */
};

struct row {
	const char *source;
	int64_t run, seq;
	const char *tag, *image;
	int64_t capture_ts, trigger_ts, result_ts;
	double latency_ms;
	const char *verdict, *reason;
	float threshold;
	const char *label;
	int64_t label_id;
	float score;
	const char *scores;
	const char *model, *model_sha256, *recipe_sha256, *kernels, *worker;
	int64_t tries;
	const char *timings, *meta;
	/* not stored: */
	bool duplicate;     /* the first output had its key already */
	struct text memory; /* what the pointers point into */
};

struct column {
	const char *name;
	enum column_kind kind;
	size_t offset; /* in struct row */
};

extern const struct column row_columns[];
extern const size_t row_column_count;

const char *row_text(const struct row *r, const struct column *c); /* NULL: none */
int64_t row_int(const struct row *r, const struct column *c);
double row_real(const struct row *r, const struct column *c); /* COLUMN_F32 and COLUMN_F64 */
bool row_has(const struct row *r, const struct column *c);
void row_number(struct text *to, const struct row *r,
		const struct column *c); /* COLUMN_INT, …_F32, …_F64 */

/* Make the row of a frame, which may be freed afterwards. A frame that cannot be judged (failed
 * upstream, no finite score, scores that contradict the label) makes an error row. row: all zeroes
 * or used before. 0, or -1 out of memory. */
int row_make(struct row *row, const struct frame *f, struct rules *rules, int64_t now_ns,
	     struct err *e);

bool row_is_error(const struct row *r);
void row_free(struct row *r); /* leaves all zeroes */

#endif
