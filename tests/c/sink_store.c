/* The store and the files beside it: durable, each key once, whatever is killed when.
 *
 * A child process plays the sink (write a batch, then acknowledge its seqs through a pipe) and is
 * killed with SIGKILL at a random moment; the next child gets what was not acknowledged, and a bit
 * of what was. In the end each output holds each key exactly once, the same row everywhere. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/frame.h"
#include "sink/store.h"
#include "sink/writer.h"

static int failures;
static char folder[] = "/tmp/sink-store-XXXXXX";

#define CHECK(condition, ...)                \
	do {                                 \
		if (!(condition)) {          \
			printf(__VA_ARGS__); \
			printf("\n");        \
			failures++;          \
		}                            \
	} while (0)

/* In place of libc's, for SQLite too: counts syncs of one file, or ends the process there. */
static ino_t watched;
static int synced;
static bool die_at_sync;

int fdatasync(int fd)
{
	struct stat is;

	if (fstat(fd, &is) == 0 && is.st_ino == watched) {
		if (die_at_sync)
			raise(SIGKILL);
		synced++;
	}
	return fsync(fd);
}

static char *at(const char *name)
{
	static char path[8][256];
	static int next;

	next = (next + 1) % 8;
	snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
	return path[next];
}

static void clear_folder(void)
{
	char command[300];

	snprintf(command, sizeof command, "rm -rf %s/*", folder);
	if (system(command) != 0)
		failures++;
}

static void make_row(struct row *row, struct rules *rules, uint64_t seq)
{
	struct frame *f = frame_new();
	float scores[3] = { 0.25f, 0.5f, (float)seq * 0x1p-20f };
	int64_t shape[1] = { 3 };
	char name[64];
	struct err why;

	snprintf(f->source, sizeof f->source, "cam\"3,ü");
	f->run = 12;
	f->seq = seq;
	f->captured_ns = clock_real_ns() - 5000000;
	if (frame_shape(f, FRAME_SCORES, DTYPE_F32, 1, shape, &why) < 0)
		abort();
	memcpy(f->payload->data, scores, sizeof scores);
	snprintf(name, sizeof name, "photos, all/%llu.png", (unsigned long long)seq);
	frame_meta_text(f, "path", name);
	frame_meta_text(f, "label", "a \"dent\"");
	frame_meta_int(f, "label_id", scores[2] > 0.5f ? 2 : 1);
	frame_meta_real(f, "score", (double)(scores[2] > 0.5f ? scores[2] : 0.5f));
	frame_meta_text(f, "model", "tile-v7");
	frame_meta_text(f, "model_sha256",
			"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
	frame_meta_text(f, "kernels", "blis");
	frame_meta_text(f, "worker", "node7/4711");
	frame_meta_int(f, "width", 160);
	frame_timed(f, "infer", f->captured_ns, 3456789);
	if (row_make(row, f, rules, clock_real_ns(), &why) < 0)
		abort();
	frame_free(&f);
}

static struct rules *no_rules(void)
{
	struct option_list none = { 0 };
	struct err why;

	return rules_new(&none, &none, NULL, &why);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* --- speed ------------------------------------------------------------------------------------ */

static void measure(void)
{
	enum { GROUP = 100, GROUPS = 200, SINGLES = 200 };
	static struct row rows[GROUP];
	static int64_t took[SINGLES];
	struct rules *rules = no_rules();
	struct err why;
	struct store *s = store_open(at("speed.db"), STORE_WRITE, "test", &why);

	CHECK(s, "%s", why.text);
	if (!s)
		return;
	int64_t in_store = 0;
	for (uint64_t g = 0; g < GROUPS; g++) {
		for (uint64_t i = 0; i < GROUP; i++)
			make_row(&rows[i], rules, g * GROUP + i);
		int64_t began = clock_mono_ns();
		CHECK(store_put(s, rows, GROUP, true, false, &why) == 0, "%s", why.text);
		in_store += clock_mono_ns() - began;
	}
	for (uint64_t i = 0; i < SINGLES; i++) {
		make_row(&rows[0], rules, 1000000 + i);
		int64_t began = clock_mono_ns();
		CHECK(store_put(s, rows, 1, true, false, &why) == 0, "%s", why.text);
		took[i] = clock_mono_ns() - began;
	}
	CHECK(store_put(s, rows, 1, true, false, &why) == 0 && rows[0].duplicate,
	      "a second time is a duplicate");
	qsort(took, SINGLES, sizeof took[0], by_value);
	printf("%.0f durable rows/s in groups of %d; one row: p50 %.2f ms, p99 %.2f ms\n",
	       GROUPS * GROUP / ((double)in_store / 1e9), GROUP, (double)took[SINGLES / 2] / 1e6,
	       (double)took[SINGLES * 99 / 100] / 1e6);
	store_close(&s);
	for (int i = 0; i < GROUP; i++)
		row_free(&rows[i]);
	rules_free(&rules);
}

/* --- killed at any moment -----------------------------------------------------------------------
 */

enum { PARTS = 3000 };

static void play_sink(uint64_t from, int acks)
{
	char *names[] = { at("k.csv"), at("k.db"), at("k.jsonl") };
	static struct row rows[40];
	struct rules *rules = no_rules();
	struct outputs outputs = { 0 };
	struct err why;

	if (outputs_open(&outputs, names, 3, NULL, &why) < 0) {
		fprintf(stderr, "%s\n", why.text);
		_exit(3);
	}
	for (uint64_t seq = from; seq < PARTS;) {
		size_t n = 0;
		for (; n < 1 + seq % 40 && seq < PARTS; n++)
			make_row(&rows[n], rules, seq++);
		while (outputs_write(&outputs, rows, n, &why) < 0)
			if (why.code != EX_TEMPFAIL)
				_exit(4);
		if (write(acks, &seq, sizeof seq) != sizeof seq)
			_exit(5);
	}
	outputs_close(&outputs);
	_exit(0);
}

/* One child, killed after some time or let go; what was acknowledged last. */
static uint64_t one_life(uint64_t from, int64_t life_us, bool *ended)
{
	int acks[2], status;
	uint64_t acked = from, got;

	if (pipe(acks) < 0)
		abort();
	pid_t child = fork();
	if (child == 0) {
		close(acks[0]);
		play_sink(from, acks[1]);
	}
	close(acks[1]);
	if (life_us >= 0) {
		usleep((useconds_t)life_us);
		kill(child, SIGKILL);
	}
	while (read(acks[0], &got, sizeof got) == sizeof got)
		acked = got;
	close(acks[0]);
	waitpid(child, &status, 0);
	*ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	CHECK(WIFSIGNALED(status) || *ended, "the child ended with %d", WEXITSTATUS(status));
	return acked;
}

static char *slurp(const char *path, size_t *size)
{
	struct stat is;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &is) < 0)
		abort();
	char *data = malloc((size_t)is.st_size + 1);
	ssize_t n = read(fd, data, (size_t)is.st_size);
	close(fd);
	data[n > 0 ? n : 0] = '\0';
	*size = (size_t)n;
	return data;
}

