/* The spool under kill -9: a child puts, drops, takes and acknowledges at random until it is killed,
 * another goes on where it was; in between files are cut and damaged as by a power cut. In the end
 * everything is taken. What must hold: every picture that was begun has a row or is in a drop, never
 * both; one that was kept, and whose spool nobody damaged, comes out with its bytes unless it was
 * dropped on purpose; the totals told at the end are those of the rows and drops.
 *
 * capture_spool [SEEDS [FIRST]]
 * capture_spool --reboot DIR: that spool was written before the machine was started last */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "capture/segment.h"
#include "capture/spool.h"
#include "common/log.h"

#define RUNS 16
#define SEQS 20000
#define SIZE_MOST 40000

/* What the world outside of the process knows. */
struct world {
	uint64_t run[RUNS];
	int runs;
	uint64_t begun[RUNS]; /* pictures whose putting was begun */
	uint8_t kept[RUNS][SEQS], row[RUNS][SEQS], drop[RUNS][SEQS], forced[RUNS][SEQS];
	bool ended[RUNS];
	uint64_t emitted[RUNS], dropped[RUNS];
	bool damaged;
	uint64_t acked_run, acked_seq; /* while spool_acked works on it; 0: on none */
	uint8_t half[RUNS][SEQS];      /* died meanwhile: a row that the spool may not know of */
	char failure[ERR_TEXT_MAX + 100];
};

static struct world *w;
static uint64_t state;
static char folder[] = "/tmp/andon-spool-XXXXXX";

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static void fail(const char *what, uint64_t run, uint64_t seq)
{
	if (!w->failure[0])
		snprintf(w->failure, sizeof w->failure, "%s (run %" PRIu64 ", seq %" PRIu64 ")",
			 what, run, seq);
}

static int index_of(uint64_t run)
{
	for (int i = 0; i < w->runs; i++)
		if (w->run[i] == run)
			return i;
	fail("a run that was never begun", run, 0);
	return 0;
}

static size_t size_of(uint64_t run, uint64_t seq)
{
	uint64_t x = (run * 31 + seq) * 0x9e3779b97f4a7c15u;

	return seq % 11 == 3 ? 0 : (x >> 40) % SIZE_MOST;
}

static void bytes_of(uint64_t run, uint64_t seq, uint8_t *bytes)
{
	for (size_t i = 0; i < size_of(run, seq); i++)
		bytes[i] = (uint8_t)(run + seq * 7 + i);
}

/* --- the process that is killed ----------------------------------------------------------------- */

static void put(struct spool *s, int i)
{
	uint8_t bytes[SIZE_MOST];
	struct frame f = { .run = w->run[i], .seq = w->begun[i], .captured_ns = 42 };
	size_t size = size_of(f.run, f.seq);
	struct err why;
	int got;

	if (f.seq == SEQS)
		return;
	snprintf(f.source, sizeof f.source, "camera");
	if (size == 0) {
		err_set(&why, "the stream is broken");
		frame_fail(&f, &why);
	}
	bytes_of(f.run, f.seq, bytes);
	w->begun[i]++;
	while ((got = spool_put(s, &f, bytes, size, &why)) != SPOOL_KEPT)
		if (got == SPOOL_LARGE || draw(2) || spool_drop_oldest(s, SPOOL_WHY_FULL) == 0) {
			spool_drop_this(s, &f, got == SPOOL_DISK ? SPOOL_WHY_DISK : SPOOL_WHY_FULL);
			w->forced[i][f.seq] = 1;
			return;
		}
	w->kept[i][f.seq] = 1;
}

struct under_way {
	uint64_t run, first, last;
	bool drop;
};

static struct under_way way[300];
static int way_count;

