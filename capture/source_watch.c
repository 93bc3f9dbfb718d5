/* A hot folder (--watch): a live source. Each start is a run of its own.
 *
 * With --done, a file's key is on disk (journal.h) before the file is sent, and the file is moved
 * away once its row is durable. What a crash left in the folder is sent again under the key that it
 * had, so the store knows what it has already; what has no key is new. */
#include "capture/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/file.h"
#include "capture/hotfolder.h"
#include "capture/journal.h"
#include "common/log.h"
#include "common/stage.h"

#define PLAN_MOST 64 /* files that get their keys at once: one fdatasync for all */

struct key {
	uint64_t run, seq;
};

struct watch {
	struct hotfolder *hot;
	struct journal journal;
	struct file_bytes file;
	int done; /* folder for finished files, or -1 */
	uint64_t seq;
	struct key *plan; /* [at, count): keys given, files not yet read */
	size_t at, count;
	bool told_move;
};

static bool watch_takes(const struct source *s)
{
	return s->options->watch;
}

static int check_options(const struct source *s, struct err *e)
{
	if (s->operands != 1 || strcmp(s->operand[0], "-") == 0)
		return err_code(e, EX_USAGE, "--watch takes one folder");
	if (s->options->loop != 1)
		return err_code(e, EX_USAGE, "--loop does not go with --watch");
	if (s->options->recursive)
		return err_code(e, EX_USAGE, "--recursive does not go with --watch");
	if (s->options->run && strcmp(s->options->run, "new") != 0)
		return err_code(e, EX_USAGE, "--run: with --watch each start is a new run");
	return 0;
}

/* A move must be one step, so both folders have to be on one file system. */
static int open_done(struct watch *w, const char *path, struct err *e)
{
	struct stat done, hot;

	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return err_code(e, EX_CANTCREAT, "cannot make folder '%s': %s", path,
				strerror(errno));
	w->done = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->done < 0 || fstat(w->done, &done) < 0 || fstat(hotfolder_dir(w->hot), &hot) < 0)
		return err_code(e, EX_NOINPUT, "cannot open folder '%s': %s", path,
				strerror(errno));
	if (done.st_dev != hot.st_dev)
		return err_code(e, EX_USAGE,
				"--done: '%s' is on another file system than the folder", path);
	if (done.st_ino == hot.st_ino)
		return err_code(e, EX_USAGE, "--done: '%s' is the watched folder itself", path);
	if (faccessat(hotfolder_dir(w->hot), ".", W_OK, AT_EACCESS) < 0)
		return err_code(e, EX_CANTCREAT,
				"--done: files cannot be moved out of the folder: %s",
				strerror(errno));
	if (flock(hotfolder_dir(w->hot), LOCK_EX | LOCK_NB) < 0)
		return err_code(e, EX_TEMPFAIL, "another capture empties this folder");
	return 0;
}

static int open_journal(struct source *s, struct watch *w, struct err *e)
{
	char *path = NULL;
	int result;

	if (w->done < 0)
		return journal_open(&w->journal, NULL, e);
	if (asprintf(&path, "%s/.capture-%s.journal", s->options->done, s->name) < 0)
		return err_code(e, EX_TEMPFAIL, "no memory");
	result = journal_open(&w->journal, path, e);
	free(path);
	return result;
}

/* Files that had got their keys before a crash, and are still there. */
static int plan_leftovers(struct watch *w, struct err *e)
{
	struct journal *j = &w->journal;
	struct stat status;

	w->plan = calloc(j->count + PLAN_MOST, sizeof *w->plan);
	if (!w->plan)
		return err_code(e, EX_TEMPFAIL, "no memory");
	for (size_t i = j->count; i-- > 0;) {
		const struct entry *entry = &j->entry[i];
		struct key key = { entry->run, entry->seq };
		if (fstatat(hotfolder_dir(w->hot), entry->name, &status, 0) == 0 &&
		    entry_matches(entry, &status)) {
			hotfolder_seen(w->hot, entry->name, &status);
			w->plan[w->count++] = key;
		} else {
			journal_settle(j, key.run, key.seq);
		}
	}
	for (size_t i = 0; i < w->count / 2; i++) { /* they were found last first */
		struct key key = w->plan[i];
		w->plan[i] = w->plan[w->count - 1 - i];
		w->plan[w->count - 1 - i] = key;
	}
	if (w->count > 0)
		log_info("%zu files were under way when capture ended last", w->count);
	return 0;
}

static int watch_open(struct source *s, struct err *e)
{
	struct watch *w;

	if (check_options(s, e) < 0)
		return -1;
	w = s->self = calloc(1, sizeof *w);
	if (!w)
		return err_code(e, EX_TEMPFAIL, "no memory");
	w->done = w->journal.fd = -1;
	source_name(s, s->operand[0], "watch");
	if (source_run(s, 0, e) < 0)
		return -1;
	w->hot = hotfolder_open(s->operand[0], e);
	if (!w->hot)
		return -1;
	if (s->options->done && open_done(w, s->options->done, e) < 0)
		return -1;
	return open_journal(s, w, e) < 0 ? -1 : plan_leftovers(w, e);
}