static int put_again(void *context, const struct row *row)
{
	struct row copy = *row;
	struct outputs *fresh = context;
	struct err why;

	return outputs_write(fresh, &copy, 1, &why);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t sorted_lines(char *data, char ***lines)
{
	size_t n = 0;

	*lines = calloc(PARTS * 2 + 2, sizeof **lines);
	for (char *line = strtok(data, "\n"); line && n < PARTS * 2; line = strtok(NULL, "\n"))
		(*lines)[n++] = line;
	qsort(*lines, n, sizeof **lines, by_text);
	return n;
}

/* Lines of two files, in any order. */
static void same_lines(const char *a, const char *b, size_t expected)
{
	size_t size_a, size_b;
	char *data_a = slurp(a, &size_a), *data_b = slurp(b, &size_b), **lines_a, **lines_b;
	size_t n_a = sorted_lines(data_a, &lines_a), n_b = sorted_lines(data_b, &lines_b);

	CHECK(n_a == expected && n_b == expected, "%zu and %zu lines, not %zu", n_a, n_b, expected);
	for (size_t i = 0; i < n_a && i < n_b; i++)
		if (strcmp(lines_a[i], lines_b[i]) != 0) {
			CHECK(false, "other rows:\n%s\n%s", lines_a[i], lines_b[i]);
			break;
		}
	free(lines_a);
	free(lines_b);
	free(data_a);
	free(data_b);
}

/* The text files hold the very rows of the store: write those into fresh files and compare. */
static void compare_outputs(void)
{
	char *names[] = { at("fresh.jsonl"), at("fresh.csv") };
	struct outputs fresh = { 0 };
	struct err why;
	struct store *s = store_open(at("k.db"), STORE_READ, NULL, &why);

	CHECK(s && outputs_open(&fresh, names, 2, NULL, &why) == 0, "%s", why.text);
	if (s)
		CHECK(store_rows(s, put_again, &fresh, &why) == 0, "reading back");
	outputs_close(&fresh);
	store_close(&s);
	same_lines(at("k.jsonl"), at("fresh.jsonl"), PARTS);
	same_lines(at("k.csv"), at("fresh.csv"), PARTS + 1);
}

static void kill_often(int rounds)
{
	unsigned seed = 1;
	int kills = 0;

	for (int round = 0; round < rounds; round++) {
		uint64_t acked = 0;
		bool ended = false;
		clear_folder();
		for (int life = 0; !ended; life++) {
			uint64_t back = (uint64_t)rand_r(&seed) % 60;
			uint64_t from = acked > back ? acked - back : 0;
			int64_t life_us = life < 30 ? 1000 + rand_r(&seed) % 12000 : -1;
			uint64_t now = one_life(from, life_us, &ended);
			acked = now > acked ? now : acked;
			kills += !ended;
		}
		CHECK(acked == PARTS, "acknowledged %d", (int)acked);
		compare_outputs();
	}
	printf("%d kills, every row once and the same in store, JSON Lines and CSV\n", kills);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *data, size_t size)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		abort();
}