static bool take(struct spool *s)
{
	uint8_t bytes[SIZE_MOST];
	struct spool_item item;
	struct err why;

	if (way_count == 300 || spool_take(s, &item, &why) != 1)
		return false;
	struct under_way *u = &way[way_count++];
	if (item.frame) {
		struct frame *f = item.frame;
		*u = (struct under_way){ f->run, f->seq, f->seq, false };
		bytes_of(f->run, f->seq, bytes);
		if (item.size != size_of(f->run, f->seq) ||
		    (item.size > 0 && memcmp(bytes, item.bytes, item.size) != 0))
			fail("other bytes", f->run, f->seq);
		if (item.unread != (item.size == 0) || f->captured_ns != 42)
			fail("another frame", f->run, f->seq);
		frame_free(&item.frame);
	} else {
		*u = (struct under_way){ item.run, item.first, item.last, true };
		if (strcmp(item.source, "camera") != 0 || !item.reason[0])
			fail("a drop of nothing", item.run, item.first);
	}
	return true;
}

static void ack(struct spool *s)
{
	int at = draw(4) ? 0 : (int)draw((uint64_t)way_count);
	struct under_way u = way[at];
	int i = index_of(u.run);

	w->acked_seq = u.first;
	w->acked_run = u.run;
	for (uint64_t seq = u.first; seq <= u.last && seq < SEQS; seq++)
		(u.drop ? w->drop : w->row)[i][seq] = 1;
	spool_acked(s, u.run, u.first);
	w->acked_run = 0;
	memmove(way + at, way + at + 1, (size_t)(--way_count - at) * sizeof *way);
}

static void totals(struct spool *s)
{
	struct spool_total t;

	while (spool_total(s, &t) == 1) {
		if (!t.ended ||
		    t.emitted == 0) /* it may have died before anybody knew its number */
			continue;
		int i = index_of(t.run);
		w->ended[i] = true;
		w->emitted[i] = t.emitted;
		w->dropped[i] = t.dropped;
	}
}

static struct spool *begin(void)
{
	struct err why;
	struct spool *s = spool_open(folder, "camera", SPOOL_LEAST, &why);

	if (!s) {
		fail(why.text, 0, 0);
		_exit(1);
	}
	w->run[w->runs++] = spool_run(s);
	if (w->runs > 1 && w->run[w->runs - 1] <= w->run[w->runs - 2])
		fail("a run's number came again", spool_run(s), 0);
	return s;
}

static void live(uint64_t seed)
{
	struct rlimit small = { 40000, 40000 }; /* a file cannot grow: as a full disk */
	struct err why;

	state = seed * 2654435761u + 1;
	if (draw(3) == 0) {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &small);
	}
	struct spool *s = begin();
	int i = w->runs - 1;
	uint64_t stall = draw(2) ? 0 : draw(400);
	for (uint64_t n = 0;; n++) {
		uint64_t what = draw(100);
		if (what < 40)
			put(s, i);
		else if (what < 60 && n > stall)
			take(s);
		else if (what < 98 && way_count > 0 && n > stall + draw(60))
			ack(s);
		else if (what == 99)
			spool_sync(s, &why);
		totals(s);
	}
}

/* --- power cuts --------------------------------------------------------------------------------- */

static void damage(void)
{
	char path[300];
	DIR *d = opendir(folder);
	struct dirent *entry;
	struct stat st;

	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.' && draw(3) == 0) {
			snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
			int fd = open(path, O_RDWR);
			if (fstat(fd, &st) == 0 && st.st_size > 1024) {
				off_t at = 512 + (off_t)draw((uint64_t)st.st_size - 512);
				uint8_t noise[16] = { (uint8_t)draw(256), 1, 2 };
				if (draw(2) ? ftruncate(fd, at) < 0 : pwrite(fd, noise, 16, at) < 0)
					perror(path);
				w->damaged = true;
			}
			close(fd);
		}
	closedir(d);
}

/* --- the end ------------------------------------------------------------------------------------ */

