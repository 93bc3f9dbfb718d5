/* A source without the line behind it: a stage that sends nothing and says what it would have sent,
 * "SOURCE RUN SEQ PATH ok|REASON". Options: --watch --recursive --done DIR --run R --loop N --count N
 * --rate N as capture has them; --ack N: the first N are acknowledged (default: all, at once);
 * --crash N: the process ends after N pictures, without closing anything; --idle MS: ends when nothing
 * came for so long (else: waits for ever).
 * run by: capture_source.bats */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/source.h"
#include "common/stage.h"

static int64_t idle_ms = -1;
static bool stopping;

const char *stage_name(const struct stage *s)
{
	(void)s;
	return "capture";
}

bool stage_stopping(const struct stage *s)
{
	(void)s;
	return stopping;
}

void stage_patient(struct stage *s)
{
	(void)s;
}

int stage_resume(struct stage *s, const char *source, uint64_t run, uint64_t emitted,
		 uint64_t dropped, bool ended)
{
	(void)s;
	printf("run %s %" PRIu64 " %" PRIu64 " %" PRIu64 "%s\n", source, run, emitted, dropped,
	       ended ? " ended" : "");
	return 0;
}

int stage_drop(struct stage *s, const char *source, uint64_t run, uint64_t first, uint64_t last,
	       const char *reason)
{
	(void)s;
	printf("drop %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", source, run, first, last,
	       reason);
	return 0;
}

int stage_wait(struct stage *s, int fd, int64_t timeout_ms)
{
	static int64_t idle_until;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t now = clock_mono_ns() / 1000000;
	bool waits = idle_ms >= 0 && fd >= 0;

	(void)s;
	if (timeout_ms == 0 || idle_until < now - idle_ms) /* the first wait after work */
		idle_until = now + idle_ms;
	if (waits && (timeout_ms < 0 || timeout_ms > idle_until - now))
		timeout_ms = idle_until > now ? idle_until - now : 0;
	int got = poll(&p, 1, (int)timeout_ms);
	if (got > 0)
		idle_until = 0;
	else if (waits && clock_mono_ns() / 1000000 >= idle_until)
		stopping = true;
	return got;
}

static void print(const struct picture *p, int result, const struct err *why)
{
	const struct frame *f = p->frame;
	const char *path = frame_text(f, "path");

	printf("%s %" PRIu64 " %" PRIu64 " %s %s\n", f->source, f->run, f->seq, path ? path : "-",
	       result == 0 ? "ok" : why->text);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct source_options options = { .loop = 1, .spool_size = SPOOL_SIZE };
	int64_t ack = INT64_MAX, crash = INT64_MAX, given = 0;
	struct source source;
	struct picture p;
	struct err why;
	int at = 1, got;

	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		const char *word = argv[at] + 2;
		const char *value = at + 1 < argc ? argv[at + 1] : "";
		if (strcmp(word, "watch") == 0 || strcmp(word, "recursive") == 0) {
			*(word[0] == 'w' ? &options.watch : &options.recursive) = true;
			continue;
		}
		at++;
		if (strcmp(word, "done") == 0)
			options.done = value;
		else if (strcmp(word, "run") == 0)
			options.run = value;
		else if (strcmp(word, "loop") == 0)
			options.loop = atoll(value);
		else if (strcmp(word, "count") == 0)
			options.count = atoll(value);
		else if (strcmp(word, "rate") == 0)
			options.rate = atof(value);
		else if (strcmp(word, "ack") == 0)
			ack = atoll(value);
		else if (strcmp(word, "crash") == 0)
			crash = atoll(value);
		else if (strcmp(word, "idle") == 0)
			idle_ms = atoll(value);
	}
	got = source_open(&source, NULL, &options, argc - at, argv + at, &why);
	if (got == 0 && source.total > 0)
		printf("total %" PRIu64 "\n", source.total);
	while (got == 0 && (got = source_next(&source, &p, &why)) == 1) {
		struct frame *f = p.frame;
		print(&p, picture_decode(&p, &options.decode, &why), &why);
		if (given++ < ack)
			source_acked(&source, f->run, f->seq);
		frame_free(&f);
		got = 0;
		if (given >= crash)
			_exit(9);
	}
	if (got < 0)
		printf("error %d %s\n", why.code, why.text);
	source_close(&source, false);
	return got < 0;
}
