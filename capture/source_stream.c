/* Standard input ("-"): PNG, JPEG and PNM pictures one after the other, as ffmpeg's image2pipe
 * writes them. A live source: its run is a number that never comes again. */
#include "capture/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/split.h"
#include "common/log.h"
#include "common/stage.h"

struct stream {
	struct split split;
	uint64_t seq;
};

static bool stream_takes(const struct source *s)
{
	for (int i = 0; i < s->operands; i++)
		if (strcmp(s->operand[i], "-") == 0)
			return true;
	return false;
}

static int stream_open(struct source *s, struct err *e)
{
	if (s->operands != 1)
		return err_code(e, EX_USAGE, "'-' (standard input) cannot be mixed with others");
	if (isatty(STDIN_FILENO))
		return err_code(e, EX_USAGE, "standard input is a terminal: pipe pictures into it");
	if (s->options->recursive)
		return err_code(e, EX_USAGE, "--recursive: standard input has no folders");
	if (s->options->loop != 1)
		return err_code(e, EX_USAGE, "--loop: standard input cannot be read again");
	s->self = calloc(1, sizeof(struct stream));
	if (!s->self)
		return err_code(e, EX_TEMPFAIL, "no memory");
	source_name(s, NULL, "stdin");
	return source_run(s, 0, e);
}

/* Wait for bytes and take them: 1, 0 asked to stop, -1 with *e. */
static int read_more(struct source *s, struct split *split, struct err *e)
{
	uint8_t *to;
	size_t room;
	ssize_t n;

	if (split_room(split, &to, &room, e) < 0)
		return -1;
	do {
		int ready = source_wait(s, STDIN_FILENO, -1);
		if (ready <= 0)
			return 0;
		n = read(STDIN_FILENO, to, room);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return err_code(e, EX_IOERR, "cannot read standard input: %s", strerror(errno));
	split_put(split, (size_t)n);
	return 1;
}

static int stream_next(struct source *s, struct picture *p, struct err *e)
{
	struct stream *stream = s->self;
	int got = SPLIT_MORE;

	while (got == SPLIT_MORE) {
		got = split_next(&stream->split, &p->bytes, &p->size, &p->why);
		if (got != SPLIT_MORE)
			break;
		int more = read_more(s, &stream->split, e);
		if (more <= 0)
			return more;
	}
	if (got == SPLIT_END && stream->seq > 0)
		return 0;
	if (got == SPLIT_END)
		return err_code(e, EX_NOINPUT, "no picture came on standard input");
	if (got == SPLIT_HOPELESS) {
		*e = p->why;
		return -1;
	}
	p->unread = got == SPLIT_BROKEN;
	p->frame = source_frame(s, s->run, stream->seq, NULL, e);
	stream->seq++;
	return p->frame ? 1 : -1;
}

static void stream_close(struct source *s)
{
	struct stream *stream = s->self;

	if (stream)
		split_free(&stream->split);
	free(stream);
}

const struct source_kind source_stream = {
	.name = "stream",
	.live = true,
	.takes = stream_takes,
	.open = stream_open,
	.next = stream_next,
	.close = stream_close,
};
