/* The table of sources, and what all of them share: names, runs, pace, count. */
#include "capture/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/live.h"
#include "common/stage.h"

#define LATE_NS ((int64_t)50000000)

/* The first that takes the operands has them; files take everything. */
static const struct source_kind *const kinds[] = { &source_watch, &source_stream, &source_files };

int source_open(struct source *s, struct stage *stage, const struct source_options *options,
		int operands, char **operand, struct err *e)
{
	memset(s, 0, sizeof *s);
	s->options = options;
	s->stage = stage;
	s->operands = operands;
	s->operand = operand;
	if (options->done && !options->watch)
		return err_code(e, EX_USAGE, "--done goes with --watch");
	for (size_t i = 0; !s->kind; i++)
		if (kinds[i]->takes(s))
			s->kind = kinds[i];
	if (live_check(s, e) < 0 || s->kind->open(s, e) < 0)
		return -1;
	if (!options->spool)
		return 0;
	return live_open(s, e);
}

int source_wait(struct source *s, int fd, int64_t timeout_ms)
{
	return s->live ? live_wait(s->live, fd, timeout_ms) : stage_wait(s->stage, fd, timeout_ms);
}

static bool stopping(const struct source *s)
{
	return s->live ? live_stopping(s->live) : stage_stopping(s->stage);
}

/* Wait until the next picture is due. 0, or -1 if somebody asks to stop. A short delay is caught up
 * with, so that the mean rate holds; after a long one there is no burst. */
static int keep_pace(struct source *s)
{
	int64_t period_ns = (int64_t)(1e9 / s->options->rate), now = clock_mono_ns();
	int64_t late_most = period_ns > LATE_NS ? period_ns : LATE_NS;

	s->due_ns += period_ns;
	if (now - s->due_ns > late_most) /* the first picture too */
		s->due_ns = now;
	while ((now = clock_mono_ns()) < s->due_ns) {
		int64_t ms = (s->due_ns - now + 999999) / 1000000;
		if (source_wait(s, -1, ms) < 0)
			return -1;
	}
	return 0;
}

int source_take(struct source *s, struct picture *p, struct err *e)
{
	int got;

	memset(p, 0, sizeof *p);
	if (s->options->count > 0 && s->given == (uint64_t)s->options->count)
		return 0;
	if (stopping(s) || (s->options->rate > 0 && keep_pace(s) < 0))
		return 0;
	got = s->kind->next(s, p, e);
	s->given += got == 1;
	return got;
}

int source_next(struct source *s, struct picture *p, struct err *e)
{
	if (!s->live)
		return source_take(s, p, e);
	memset(p, 0, sizeof *p);
	return live_next(s->live, p, e);
}

void source_acked(struct source *s, uint64_t run, uint64_t seq)
{
	if (s->live)
		live_acked(s->live, run, seq);
	else if (s->kind->acked)
		s->kind->acked(s, run, seq);
}

void source_close(struct source *s, bool told)
{
	live_close(&s->live, told);
	if (s->kind)
		s->kind->close(s);
	memset(s, 0, sizeof *s);
}

/* The end of a path that has room, and something to show that it is not all. */
static void path_tail(char *out, size_t size, const char *path)
{
	size_t length = strlen(path);

	if (length < size)
		snprintf(out, size, "%s", path);
	else
		snprintf(out, size, "...%s", path + length - (size - 4));
}

int picture_decode(struct picture *p, const struct decode_options *options, struct err *e)
{
	char tail[FRAME_REASON_MAX / 2];
	const char *path = frame_text(p->frame, "path");

	if (!p->unread && image_decode(p->frame, p->bytes, p->size, options, e) == 0)
		return 0;
	if (p->unread)
		*e = p->why;
	if (!path)
		return -1;
	path_tail(tail, sizeof tail, path);
	return err_at(e, "'%s'", tail);
}

struct frame *source_frame(const struct source *s, uint64_t run, uint64_t seq, const char *path,
			   struct err *e)
{
	struct frame *f = frame_new();
	char tail[FRAME_META_TEXT_MAX];

	if (!f) {
		err_code(e, EX_TEMPFAIL, "no memory");
		return NULL;
	}
	snprintf(f->source, sizeof f->source, "%s", s->name);
	f->run = run;
	f->seq = seq;
	f->captured_ns = clock_real_ns();
	if (path) {
		path_tail(tail, sizeof tail, path);
		frame_meta_text(f, "path", tail);
	}
	return f;
}

/* The last name of a path; "." and the like are looked up. The caller frees it; may be NULL. */
static char *last_name(const char *path)
{
	char *real = NULL, *name, *copy = strdup(path);
	size_t length = copy ? strlen(copy) : 0;

	while (length > 1 && copy[length - 1] == '/')
		copy[--length] = 0;
	name = copy ? strrchr(copy, '/') : NULL;
	name = name ? name + 1 : copy;
	if (name && (name[0] == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)) {
		real = realpath(path, NULL);
		name = real ? strrchr(real, '/') + 1 : name;
	}
	name = name ? strdup(name) : NULL;
	free(real);
	free(copy);
	return name;
}

/* A name that can stand in a file name, a URL and a shell command. */
static void file_safe(char *name)
{
	for (char *c = name; *c; c++) {
		bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			     (*c >= '0' && *c <= '9') || strchr("._-", *c) || (*c & 0x80);
		if (!plain)
			*c = '_';
	}
	if (name[0] == '.' || name[0] == '-')
		name[0] = '_';
}

void source_name(struct source *s, const char *operand, const char *fallback)
{
	const char *given = s->stage ? stage_name(s->stage) : "capture";
	char *name = operand ? last_name(operand) : NULL;

	if (strcmp(given, "capture") != 0)
		fallback = given;
	else if (name && name[0])
		fallback = name;
	err_clean(s->name, sizeof s->name, fallback);
	file_safe(s->name);
	free(name);
}

int source_run(struct source *s, uint64_t otherwise, struct err *e)
{
	const char *run = s->options->run;
	char *end;

	s->run = otherwise ? otherwise : (uint64_t)clock_real_ns();
	if (!run)
		return 0;
	if (strcmp(run, "new") == 0) {
		s->run = (uint64_t)clock_real_ns();
		return 0;
	}
	errno = 0;
	s->run = strtoull(run, &end, 10);
	if (run[0] < '0' || run[0] > '9' || *end || errno || s->run > INT64_MAX)
		return err_code(e, EX_USAGE, "--run: '%s' is neither 'new' nor a whole number",
				run);
	return 0;
}
