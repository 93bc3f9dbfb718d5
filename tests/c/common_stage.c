/* Tiny stages over the real link, and a run of them. As a program:
 *   common_stage source|middle|sink [OPTIONS]
 * behaves as such a stage; without arguments it runs four of them in the pipe form and in the
 * addressed form and compares what the sink has stored with what the source emitted. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/stage.h"

static int64_t count = 200, bytes = 1000, delay_ms, rate, jobs, fail_at = -1, crash_at = -1;
static int64_t window, meta_bytes, batch_rows = 1;
static const char *store, *recipe;

static const struct option_row options[] = {
	{ "count", 0, OPTION_INT, "N", &count, "frames to emit", 0, 0 },
	{ "bytes", 0, OPTION_INT, "N", &bytes, "size of each", 0, 0 },
	{ "delay", 0, OPTION_TIME, "TIME", &delay_ms, "work on each", 0, 1e9 },
	{ "rate", 0, OPTION_INT, "N", &rate, "frames a second", 0, 0 },
	{ "workers", 'j', OPTION_INT, "N", &jobs, "workers", 0, 0 },
	{ "window", 0, OPTION_INT, "N", &window, "receive window", 0, 0 },
	{ "fail-at", 0, OPTION_INT, "N", &fail_at, "frame that fails", 0, 0 },
	{ "crash-at", 0, OPTION_INT, "N", &crash_at, "frame that kills its worker", 0, 0 },
	{ "meta", 0, OPTION_INT, "N", &meta_bytes, "bytes of meta to add", 0, 0 },
	{ "batch", 0, OPTION_INT, "N", &batch_rows, "rows per commit", 0, 0 },
	{ "store", 0, OPTION_TEXT, "FILE", &store, "where the sink puts its rows", 0, 0 },
	{ "recipe", 0, OPTION_TEXT, "TEXT", &recipe, "what to want", 0, 0 },
	{ 0 },
};

static void nap(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* --- source ------------------------------------------------------------------------------------- */

static uint64_t acked_count;

static void on_acked(void *context, const char *source, uint64_t run, uint64_t seq)
{
	(void)context, (void)source, (void)run, (void)seq;
	acked_count++;
}

static struct frame *make_frame(int64_t seq)
{
	struct frame *f = frame_new();
	int64_t shape[] = { bytes };
	struct err e;

	if (!f || frame_shape(f, FRAME_TENSOR, DTYPE_U8, 1, shape, &e) < 0)
		abort();
	snprintf(f->source, sizeof f->source, "test");
	f->run = 7;
	f->seq = (uint64_t)seq;
	f->captured_ns = clock_real_ns();
	memset(f->payload->data, (int)(seq & 255), f->payload->size);
	for (int64_t i = 0; i * 200 < meta_bytes; i++) {
		char key[16], text[201];
		snprintf(key, sizeof key, "m%d", (int)i);
		memset(text, 'x', 200);
		text[200] = '\0';
		frame_meta_text(f, key, text);
	}
	return f;
}

static int source(struct stage *s)
{
	int64_t began = clock_mono_ns();

	stage_on_ack(s, on_acked, NULL);
	stage_announce(s, "test", 7, (uint64_t)count);
	for (int64_t i = 0; i < count && !stage_stopping(s); i++) {
		int64_t left = rate ? began + i * 1000000000 / rate - clock_mono_ns() : 0;
		if (left > 0)
			stage_wait(s, -1, left / 1000000);
		struct frame *f = make_frame(i);
		if (stage_send(s, &f) < 0)
			break;
	}
	int code = stage_close(&s, 0);
	if (code == 0 && log_verbosity() > 0)
		fprintf(stderr, "source: %llu acknowledged\n", (unsigned long long)acked_count);
	return code;
}

/* --- middle ------------------------------------------------------------------------------------- */

static int middle(struct stage *s)
{
	struct wants wants = { 0 };
	struct frame *f;
	struct err e;

	if (stage_fork_workers(s, (int)jobs, &e) < 0) {
		log_error("%s", e.text);
		return e.code;
	}
	if (window)
		stage_window(s, (int)window);
	if (recipe) {
		snprintf(wants.recipe, sizeof wants.recipe, "%s", recipe);
		stage_want(s, &wants);
	}
	while (stage_next(s, &f) == 1) {
		if (delay_ms)
			nap(delay_ms);
		if ((int64_t)f->seq == crash_at)
			raise(SIGKILL);
		frame_meta_text(f, "worker", stage_worker(s));
		if ((int64_t)f->seq == fail_at) {
			err_set(&e, "asked to fail");
			stage_fail(s, &f, &e);
		} else {
			stage_send(s, &f);
		}
	}
	return stage_close(&s, 0);
}

/* --- sink --------------------------------------------------------------------------------------- */

#define KEYS 1000000
static bool stored[KEYS];
static int64_t latency[KEYS];
static size_t latencies;

static void load(FILE *in)
{
	unsigned long long seq;
	char line[400];

	while (in && fgets(line, sizeof line, in))
		if (sscanf(line, "%llu", &seq) == 1 && seq < KEYS)
			stored[seq] = true;
	if (in)
		fclose(in);
}

