/* A live source with a spool between it and the line (--spool): a thread reads, whatever the line
 * does, into the spool; the stage takes from there. */
#ifndef CAPTURE_LIVE_H
#define CAPTURE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct live;
struct picture;
struct source;

/* Options that need each other, and their words. 0, or -1 with *e. */
int live_check(const struct source *s, struct err *e);

/* Open the spool of a source that is open, and begin to read: s->live. Its run is the spool's. 0, or
 * -1 with *e. */
int live_open(struct source *s, struct err *e);

/* As source_next. */
int live_next(struct live *l, struct picture *p, struct err *e);

void live_acked(struct live *l, uint64_t run, uint64_t seq);

/* For the reader, as stage_wait and stage_stopping. */
int live_wait(struct live *l, int fd, int64_t timeout_ms);
bool live_stopping(struct live *l);

/* told: the end of the stream was confirmed. */
void live_close(struct live **l, bool told);

#endif
