/* What the line has done so far: counts, latency, work per stage. */
#ifndef SINK_STATS_H
#define SINK_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "common/frame.h"
#include "sink/row.h"
#include "common/text.h"

#define STATS_BUCKETS 1024
#define STATS_LABELS 32
#define STATS_LABEL_MAX 64

enum stats_verdict {
	STATS_GOOD,
	STATS_NG,
	STATS_UNCERTAIN,
	STATS_ERROR,
	STATS_NONE,
	STATS_VERDICTS
};

struct stats {
	int64_t started_ns, last_ns; /* monotonic: first frame (its taker sets it), latest row */
	uint64_t done;               /* rows that are durable, duplicates included */
	uint64_t duplicates;
	uint64_t verdict[STATS_VERDICTS]; /* of all that are done */
	struct {
		char name[STATS_LABEL_MAX];
		uint64_t count;
	} label[STATS_LABELS];
	size_t labels;
	uint64_t other_labels;
	uint64_t latency[STATS_BUCKETS]; /* capture to durable, logarithmic */
	uint64_t latencies;
	struct {
		char name[FRAME_STAGE_MAX];
		int64_t ns;
	} work[FRAME_TIMES_MAX];
	size_t works;
	char last_ng[160];
};

/* A row is durable now (mono_ns, real_ns). */
void stats_add(struct stats *s, const struct row *row, const struct frame *f, int64_t mono_ns,
	       int64_t real_ns);

/* The latency that a part of all stayed under, in ms, within 4 %; NAN without any. */
double stats_latency_ms(const struct stats *s, double part);

double stats_rate(const struct stats *s); /* rows a second */

/* Lines for the end: verdicts, labels, latency, cost. bytes: what the outputs grew by. */
void stats_summary(const struct stats *s, uint64_t bytes, struct text *to);

#endif