static void put_row(int fd, const struct frame *f)
{
	char row[400];
	const char *worker = frame_text(f, "worker");
	bool good = f->payload && f->payload->size == (size_t)bytes;

	for (size_t i = 0; good && i < f->payload->size; i++)
		good = f->payload->data[i] == (f->seq & 255);
	int n = snprintf(row, sizeof row, "%llu %s %s %s\n", (unsigned long long)f->seq,
			 f->status == FRAME_OK      ? good ? "ok" : "damaged"
			 : f->status == FRAME_ERROR ? "error"
						    : "dead",
			 worker ? worker : "-", f->reason);
	if (f->seq < KEYS && !stored[f->seq]) {
		stored[f->seq] = true;
		latency[latencies++] = clock_real_ns() - f->captured_ns;
		if (write(fd, row, (size_t)n) != n)
			abort();
	}
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int sink(struct stage *s)
{
	struct frame *held[256];
	int64_t n = 0;
	uint64_t emitted = 0, rows = 0;
	const struct stage_total *totals;
	int fd = open(store ? store : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600), got;

	if (store)
		load(fopen(store, "r"));
	while ((got = stage_poll(s, &held[n], n ? 20 : -1)) > 0) {
		n += got == 1;
		if (got == 1 && n < batch_rows && n < 256)
			continue;
		for (int64_t i = 0; i < n; i++) {
			put_row(fd, held[i]);
			stage_done(s, &held[i]);
		}
		n = 0;
	}
	/* Asked to go before the end: there are no books yet. */
	bool over = got == 0 && !stage_stopping(s);
	if (over) {
		int t = stage_totals(s, &totals);
		for (int i = 0; i < t; i++)
			emitted += totals[i].ended ? totals[i].emitted : 0;
		for (size_t i = 0; i < KEYS; i++)
			rows += stored[i];
	}
	if (over && emitted != rows)
		log_error("emitted %llu, rows %llu", (unsigned long long)emitted,
			  (unsigned long long)rows);
	qsort(latency, latencies, sizeof latency[0], compare);
	if (log_verbosity() > 0 && latencies)
		fprintf(stderr, "sink: latency p50 %.3f ms p99 %.3f ms\n",
			(double)latency[latencies / 2] / 1e6,
			(double)latency[latencies * 99 / 100] / 1e6);
	return stage_close(&s, over && emitted != rows ? EX_DATAERR : 0);
}

static int be_stage(int argc, char **argv)
{
	bool is_source = strcmp(argv[1], "source") == 0, is_sink = strcmp(argv[1], "sink") == 0;
	struct stage_spec spec = {
		.manual = { .name = argv[1],
			    .summary = "a tiny stage",
			    .description = "For tests.",
			    .examples = "true" },
		.options = options,
		.pulls = !is_source,
		.pushes = !is_sink,
	};
	struct stage *s = stage_open(&spec, argc - 1, argv + 1);

	return is_source ? source(s) : is_sink ? sink(s) : middle(s);
}

/* --- the run ------------------------------------------------------------------------------------ */

static char self[4096], folder[] = "/tmp/stage-test-XXXXXX";

static int shell(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Rows of the store: right number, each once, no damage. */
static int check(const char *what, int code, int expected)
{
	char path[4200], line[400];
	int rows = 0, bad = 0;
	unsigned long long seq;
	static int seen[KEYS];

	memset(seen, 0, sizeof seen);
	snprintf(path, sizeof path, "%s/rows", folder);
	FILE *in = fopen(path, "r");
	while (in && fgets(line, sizeof line, in)) {
		rows++;
		if (sscanf(line, "%llu", &seq) != 1 || seq >= KEYS || seen[seq]++ ||
		    strstr(line, "damaged"))
			bad++;
	}
	if (in)
		fclose(in);
	unlink(path);
	printf("%s: exit %d, %d rows of %d, %d bad\n", what, code, rows, expected, bad);
	return code != 0 || rows != expected || bad;
}

static int try(const char *what, int expected, const char *format)
{
	char command[16384], full[17000];
	size_t n = 0;

	/* @ is this program, % the folder */
	for (const char *p = format; *p && n < sizeof command - 4200; p++) {
		if (*p == '@')
			n += (size_t)snprintf(command + n, sizeof command - n, "%s", self);
		else if (*p == '%')
			n += (size_t)snprintf(command + n, sizeof command - n, "%s", folder);
		else
			command[n++] = *p;
	}
	command[n] = '\0';
	snprintf(full, sizeof full, "exec timeout -k 1 400 bash -o pipefail -c '%s'", command);
	return check(what, shell(full), expected);
}

int main(int argc, char **argv)
{
	int failures = 0;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (argc > 1)
		return be_stage(argc, argv);
	if (n < 0 || !mkdtemp(folder))
		return 1;
	failures += try("pipe form", 500,
			"@ source --count 500 | @ middle | @ middle | @ sink --store %/rows");
	failures += try("three workers", 500,
			"@ source --count 500 | @ middle | @ middle -j 3 --window 4 | "
			"@ sink --store %/rows");
	failures +=
	    try("addressed form", 500,
		"@ source --count 500 --out ipc://%/a & a=$!; "
		"@ middle --in ipc://%/a --out ipc://%/b & b=$!; "
		"@ middle --in ipc://%/b --out connect:ipc://%/c & c=$!; "
		"@ sink --in bind:ipc://%/c --store %/rows && wait $a && wait $b && wait $c");
	failures += try("no frames at all", 0,
			"@ source --count 0 | @ middle | @ middle | @ sink --store %/rows");
	failures += try("rows in groups", 500,
			"@ source --count 500 | @ middle | @ middle --window 4 | "
			"@ sink --batch 100 --store %/rows");
	failures += try("one fails", 50,
			"@ source --count 50 | @ middle --fail-at 10 | @ middle | "
			"@ sink --store %/rows");
	failures += try("too much meta", 20,
			"@ source -q --count 20 --meta 6000 | @ middle | @ sink --store %/rows");
	failures += try("a frame that kills its workers", 50,
			"@ source --count 50 | @ middle -j 2 --delay 5ms --crash-at 10 | @ sink "
			"--store %/rows");
	rmdir(folder);
	return failures > 0;
}
