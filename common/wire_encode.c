/* Headers to bytes, by the tables in wire_table.c; with wire_decode.c and wire_get.c the only
 * file that sees msgpack.h. Allocates nothing. */
#include <math.h>
#include <msgpack.h>
#include <string.h>

#include "common/wire_table.h"

/* A table and the structure that it describes; the header of a FRAME has two. */
struct section {
	const struct wire_row *rows;
	const void *base;
};

struct room {
	uint8_t *at;
	size_t left;
	bool full; /* something did not fit: nothing is written any more, wire_encode tells */
};

static int append(struct room *room, const void *bytes, size_t size)
{
	if (size > room->left) {
		room->full = true;
		room->left = 0;
		return -1;
	}
	memcpy(room->at, bytes, size);
	room->at += size;
	room->left -= size;
	return 0;
}

/* msgpack-c's packing functions, made by its own template as pack_map, pack_int64 and so on, with an append that
 * the compiler sees through: a header is some seventy pieces, and most are a byte or two. */
#define msgpack_pack_inline_func(name) static inline int pack##name
#define msgpack_pack_user msgpack_packer *
#define msgpack_pack_append_buffer(pk, bytes, size) return append((pk)->data, bytes, size)
#include <msgpack/pack_template.h>

static void put_str(msgpack_packer *pk, const char *text, size_t size)
{
	pack_str(pk, size);
	pack_str_body(pk, text, size);
}

static uint64_t load(const struct wire_row *r, const void *base)
{
	const char *at = (const char *)base + r->offset;
	uint32_t narrow;
	uint64_t wide;

	if (r->width == 1)
		return *(const bool *)at;
	if (r->width == 8) {
		memcpy(&wide, at, sizeof wide);
		return wide;
	}
	memcpy(&narrow, at, sizeof narrow);
	return r->type == WIRE_INT ? (uint64_t)(int64_t)(int32_t)narrow : narrow;
}

/* Is the field worth a key? What is 0, false or "" is left out unless the reader insists. */
static bool said(const struct wire_row *r, const void *base)
{
	const char *at = (const char *)base + r->offset;

	if (r->required)
		return true;
	switch (r->type) {
	case WIRE_TEXT:
		return *at != '\0';
	case WIRE_SHAPE:
		return load(r, base) != 0;
	case WIRE_RANGES:
	case WIRE_TOTALS:
	case WIRE_TIMES:
	case WIRE_META:
		return wire_row_count(r, base) != 0;
	case WIRE_WANTS:
		for (const struct wire_row *w = wire_wants_rows; w->key; w++)
			if (said(w, at))
				return true;
		return false;
	case WIRE_SIZE:
		return ((const struct message *)base)->has_payload;
	default:
		return load(r, base) != 0;
	}
}

static int put_text(msgpack_packer *pk, const char *text, size_t most, struct err *e)
{
	char clean[WIRE_TEXT_MAX];
	size_t n = strnlen(text, most);

	if (n == most)
		return err_set(e, "longer than %zu bytes", most - 1);
	if (!wire_plain(text, n)) {
		text = err_clean(clean, sizeof clean, text);
		n = strlen(text);
	}
	put_str(pk, text, n);
	return 0;
}

static int put_word(msgpack_packer *pk, const char *const *words, uint64_t value, struct err *e)
{
	for (uint64_t i = 0; words[i]; i++)
		if (i == value && words[i][0]) {
			put_str(pk, words[i], strlen(words[i]));
			return 0;
		}
	return err_set(e, "value %llu has no word", (unsigned long long)value);
}

static int put_shape(msgpack_packer *pk, const struct wire_row *r, const void *base, struct err *e)
{
	int rank = (int)load(r, base);
	const char *sides = (const char *)base + r->count;

	if (rank < 0 || rank > FRAME_RANK_MAX)
		return err_set(e, "rank %d is not in 0..%d", rank, FRAME_RANK_MAX);
	pack_array(pk, (size_t)rank);
	for (int i = 0; i < rank; i++) {
		int64_t side;
		memcpy(&side, sides + (size_t)i * sizeof side, sizeof side);
		if (side < r->least || side > (int64_t)r->most)
			return err_set(e, "side %d is %lld", i, (long long)side);
		pack_int64(pk, side);
	}
	return 0;
}

static int put_ranges(msgpack_packer *pk, const struct message_range *range, int count,
		      struct err *e)
{
	for (int i = 0; i < count; i++) {
		if (range[i].first == 0 || range[i].first > range[i].last)
			return err_set(e, "range %d is empty or backwards", i);
		pack_array(pk, 2);
		pack_uint64(pk, range[i].first);
		pack_uint64(pk, range[i].last);
	}
	return 0;
}

static int put_times(msgpack_packer *pk, const struct frame_time *time, int count, struct err *e)
{
	for (int i = 0; i < count; i++) {
		pack_array(pk, 3);
		if (put_text(pk, time[i].stage, sizeof time[i].stage, e) < 0)
			return -1;
		pack_int64(pk, time[i].start_ns);
		pack_int64(pk, time[i].duration_ns);
	}
	return 0;
}

static int put_meta(msgpack_packer *pk, const struct meta_item *item, int count, struct err *e)
{
	for (int i = 0; i < count; i++) {
		if (put_text(pk, item[i].key, sizeof item[i].key, e) < 0)
			return -1;
		if (item[i].kind == META_TEXT) {
			if (put_text(pk, item[i].as.text, sizeof item[i].as.text, e) < 0)
				return err_at(e, "%.32s", item[i].key);
		} else if (item[i].kind == META_INT) {
			pack_int64(pk, item[i].as.integer);
		} else if (isfinite(item[i].as.real)) {
			pack_double(pk, item[i].as.real);
		} else {
			return err_set(e, "%s: not a finite number", item[i].key);
		}
	}
	return 0;
}

