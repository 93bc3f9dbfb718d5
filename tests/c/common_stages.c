/* Three small stages for the tests of the link: slow, stubborn or deadly on request.
 *
 *   common_stages source -n COUNT -b BYTES --pace TIME   frames 0 … COUNT-1 of (test, 1); of the top,
 *                                                        middle and bottom third of frame i, the one
 *                                                        that is i modulo 3 is the brightest
 *   common_stages relay --work TIME --begun FILE         passes on, with its name in meta; FILE gets
 *                                                        the seq of each frame that it begins
 *   common_stages sink FILE --hold TIME                  FILE gets a line "source run seq status
 *                                                        label worker try" for each key, once;
 *                                                        status 9: the pixels are not those sent
 *
 * --kill-at SEQ (again: for another, too): die of SIGKILL while working on that frame, or --kill-when it is taken (at once),
 * sent, or stored (but not acknowledged); or abort() when it is taken, or hang in it for ever.
 *
 * run by: link.bats, faults_link.bats */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/stage.h"

#define SEQ_MOST 1000000

static int64_t count = 100, bytes = 300, pace, work, hold, window, workers;
static struct option_list kill_at;
static const char *recipe = "", *kill_when = "working", *begun;

static void rest(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	/* Work goes on through signals. */
	while (ms > 0 && nanosleep(&t, &t) < 0)
		;
}

/* What kills while it computes has begun a while ago. */
static void die(uint64_t seq, const char *when)
{
	size_t i = 0;

	while (i < kill_at.count && strtoull(kill_at.item[i], NULL, 10) != seq)
		i++;
	if (i == kill_at.count || strcmp(when, kill_when) != 0)
		return;
	if (strcmp(when, "working") == 0)
		rest(30);
	if (strcmp(when, "abort") == 0)
		abort();
	while (strcmp(when, "hang") == 0)
		rest(1000);
	raise(SIGKILL);
}

static uint8_t shade(uint64_t seq, int64_t third)
{
	return (uint64_t)third == seq % 3 ? 200 : 50;
}

/* Not one byte of it may have come from elsewhere. */
static bool is_picture(const struct frame *f)
{
	const struct buffer *b = f->payload;

	if (!b || f->dtype != DTYPE_U8)
		return f->dtype != DTYPE_U8;
	for (size_t i = 0; i < b->size; i++)
		if (b->data[i] != shade(f->seq, (int64_t)(i / (b->size / 3))))
			return false;
	return true;
}

static struct frame *picture(uint64_t seq)
{
	struct frame *f = frame_new();
	struct err e;
	int64_t third = bytes / 3, shape[] = { 1, 1, 3, third };

	snprintf(f->source, sizeof f->source, "test");
	f->run = 1;
	f->seq = seq;
	f->captured_ns = clock_real_ns();
	if (frame_shape(f, FRAME_TENSOR, DTYPE_U8, 4, shape, &e) < 0)
		frame_fail(f, &e);
	else
		for (int64_t i = 0; i < 3; i++)
			memset(f->payload->data + i * third, shade(seq, i), (size_t)third);
	return f;
}

static int source(struct stage *s)
{
	stage_announce(s, "test", 1, (uint64_t)count);
	for (int64_t i = 0; i < count && !stage_stopping(s); i++) {
		struct frame *f = picture((uint64_t)i);
		die((uint64_t)i, "taken");
		if (stage_send(s, &f) < 0 || (pace > 0 && stage_wait(s, -1, pace) < 0))
			break;
	}
	return 0;
}