/* Give keys to files that are whole, as many as there are. 0, or -1 with *e. */
static int plan_more(struct source *s, struct err *e)
{
	struct watch *w = s->self;
	struct stat status;
	const char *name;
	int got = 0;

	w->at = w->count = 0;
	while (w->count < PLAN_MOST && (got = hotfolder_next(w->hot, &name, &status, e)) == 1) {
		if (journal_add(&w->journal, name, &status, s->run, w->seq, e) < 0)
			return -1;
		w->plan[w->count++] = (struct key){ s->run, w->seq++ };
	}
	if (w->count > 0)
		return journal_sync(&w->journal, e);
	return got;
}

/* Wait until something is planned: 1, 0 asked to stop, -1 with *e. */
static int wait_for_plan(struct source *s, struct err *e)
{
	struct watch *w = s->self;

	while (w->at == w->count) {
		if (plan_more(s, e) < 0)
			return -1;
		if (w->count > 0)
			break;
		if (stage_wait(s->stage, hotfolder_fd(w->hot), hotfolder_wait_ms(w->hot)) < 0 ||
		    stage_stopping(s->stage))
			return 0;
	}
	return 1;
}

/* The bytes that got the key; a file that was written again since is another part. */
static int read_entry(struct watch *w, const char *path, const struct entry *entry, struct err *e)
{
	if (file_read(path, &w->file, e) < 0)
		return -1;
	if (!entry_matches(entry, &w->file.stat))
		return err_set(e, "the file was written again before it could be read");
	return 0;
}

static int watch_next(struct source *s, struct picture *p, struct err *e)
{
	struct watch *w = s->self;
	const struct entry *entry;
	const char *folder = s->operand[0];
	char *path;
	int length = (int)strlen(folder), got = wait_for_plan(s, e);

	if (got != 1)
		return got;
	struct key key = w->plan[w->at++];
	entry = journal_find(&w->journal, key.run, key.seq);
	while (length > 0 && folder[length - 1] == '/')
		length--;
	if (!entry || asprintf(&path, "%.*s/%s", length, folder, entry->name) < 0)
		return err_code(e, EX_TEMPFAIL, "no memory");
	p->frame = source_frame(s, key.run, key.seq, path, e);
	p->unread = read_entry(w, path, entry, &p->why) < 0;
	p->bytes = w->file.data;
	p->size = w->file.size;
	free(path);
	return p->frame ? 1 : -1;
}

/* Out of the folder, never over another file. 0, or -1 and errno. */
static int move_away(const struct watch *w, const struct entry *entry)
{
	const char *dot = strrchr(entry->name, '.');
	int stem = dot ? (int)(dot - entry->name) : (int)strlen(entry->name);
	int from = hotfolder_dir(w->hot), result;
	char *other;

	if (renameat2(from, entry->name, w->done, entry->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	if (asprintf(&other, "%.*s.%llu-%llu%s", stem, entry->name, (unsigned long long)entry->run,
		     (unsigned long long)entry->seq, dot ? dot : "") < 0)
		return -1;
	result = renameat2(from, entry->name, w->done, other, RENAME_NOREPLACE);
	free(other);
	return result;
}

/* Its row is durable: out of the folder with it, as far as it is still there and the same. */
static int put_away(struct source *s, const struct entry *entry)
{
	struct watch *w = s->self;
	struct stat status;

	if (fstatat(hotfolder_dir(w->hot), entry->name, &status, 0) < 0 ||
	    !entry_matches(entry, &status))
		return 0;
	if (move_away(w, entry) < 0) {
		if (!w->told_move)
			log_warn("cannot move '%s' to '%s': %s", entry->name, s->options->done,
				 strerror(errno));
		w->told_move = true;
		return -1;
	}
	hotfolder_forget(w->hot, entry->name, &status);
	return 0;
}

static void watch_acked(struct source *s, uint64_t run, uint64_t seq)
{
	struct watch *w = s->self;
	const struct entry *entry = journal_find(&w->journal, run, seq);

	if (entry && (w->done < 0 || put_away(s, entry) == 0))
		journal_settle(&w->journal, run, seq);
}

static void watch_close(struct source *s)
{
	struct watch *w = s->self;

	if (!w)
		return;
	hotfolder_close(&w->hot);
	journal_close(&w->journal);
	file_free(&w->file);
	if (w->done >= 0)
		close(w->done);
	free(w->plan);
	free(w);
}

const struct source_kind source_watch = {
	.name = "watch",
	.takes = watch_takes,
	.open = watch_open,
	.next = watch_next,
	.acked = watch_acked,
	.close = watch_close,
};
