/* What an earlier process left, and the beginning of a run.
 *
 * Files are named by run and index. The highest run's file always stays: it is what makes the next
 * run's number one that never was before. (Where there is none, the number is made of the clock, so
 * that a spool that was thrown away does not begin again with numbers whose rows are stored.) */
#include "capture/spool_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define CLOSED_WELL "closed" /* instead of a boot id: this run's process ended in order */
#define TOLD_MOST 64         /* ended runs whose end was perhaps not heard; older ones were */

/* --- one segment -------------------------------------------------------------------------------- */

/* Walk its records: what waits, what is settled, what was dropped. */
static void walk(struct seg *seg)
{
	struct run *run = seg->run;
	uint64_t size = seg->end, at = SEGMENT_BLOCK, good = at;
	struct record r;

	while (at < size) {
		if (spool_look(seg, at, &r) < 0) {
			at = segment_seek(seg->fd, at, size);
			continue;
		}
		uint64_t count = r.last - r.seq + 1;
		seg->tail = r.dropped ? at : 0;
		seg->tail_first = r.seq;
		seg->tail_last = r.last;
		seg->tail_why = SPOOL_WHY_FULL;
		if (r.dropped && strcmp(r.frame->reason, spool_why_text(SPOOL_WHY_FULL)) != 0)
			seg->tail = 0; /* its reason is another: nothing is added to it */
		at += r.bytes;
		bool known = r.settled || r.last < run->emitted;
		if (known)
			seg->floor = at;
		seg->waiting += !r.dropped && !known;
		if (r.dropped && r.seq >= run->emitted) {
			seg->dropped += count;
			run->dropped += count;
			run->resent += r.settled ? 0 : count;
		}
		run->emitted = r.last >= run->emitted ? r.last + 1 : run->emitted;
		good = at;
		frame_free(&r.frame);
	}
	seg->end = good;
}

/* Bytes behind the last whole record are the beginning of one that was cut. */
static bool was_cut(const struct seg *seg, uint64_t size)
{
	uint8_t byte[SEGMENT_BLOCK];
	ssize_t n = pread(seg->fd, byte, sizeof byte, (off_t)seg->end);

	for (ssize_t i = 0; i < n; i++)
		if (byte[i])
			return true;
	return size > seg->end + SEGMENT_BLOCK;
}

static int add_segment(struct spool *s, struct run *run, int fd, const struct segment_facts *facts)
{
	struct stat status;
	struct seg *seg = spool_append(s, run, fd, facts);

	if (!seg || fstat(fd, &status) < 0)
		return -1;
	uint64_t size = status.st_size > SEGMENT_BLOCK ? (uint64_t)status.st_size : SEGMENT_BLOCK;
	s->used += size - seg->end;
	seg->end = size;
	if (run->last->previous == NULL || run->last->previous->run != run)
		run->expected = run->emitted = facts->begin;
	run->emitted = facts->begin > run->emitted ? facts->begin : run->emitted;
	walk(seg);
	s->used -= size - seg->end;
	run->cut = was_cut(seg, size) ? size - seg->end : 0;
	/* What was cut stays until it is counted: see count_cut. */
	if (!run->cut && seg->end < size && ftruncate(fd, (off_t)seg->end) < 0)
		log_debug("cannot cut a file of the spool: %s", strerror(errno));
	return 0;
}

/* --- all of them -------------------------------------------------------------------------------- */

static struct run *run_of(struct spool *s, const struct segment_facts *facts)
{
	struct run **at = &s->runs;

	while (*at && ((*at)->facts.run != facts->run))
		at = &(*at)->next;
	if (!*at)
		*at = calloc(1, sizeof **at);
	if (*at)
		(*at)->facts = *facts;
	return *at;
}

/* A file of the spool: 0, or -1 no memory. One that cannot be read is left where it is, told, and
 * what was in it is found missing by what comes after it. */
