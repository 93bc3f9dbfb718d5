/* Files, folders and patterns: a recorded source. All is listed before the first picture is sent,
 * so that the keys, made of the list, are the same after a restart. */
#include "capture/source.h"

#include <stdlib.h>

#include "capture/file.h"
#include "capture/listing.h"
#include "common/log.h"

struct files {
	struct listing listing;
	struct file_bytes file;
	uint64_t seq;
};

static bool files_takes(const struct source *s)
{
	(void)s;
	return true;
}

static void tell_skipped(const struct listing *l)
{
	if (l->skipped > 0)
		log_info("%zu files are no pictures by their names: skipped", l->skipped);
	if (l->folders > 0)
		log_warn("%zu sub-folders were not entered (--recursive does)", l->folders);
}

static int list_operands(struct source *s, struct listing *l, struct err *e)
{
	for (int i = 0; i < s->operands; i++) {
		size_t before = l->count;
		if (listing_add(l, s->operand[i], s->options->recursive, e) < 0)
			return -1;
		if (l->count == before)
			log_warn("no pictures in '%s'", s->operand[i]);
	}
	listing_sort(l);
	tell_skipped(l);
	return l->count > 0 ? 0 : err_code(e, EX_NOINPUT, "there are no pictures");
}

static uint64_t total(const struct source *s, uint64_t count)
{
	uint64_t most = (uint64_t)s->options->count, sum;

	if (s->options->loop == 0)
		return most;
	if (__builtin_mul_overflow(count, (uint64_t)s->options->loop, &sum))
		sum = UINT64_MAX;
	return most > 0 && most < sum ? most : sum;
}

static int files_open(struct source *s, struct err *e)
{
	struct files *files = s->self = calloc(1, sizeof *files);
	uint64_t id = 0;

	if (!files)
		return err_code(e, EX_TEMPFAIL, "no memory");
	if (list_operands(s, &files->listing, e) < 0 || listing_id(&files->listing, &id, e) < 0)
		return -1;
	source_name(s, s->operand[0], "files");
	s->total = total(s, files->listing.count);
	return source_run(s, id, e);
}

/* The key stands for what was listed: other bytes must not come under it. */
static int unchanged(const struct listing_item *item, const struct stat *status, struct err *e)
{
	int64_t mtime_ns = (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;

	if (item->size == (int64_t)status->st_size && item->mtime_ns == mtime_ns)
		return 0;
	return err_set(e, "the file changed after it was listed (--watch is for folders that are "
			  "being filled)");
}

static int files_next(struct source *s, struct picture *p, struct err *e)
{
	struct files *files = s->self;
	uint64_t at = files->seq % files->listing.count, round = files->seq / files->listing.count;
	const struct listing_item *item = &files->listing.item[at];

	if (s->options->loop > 0 && round >= (uint64_t)s->options->loop)
		return 0;
	p->frame = source_frame(s, s->run, files->seq, item->path, e);
	if (!p->frame)
		return -1;
	files->seq++;
	p->unread = file_read(item->path, &files->file, &p->why) < 0 ||
		    unchanged(item, &files->file.stat, &p->why) < 0;
	p->bytes = files->file.data;
	p->size = files->file.size;
	return 1;
}

static void files_close(struct source *s)
{
	struct files *files = s->self;

	if (!files)
		return;
	listing_free(&files->listing);
	file_free(&files->file);
	free(files);
}

const struct source_kind source_files = {
	.name = "files",
	.takes = files_takes,
	.open = files_open,
	.next = files_next,
	.close = files_close,
};