/* Opening this as an output is refused, in words, and changes nothing. */
static void refused(const char *name, const char *data, size_t size, const char *word)
{
	char *path = at(name);
	struct outputs outputs = { 0 };
	struct err why = { 0 };
	size_t after;

	write_file(path, data, size);
	CHECK(outputs_open(&outputs, &path, 1, NULL, &why) < 0, "%s: taken", name);
	CHECK(strstr(why.text, word), "%s: '%s' does not say '%s'", name, why.text, word);
	outputs_close(&outputs);
	char *is = slurp(path, &after);
	CHECK(after == size && memcmp(is, data, size) == 0, "%s: changed", name);
	free(is);
}

/* Lines that were cut short by a crash are mended; what the user wrote is not touched. */
static void mended(const char *name, const char *tail, size_t lines_before)
{
	static struct row row;
	char *path = at(name);
	struct rules *rules = no_rules();
	struct outputs outputs = { 0 };
	struct err why;
	size_t size, lines = 0;

	unlink(path);
	for (int round = 0; round < 2; round++) {
		CHECK(outputs_open(&outputs, &path, 1, NULL, &why) == 0, "%s: %s", name, why.text);
		for (uint64_t seq = 0; seq < 5; seq++) {
			make_row(&row, rules, seq);
			CHECK(outputs_write(&outputs, &row, 1, &why) == 0, "%s", why.text);
			CHECK(row.duplicate == (round == 1), "%s: duplicate", name);
		}
		outputs_close(&outputs);
		FILE *f = fopen(path, "ab");
		if (round == 0)
			fwrite(tail, 1, strlen(tail), f);
		fclose(f);
	}
	char *data = slurp(path, &size);
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	CHECK(lines == lines_before && data[size - 1] == '\n', "%s: %zu lines", name, lines);
	free(data);
	row_free(&row);
	rules_free(&rules);
}

static void refuse_and_mend(void)
{
	char page[4096] = "SQLite format 3";
	struct err why;

	page[16] = 16; /* page size 4096 */
	refused("text.db", "hello, world", 12, "not a SQLite file");
	refused("foreign.db", page, sizeof page, "not a store of andon");
	refused("other.jsonl", "{\"a\":1}\n", 8, "none of ours");
	refused("note.jsonl", "to do", 5, "not a file of ours");
	refused("other.csv", "a,b\r\n1,2\r\n", 10, "none of ours");
	struct store *s = store_open(at("newer.db"), STORE_WRITE, NULL, &why);
	store_close(&s);
	size_t size;
	char *data = slurp(at("newer.db"), &size);
	data[63] = 9; /* user_version, big endian at 60 */
	refused("newer.db", data, size, "newer andon");
	free(data);
	s = store_open(at("none.db"), STORE_READ, NULL, &why);
	CHECK(!s && why.code == EX_NOINPUT, "a missing store is read");
	mended("torn.jsonl", "{\"v\":1,\"source\":\"ca", 5);
	mended("torn.csv", "cam,12,5,\"a", 6);
}

static void watch(const char *file)
{
	struct stat is;

	CHECK(stat(at(file), &is) == 0, "there is no %s", file);
	watched = is.st_ino;
	synced = 0;
}

/* Two rows; killed when the second is written and not yet synced. */
static void half_stored(char **name, const char *file, struct rules *rules)
{
	struct outputs outputs = { 0 };
	struct row row;
	struct err why;

	for (uint64_t seq = 1; seq <= 2; seq++) {
		make_row(&row, rules, seq);
		if ((seq == 1 && outputs_open(&outputs, name, 1, NULL, &why) < 0) ||
		    outputs_write(&outputs, &row, 1, &why) < 0)
			_exit(3);
		watch(file);
		die_at_sync = true;
	}
	_exit(4);
}

/* The next one to open this output must not count that row as stored before it is durable. */
static void unsynced(const char *name, const char *file)
{
	char *names[] = { at(name) };
	struct rules *rules = no_rules();
	struct outputs outputs = { 0 };
	struct row row;
	struct err why;
	int status;

	pid_t child = fork();
	if (child == 0)
		half_stored(names, file, rules);
	waitpid(child, &status, 0);
	CHECK(WIFSIGNALED(status), "%s: nothing was synced for a row", name);
	watch(file);
	make_row(&row, rules, 2);
	CHECK(outputs_open(&outputs, names, 1, NULL, &why) == 0, "%s", why.text);
	CHECK(synced > 0, "%s: what lies there was not synced", name);
	CHECK(outputs_write(&outputs, &row, 1, &why) == 0, "%s", why.text);
	CHECK(row.duplicate, "%s: the row was not there", name);
	outputs_close(&outputs);
	row_free(&row);
	rules_free(&rules);
}

int main(int argc, char **argv)
{
	if (!mkdtemp(folder))
		return 1;
	refuse_and_mend();
	unsynced("u.jsonl", "u.jsonl");
	unsynced("u.db", "u.db-wal");
	clear_folder();
	kill_often(argc > 1 ? atoi(argv[1]) : 1);
	clear_folder();
	measure();
	clear_folder();
	rmdir(folder);
	printf("%d failures\n", failures);
	return failures != 0;
}