static int put_map(msgpack_packer *pk, const struct section *sections, int count,
		   enum message_kind kind, struct err *e);

static int put_totals(msgpack_packer *pk, const struct message_total *total, int count,
		      struct err *e)
{
	for (int i = 0; i < count; i++) {
		struct section s = { wire_total_rows, &total[i] };
		if (put_map(pk, &s, 1, MESSAGE_UNKNOWN, e) < 0)
			return -1;
	}
	return 0;
}

static int put_list(msgpack_packer *pk, const struct wire_row *r, const void *base, struct err *e)
{
	const void *at = (const char *)base + r->offset;
	int n = wire_row_count(r, base);

	if (n < r->least || n > wire_list_most[r->type])
		return err_set(e, "%d items, not %lld to %d", n, (long long)r->least,
			       wire_list_most[r->type]);
	if (r->type == WIRE_META) {
		pack_map(pk, (size_t)n);
		return put_meta(pk, at, n, e);
	}
	pack_array(pk, (size_t)n);
	return r->type == WIRE_RANGES  ? put_ranges(pk, at, n, e)
	       : r->type == WIRE_TIMES ? put_times(pk, at, n, e)
				       : put_totals(pk, at, n, e);
}

static int put_number(msgpack_packer *pk, const struct wire_row *r, uint64_t value, struct err *e)
{
	if (r->type == WIRE_INT) {
		int64_t v = (int64_t)value;
		if (v < r->least || v > (int64_t)r->most)
			return err_set(e, "%lld is out of bounds", (long long)v);
		pack_int64(pk, v);
		return 0;
	}
	if (value < (uint64_t)r->least || value > r->most)
		return err_set(e, "%llu is out of bounds", (unsigned long long)value);
	pack_uint64(pk, value);
	return 0;
}

static int put_value(msgpack_packer *pk, const struct wire_row *r, const void *base, struct err *e)
{
	const void *at = (const char *)base + r->offset;
	const struct message *m = base;
	struct section wants = { wire_wants_rows, at };

	switch (r->type) {
	case WIRE_UINT:
	case WIRE_INT:
		return put_number(pk, r, load(r, base), e);
	case WIRE_BOOL:
		return load(r, base) ? pack_true(pk) : pack_false(pk), 0;
	case WIRE_TEXT:
		if (strnlen(at, r->most) < (size_t)r->least)
			return err_set(e, "empty");
		return put_text(pk, at, r->most, e);
	case WIRE_WORD:
		return put_word(pk, r->words, load(r, base), e);
	case WIRE_ID:
		pack_bin(pk, r->most);
		pack_bin_body(pk, at, r->most);
		return 0;
	case WIRE_SHAPE:
		return put_shape(pk, r, base, e);
	case WIRE_WANTS:
		return put_map(pk, &wants, 1, MESSAGE_UNKNOWN, e);
	case WIRE_KIND:
		return put_word(pk, wire_kinds, m->kind, e);
	case WIRE_STATUS:
		return put_word(pk, wire_statuses,
				m->dropped ? WIRE_STATUS_DROP : (uint64_t)m->frame->status, e);
	case WIRE_SIZE:
		return put_number(pk, r, m->payload_size, e);
	default:
		return put_list(pk, r, base, e);
	}
}

/* The rows that are said. */
static uint64_t saying(const struct section *s, enum message_kind kind)
{
	uint64_t rows = wire_set_of(s->rows, kind).rows, says = 0;

	for (int i; (i = wire_set_next(&rows)) >= 0;)
		says |= (uint64_t)said(&s->rows[i], s->base) << i;
	return says;
}

/* The rows of all sections as one map. */
static int put_map(msgpack_packer *pk, const struct section *sections, int count,
		   enum message_kind kind, struct err *e)
{
	size_t keys = 0;
	uint64_t says[2] = { 0 };

	for (int i = 0; i < count; i++) {
		says[i] = saying(&sections[i], kind);
		keys += (size_t)__builtin_popcountll(says[i]);
	}
	pack_map(pk, keys);
	for (int i = 0; i < count; i++)
		for (int j; (j = wire_set_next(&says[i])) >= 0;) {
			const struct wire_row *r = &sections[i].rows[j];
			put_str(pk, r->key, r->key_size);
			if (put_value(pk, r, sections[i].base, e) < 0)
				return err_at(e, "'%s'", r->key);
		}
	return 0;
}

int wire_encode(const struct message *m, uint8_t *out, size_t size, struct err *e)
{
	struct section sections[2] = { { wire_message_rows, m }, { wire_frame_rows, m->frame } };
	struct room room = { out, size < WIRE_HEADER_MAX ? size : WIRE_HEADER_MAX, false };
	const char *name = message_kind_name(m->kind);
	bool is_frame = m->kind == MESSAGE_FRAME;
	msgpack_packer pk = { .data = &room };

	if (m->kind <= MESSAGE_UNKNOWN || m->kind > MESSAGE_BYE)
		return err_set(e, "message kind %d cannot be sent", (int)m->kind);
	if (is_frame && !m->frame)
		return err_set(e, "FRAME: without a frame");
	if (is_frame && wire_check_frame(m, e) < 0)
		return err_at(e, "FRAME");
	if (put_map(&pk, sections, is_frame ? 2 : 1, m->kind, e) < 0)
		return err_at(e, "%s", name);
	if (room.full)
		return err_set(e, "%s: the header would take more than %zu bytes", name,
			       size < WIRE_HEADER_MAX ? size : (size_t)WIRE_HEADER_MAX);
	return (int)(room.at - out);
}