static int relay(struct stage *s)
{
	struct frame *f;
	int list = begun ? open(begun, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;

	while (stage_next(s, &f) == 1) {
		uint64_t seq = f->seq;
		if (list >= 0)
			dprintf(list, "%" PRIu64 "\n", seq);
		die(seq, "taken");
		die(seq, "working");
		die(seq, "abort");
		die(seq, "hang");
		rest(work);
		frame_meta_text(f, "worker", stage_worker(s));
		if (stage_send(s, &f) < 0)
			break;
		die(seq, "sent");
	}
	return 0; /* stage_close knows how it ended */
}

static bool seen[SEQ_MOST];

static int sink(struct stage *s)
{
	struct frame *f;
	char **file, line[1024];

	if (stage_operands(s, &file) != 1)
		return EX_USAGE;
	FILE *old = fopen(file[0], "r");
	while (old && fgets(line, sizeof line, old)) {
		uint64_t seq;
		if (sscanf(line, "%*s %*s %" SCNu64, &seq) == 1 && seq < SEQ_MOST)
			seen[seq] = true;
	}
	if (old)
		fclose(old);
	int out = open(file[0], O_WRONLY | O_CREAT | O_APPEND, 0600);
	while (stage_next(s, &f) == 1) {
		const char *label = frame_text(f, "label"), *worker = frame_text(f, "worker");
		die(f->seq, "taken");
		rest(hold);
		int n = snprintf(line, sizeof line, "%s %" PRIu64 " %" PRIu64 " %d %s %s %d\n",
				 f->source, f->run, f->seq,
				 f->status == FRAME_OK && !is_picture(f) ? 9 : (int)f->status,
				 label ? label : "-", worker ? worker : "-", f->try);
		if (f->seq < SEQ_MOST && !seen[f->seq] && write(out, line, (size_t)n) != n)
			return EX_IOERR;
		seen[f->seq % SEQ_MOST] = true;
		die(f->seq, "stored");
		if (stage_done(s, &f) < 0)
			break;
	}
	close(out);
	return 0; /* stage_close knows how it ended */
}

int main(int argc, char **argv)
{
	static const struct option_row options[] = {
		{ "count", 'n', OPTION_INT, "N", &count, "frames", 0, SEQ_MOST },
		{ "bytes", 'b', OPTION_INT, "N", &bytes, "bytes of each", 3, 1 << 26 },
		{ "pace", 0, OPTION_TIME, "TIME", &pace, "between frames", 0, 10000 },
		{ "work", 0, OPTION_TIME, "TIME", &work, "over each frame", 0, 100000 },
		{ "kill-at", 0, OPTION_LIST, "SEQ", &kill_at, "die of this frame", 0, 0 },
		{ "begun", 0, OPTION_TEXT, "FILE", &begun, "where to note what is begun", 0, 0 },
		{ "kill-when", 0, OPTION_TEXT, "WORD", &kill_when,
		  "taken, working, abort, hang, sent, stored", 0, 0 },
		{ "workers", 'j', OPTION_INT, "N", &workers, "processes", 1, 64 },
		{ "window", 0, OPTION_INT, "N", &window, "frames it takes at once", 0, 64 },
		{ "hold", 0, OPTION_TIME, "TIME", &hold, "before each row", 0, 10000 },
		{ "recipe", 0, OPTION_TEXT, "RECIPE", &recipe, "what it wants", 0, 0 },
		{ 0 },
	};
	const char *mode = argc > 1 ? argv[1] : "";
	bool is_source = strcmp(mode, "source") == 0, is_sink = strcmp(mode, "sink") == 0;
	struct stage_spec spec = {
		.manual = { .name = mode, .summary = "test the link", .operands = "FILE" },
		.options = options,
		.pulls = !is_source,
		.pushes = !is_sink,
		.operands_least = is_sink,
		.operands_most = is_sink,
	};
	struct err e;
	struct wants wants = { .dtype = DTYPE_NONE };

	if (!is_source && !is_sink && strcmp(mode, "relay") != 0) {
		fprintf(stderr, "common_stages: source, relay or sink\n");
		return EX_USAGE;
	}
	struct stage *s = stage_open(&spec, argc - 1, argv + 1);
	if (window > 0)
		stage_window(s, (int)window);
	snprintf(wants.recipe, sizeof wants.recipe, "%s", recipe);
	if (!is_source)
		stage_want(s, &wants);
	if (!is_source && stage_fork_workers(s, (int)workers, &e) < 0)
		return e.code;
	int code = is_source ? source(s) : is_sink ? sink(s) : relay(s);
	return stage_close(&s, code);
}