static void finish(void)
{
	struct spool *s = begin();

	for (bool more = true; more;) {
		more = take(s);
		while (way_count > 0 && (!more || way_count > 20))
			ack(s), more = true;
		totals(s);
	}
	spool_close(&s, true);
	for (int i = 0; i < w->runs - 1; i++) {
		uint64_t dropped = 0, last = 0;
		for (uint64_t seq = 0; seq < w->begun[i]; seq++) {
			bool row = w->row[i][seq], drop = w->drop[i][seq];
			last = row || drop ? seq + 1 : last;
			dropped += drop;
			if (row && drop && !w->damaged && !w->half[i][seq])
				fail("a row and a drop", w->run[i], seq);
			if (!row && !drop &&
			    (seq + 1 < w->begun[i] || w->kept[i][seq] || w->forced[i][seq]) &&
			    !w->damaged)
				fail("neither a row nor a drop", w->run[i], seq);
		}
		if (!w->ended[i] && w->begun[i] > 1)
			fail("a run whose end was not told", w->run[i], 0);
		if (w->ended[i] && w->emitted[i] != last && !w->damaged)
			fail("emitted is wrong", w->run[i], w->emitted[i]);
		if (w->ended[i] && w->dropped[i] != dropped && !w->damaged)
			fail("dropped is wrong", w->run[i], w->dropped[i]);
		for (uint64_t seq = 0; w->ended[i] && seq < w->emitted[i]; seq++)
			if (!w->row[i][seq] && !w->drop[i][seq])
				fail("emitted, but neither a row nor a drop", w->run[i], seq);
	}
}

static void clear(void)
{
	char command[100];

	snprintf(command, sizeof command, "rm -rf %s/*", folder);
	if (system(command) != 0)
		exit(1);
}

static void child(void (*what)(uint64_t), uint64_t seed, int64_t after_us)
{
	struct timespec rest = { 0, after_us * 1000 };
	int pid = fork(), status;

	if (pid == 0) {
		way_count = 0;
		what(seed);
		_exit(0);
	}
	if (after_us > 0) {
		nanosleep(&rest, NULL);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	if (w->acked_run)
		w->half[index_of(w->acked_run)][w->acked_seq] = 1;
	w->acked_run = 0;
	if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : status != 0)
		fail("a crash", (uint64_t)status, 0);
}

static void last_child(uint64_t seed)
{
	state = seed + 7;
	finish();
}

static int reboot(const char *path)
{
	struct segment_facts facts;
	struct dirent *entry;
	DIR *d = opendir(path);

	while (d && (entry = readdir(d))) {
		int fd = openat(dirfd(d), entry->d_name, O_RDWR);
		if (fd >= 0 && segment_facts(fd, &facts, NULL) == 0) {
			snprintf(facts.boot, sizeof facts.boot, "another");
			segment_note(fd, &facts);
		}
		if (fd >= 0)
			close(fd);
	}
	return d ? closedir(d) : 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--reboot") == 0)
		return reboot(argv[2]);
	uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 60;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, pictures = 0, drops = 0;
	int failures = 0;

	log_open("capture_spool", -1);
	w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w == MAP_FAILED || !mkdtemp(folder))
		return 1;
	for (uint64_t seed = first; seed < first + seeds; seed++) {
		memset(w, 0, sizeof *w);
		state = seed * 88172645463325252u + 1;
		int lives = 1 + (int)draw(5);
		for (int n = 0; n < lives; n++) {
			child(live, seed * 10 + (uint64_t)n, 1000 + (int64_t)draw(60000));
			if (seed % 4 == 0)
				damage();
		}
		child(last_child, seed, 0);
		for (int i = 0; i < w->runs; i++)
			for (uint64_t seq = 0; seq < w->begun[i]; seq++) {
				pictures++;
				drops += w->drop[i][seq];
			}
		if (w->failure[0]) {
			failures++;
			printf("seed %" PRIu64 ": %s\n", seed, w->failure);
		}
		clear();
	}
	rmdir(folder);
	printf("%" PRIu64 " seeds, %" PRIu64 " pictures, %" PRIu64 " dropped: %d failed\n", seeds,
	       pictures, drops, failures);
	return failures > 0;
}
