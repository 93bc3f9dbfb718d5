/* A batch: the frames that share one commit, and their rows. */
#ifndef SINK_BATCH_H
#define SINK_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/stage.h"
#include "sink/keys.h"
#include "sink/progress.h"
#include "sink/stats.h"
#include "sink/writer.h"

#define BATCH_MAX 256

struct batch {
	struct stage *stage;
	struct outputs *outputs;
	struct rules *rules;
	struct stats stats;
	struct progress progress;

	struct frame *frame[BATCH_MAX];
	struct row row[BATCH_MAX];
	size_t count;
	int end; /* what stage_next said after the last frame: 0, -1; 1 while it goes on */

	struct store_run *noted; /* as the outputs have them */
	size_t noted_count;
	struct keys drops; /* noted, of this process's time */
	int64_t noted_ns;
};

void batch_open(struct batch *b, struct stage *stage, struct outputs *outputs, struct rules *rules,
		bool quiet);
void batch_close(struct batch *b);

/* Wait for frames and judge all that wait: 1, 0 end of stream or asked to stop, -1 broken (*e if
 * it is ours: code set; else said already, code 0). */
int batch_next(struct batch *b, struct err *e);

/* Write the batch; while a disk is full or a file locked, say so and try again. -1 with *e. */
int batch_write(struct batch *b, struct err *e);

/* The rows are durable: acknowledge and count. -1 broken (said already). */
int batch_done(struct batch *b);

/* Note what the sources said of themselves. -1 with *e. */
int batch_note(struct batch *b, struct err *e);

/* All has been noted: do the books balance? Adds a line per run to *words. 1, 0; 2 a stream has no
 * end yet, -1 with *e. */
int batch_books(struct batch *b, struct text *words, struct err *e);

#endif