static int add_file(struct spool *s, const char *name)
{
	int fd = openat(s->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char right[SPOOL_NAME];
	struct segment_facts facts;
	struct run *run;
	struct err why;

	if (fd < 0)
		err_set(&why, "%s", strerror(errno));
	if (fd < 0 || segment_facts(fd, &facts, &why) < 0) {
		log_warn("the spool's file '%s' cannot be used: %s", name, why.text);
		goto skip;
	}
	spool_name(right, facts.run, facts.index);
	if (strcmp(right, name) != 0) {
		log_warn("the spool's file '%s' cannot be used: it is '%s' by what it says", name,
			 right);
		goto skip;
	}
	run = run_of(s, &facts);
	if (!run)
		goto fail;
	if (facts.state != SEGMENT_OPEN) {
		run->emitted = run->expected = facts.begin;
		run->dropped = facts.gone;
		run->told = true;
		run->told_end = facts.state == SEGMENT_TOLD || facts.begin == 0;
		goto skip;
	}
	if (add_segment(s, run, fd, &facts) == 0)
		return 0;
fail:
	if (fd >= 0 && !(s->last && s->last->fd == fd))
		close(fd);
	return -1;
skip:
	if (fd >= 0)
		close(fd);
	return 0;
}

static int is_ours(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length == 37 && strcmp(entry->d_name + length - 6, ".spool") == 0 &&
	       strspn(entry->d_name, "0123456789-") == length - 6;
}

/* The highest number in the names, whether the file can be read or not. */
static void note_number(uint64_t *highest, const char *name)
{
	uint64_t run = strtoull(name, NULL, 10);

	if (run > *highest && run < INT64_MAX)
		*highest = run;
}

/* A picture that was cut becomes the record of its drop, in one write: until then the next start finds
 * it cut as this one did, and from then on dropped. If it cannot be written it is missing, and taken
 * for that. */
static void count_cut(struct spool *s, struct run *run)
{
	const struct segment_facts *facts = &run->facts;
	struct seg *seg = run->last;
	uint64_t seq = run->emitted++;

	if (ftruncate(seg->fd, (off_t)(seg->end + SEGMENT_BLOCK)) < 0 ||
	    segment_write_drop(seg->fd, seg->end, facts->source, facts->run, seq, seq,
			       spool_why_text(SPOOL_WHY_LOST)) < 0) {
		log_debug("cannot note a drop: %s", strerror(errno));
		return;
	}
	seg->tail = 0;
	seg->end += SEGMENT_BLOCK;
	seg->dirty = true;
	seg->dropped++;
	s->used += SEGMENT_BLOCK;
	run->dropped++;
	run->resent++;
}

/* What every run has lost, and what that means. */
static void look_at_run(struct spool *s, struct run *run)
{
	struct segment_facts *facts = &run->facts;
	uint64_t waiting = 0;

	if (!run->last)
		return;
	run->dropped += facts->gone;
	if (run->cut) {
		log_warn("run %" PRIu64 " of %s ended while a picture was put into the spool: "
			 "%" PRIu64 " bytes are cut off, the picture counts as dropped",
			 facts->run, facts->source, run->cut);
		count_cut(s, run);
	}
	if (facts->lost_end > run->emitted)
		run->emitted = facts->lost_end;
	for (struct seg *seg = s->first; seg; seg = seg->next) {
		waiting += seg->run == run ? seg->waiting : 0;
		if (seg->run == run && seg->index < facts->gone_index) { /* counted as gone */
			run->dropped -= seg->dropped;
			seg->dropped = 0;
		}
	}
	if (waiting > 0)
		log_info("run %" PRIu64 " of %s: %" PRIu64 " pictures in the spool are still to be "
			 "finished",
			 facts->run, facts->source, waiting);
	if (strcmp(facts->boot, s->boot) != 0 && strcmp(facts->boot, CLOSED_WELL) != 0)
		log_warn("the machine stopped while run %" PRIu64
			 " of %s was being taken: pictures "
			 "of its last tenth of a second may be lost beyond those counted",
			 facts->run, facts->source);
}

int spool_recover(struct spool *s, struct err *e)
{
	struct dirent **entry;
	struct run *run;
	char path[64];
	int result = 0;

	snprintf(path, sizeof path, "/proc/self/fd/%d", s->dir);
	int count = scandir(path, &entry, is_ours, alphasort);
	if (count < 0)
		return err_code(e, EX_IOERR, "cannot list the spool: %s", strerror(errno));
	for (int i = 0; i < count; i++) {
		note_number(&s->highest, entry[i]->d_name);
		result = result < 0 ? -1 : add_file(s, entry[i]->d_name);
		free(entry[i]);
	}
	free(entry);
	for (run = s->runs; run && result == 0; run = run->next)
		look_at_run(s, run);
	return result < 0 ? err_code(e, EX_TEMPFAIL, "no memory for the spool") : 0;
}

/* --- beginning and end -------------------------------------------------------------------------- */

/* Closed runs whose end the line has heard, or that are too old not to have been heard. */
void spool_forget_told(struct spool *s)
{
	char name[SPOOL_NAME];
	int closed = 0;

	for (const struct run *run = s->runs; run; run = run->next)
		closed += run != s->current && !run->last;
	for (const struct run *run = s->runs; run; run = run->next) {
		if (run == s->current || run->last)
			continue;
		if ((run->facts.state == SEGMENT_TOLD || run->emitted == 0 || closed > TOLD_MOST)) {
			spool_name(name, run->facts.run, run->facts.index);
			unlinkat(s->dir, name, 0);
		}
		closed--;
	}
}

int spool_run_begin(struct spool *s, const char *source, struct err *e)
{
	uint64_t number = (uint64_t)(clock_real_ns() / 1000000000);
	struct segment_facts facts = { .run = number > s->highest ? number : s->highest + 1 };

	snprintf(facts.source, sizeof facts.source, "%s", source);
	memcpy(facts.boot, s->boot, sizeof facts.boot);
	s->current = run_of(s, &facts);
	if (!s->current)
		return err_code(e, EX_TEMPFAIL, "no memory for the spool");
	s->current->told = true;
	if (spool_rotate(s) < 0 || fsync(s->last->fd) < 0 || fsync(s->dir) < 0)
		return err_code(e, EX_CANTCREAT, "cannot begin a run in the spool: %s",
				strerror(errno));
	return 0;
}

static void read_boot(char boot[SEGMENT_BOOT])
{
	FILE *in = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!in || !fgets(boot, SEGMENT_BOOT, in))
		snprintf(boot, SEGMENT_BOOT, "unknown");
	boot[strcspn(boot, "\n")] = 0;
	if (in)
		fclose(in);
}

