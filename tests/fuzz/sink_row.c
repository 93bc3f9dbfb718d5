/* A frame of any content, as a hostile worker might send it, becomes a row that all writers take. */
#include <stdlib.h>
#include <string.h>

#include "sink/textfile.h"
#include "sink/verdict.h"

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t byte(struct input *in)
{
	return in->size ? (in->size--, *in->data++) : 0;
}

static void bytes(struct input *in, void *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = byte(in);
}

static void text(struct input *in, char *to, size_t size)
{
	size_t n = byte(in) % size;

	bytes(in, to, n);
	to[n] = '\0';
}

static void add_meta(struct input *in, struct frame *f)
{
	static const char *const keys[] = { "label",   "label_id",    "score",   "labels",
					    "label_2", "label_id_2",  "score_2", "path",
					    "tag",     "model_sha256" };
	struct meta_item *item = &f->meta[f->meta_count++];
	uint8_t choice = byte(in);

	if (choice < sizeof keys / sizeof keys[0])
		strcpy(item->key, keys[choice]);
	else
		text(in, item->key, sizeof item->key);
	item->kind = (enum meta_kind)(byte(in) % 3);
	if (item->kind == META_TEXT)
		text(in, item->as.text, sizeof item->as.text);
	else
		bytes(in, &item->as, 8);
}

static struct frame *make_frame(struct input *in)
{
	struct frame *f = frame_new();
	int64_t shape[FRAME_RANK_MAX];
	struct err why;

	text(in, f->source, sizeof f->source);
	bytes(in, &f->seq, sizeof f->seq);
	bytes(in, &f->captured_ns, sizeof f->captured_ns);
	f->status = (enum frame_status)(byte(in) % 3);
	text(in, f->reason, sizeof f->reason);
	int rank = byte(in) % 3 + 1;
	for (int i = 0; i < rank; i++)
		shape[i] = byte(in) % 9;
	enum dtype dtype = byte(in) % 8 ? DTYPE_F32 : DTYPE_U8;
	if (byte(in) % 8 && frame_shape(f, FRAME_SCORES, dtype, rank, shape, &why) == 0)
		bytes(in, f->payload->data, f->payload->size);
	if (f->payload && byte(in) % 8 == 0 && f->payload->size)
		f->payload->size--;
	for (int n = byte(in) % 12; n > 0; n--)
		add_meta(in, f);
	for (int n = byte(in) % 4; n > 0; n--) {
		struct frame_time *t = &f->time[f->time_count++];
		text(in, t->stage, sizeof t->stage);
		bytes(in, &t->duration_ns, 8);
	}
	return f;
}

static void write_line(const struct line_format *format, const struct row *row)
{
	struct text out = { 0 };
	struct line_key key;
	size_t length;
	size_t begin = 0;

	if (format->header)
		format->header(&out);
	begin = out.used;
	format->line(&out, row);
	/* What we write we read back, with the same key. */
	if (row->run >= 0 && row->seq >= 0 &&
	    (format->read(out.data + begin, out.used - begin, 1, &length, &key) != 1 ||
	     length != out.used - begin || strcmp(key.source, row->source) != 0 ||
	     key.seq != (uint64_t)row->seq))
		abort();
	text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *good[] = { "ok:0.5", "a|b:0.1" }, *ng[] = { "bad:0.5", "x:-1" };
	struct option_list goods = { good, 2 }, ngs = { ng, 2 };
	struct input in = { data, size };
	struct row row = { 0 };
	struct err why;
	struct rules *rules = rules_new(&goods, &ngs, NULL, &why);

	while (in.size) {
		struct frame *f = make_frame(&in);
		if (row_make(&row, f, rules, 1, &why) < 0)
			abort();
		write_line(&format_jsonl, &row);
		write_line(&format_csv, &row);
		while (rules_complaint(rules, &why))
			;
		frame_free(&f);
	}
	row_free(&row);
	rules_free(&rules);
	return 0;
}