static int open_folder(struct spool *s, const char *folder, struct err *e)
{
	if (mkdir(folder, 0777) < 0 && errno != EEXIST)
		return err_code(e, EX_CANTCREAT, "--spool: cannot make folder '%s': %s", folder,
				strerror(errno));
	s->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return err_code(e, EX_NOINPUT, "--spool: cannot open folder '%s': %s", folder,
				strerror(errno));
	if (flock(s->dir, LOCK_EX | LOCK_NB) < 0)
		return err_code(e, EX_TEMPFAIL, "--spool: '%s' is in use by another capture",
				folder);
	return 0;
}

struct spool *spool_open(const char *folder, const char *source, uint64_t size, struct err *e)
{
	struct spool *s = calloc(1, sizeof *s);

	if (!s) {
		err_code(e, EX_TEMPFAIL, "no memory for the spool");
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	s->dir = -1;
	s->limit = size;
	s->part = size / SPOOL_PARTS;
	read_boot(s->boot);
	if (open_folder(s, folder, e) == 0 && spool_recover(s, e) == 0 &&
	    spool_run_begin(s, source, e) == 0) {
		spool_forget_told(s);
		return s;
	}
	spool_close(&s, false);
	return NULL;
}

/* All is stored and everybody has heard of the end: only the number is kept. */
static void keep_number(struct spool *s)
{
	struct run *run = s->current;
	struct seg *seg = run->last;

	if (s->first != seg || seg->read != seg->end || seg->taken > 0)
		return;
	run->facts.begin = run->emitted;
	run->facts.gone = run->dropped;
	run->facts.gone_index = seg->index + 1;
	run->facts.lost_first = run->facts.lost_end = 0;
	run->facts.state = SEGMENT_TOLD;
	if (segment_note(seg->fd, &run->facts) < 0 || ftruncate(seg->fd, SEGMENT_BLOCK) < 0 ||
	    fsync(seg->fd) < 0)
		return;
	for (struct run *old = s->runs; old != run; old = old->next)
		if (!old->last)
			old->facts.state = SEGMENT_TOLD;
	spool_forget_told(s);
}

void spool_close(struct spool **spool, bool told)
{
	struct spool *s = *spool;

	if (!s)
		return;
	if (s->current && s->current->last) {
		struct segment_facts *facts = &s->current->facts;
		snprintf(facts->boot, sizeof facts->boot, CLOSED_WELL);
		segment_note(s->current->last->fd, facts);
		if (told)
			keep_number(s);
		spool_sync(s, NULL);
	}
	while (s->first) {
		struct seg *seg = s->first;
		s->first = seg->next;
		close(seg->fd);
		free(seg);
	}
	while (s->runs) {
		struct run *run = s->runs;
		s->runs = run->next;
		free(run);
	}
	if (s->dir >= 0)
		close(s->dir);
	pthread_mutex_destroy(&s->lock);
	free(s->taken);
	free(s->buffer);
	free(s);
	*spool = NULL;
}
