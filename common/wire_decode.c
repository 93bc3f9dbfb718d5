/* Bytes to headers, by the tables in wire_table.c; with wire_get.c and wire_encode.c the only
 * file that sees msgpack.h.
 *
 * Three steps, each of which can trust the one before: the size is bounded; the bytes are one
 * well-formed value whose counts and depth are proven (wire_scan), so that msgpack-c allocates at
 * most 24 bytes per byte received; and each key has the type and bounds of its row. */
#include <math.h>
#include <msgpack.h>
#include <string.h>

#include "common/wire_get.h"
#include "common/wire_scan.h"
#include "common/wire_table.h"

#define ZONE_BYTES 960 /* at first: enough for most, and of a size that malloc has at hand */

/* A table and the structure that it describes; the header of a FRAME has two. */
struct section {
	const struct wire_row *rows;
	void *base;
	uint64_t seen; /* bit per row */
	uint64_t left; /* where the next key is looked for first: encoders keep the table's order */
	struct wire_set set;
};

static int get_shape(const msgpack_object *o, const struct wire_row *r, int64_t *sides,
		     struct err *e)
{
	int rank = wire_get_array(o, 0, FRAME_RANK_MAX, e);

	for (int i = 0; i < rank; i++)
		if (wire_get_int(&o->via.array.ptr[i], r->least, (int64_t)r->most, &sides[i], e) <
		    0)
			return -1;
	return rank;
}

static int get_ranges(const msgpack_object *o, const struct wire_row *r,
		      struct message_range *range, struct err *e)
{
	int n = wire_get_array(o, (int)r->least, WIRE_RANGES_MAX, e);

	for (int i = 0; i < n; i++) {
		const msgpack_object *pair = &o->via.array.ptr[i];
		if (wire_get_array(pair, 2, 2, e) < 0 ||
		    wire_get_uint(&pair->via.array.ptr[0], 1, UINT64_MAX, &range[i].first, e) < 0 ||
		    wire_get_uint(&pair->via.array.ptr[1], range[i].first, UINT64_MAX,
				  &range[i].last, e) < 0)
			return -1;
	}
	return n;
}

static int get_times(const msgpack_object *o, struct frame_time *time, struct err *e)
{
	int n = wire_get_array(o, 0, FRAME_TIMES_MAX, e);

	for (int i = 0; i < n; i++) {
		const msgpack_object *entry = &o->via.array.ptr[i];
		if (wire_get_array(entry, 3, 3, e) < 0 ||
		    wire_get_text(&entry->via.array.ptr[0], 0, time[i].stage, sizeof time[i].stage,
				  e) < 0 ||
		    wire_get_int(&entry->via.array.ptr[1], INT64_MIN, INT64_MAX, &time[i].start_ns,
				 e) < 0 ||
		    wire_get_int(&entry->via.array.ptr[2], INT64_MIN, INT64_MAX,
				 &time[i].duration_ns, e) < 0)
			return -1;
	}
	return n;
}

static int get_meta_value(const msgpack_object *o, struct meta_item *item, struct err *e)
{
	switch (o->type) {
	case MSGPACK_OBJECT_STR:
		item->kind = META_TEXT;
		return wire_get_text(o, 0, item->as.text, sizeof item->as.text, e);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		item->kind = META_INT;
		return wire_get_int(o, INT64_MIN, INT64_MAX, &item->as.integer, e);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		item->kind = META_REAL;
		item->as.real = o->via.f64;
		return isfinite(o->via.f64) ? 0 : err_set(e, "not a finite number");
	default:
		return err_set(e, "neither text nor a number");
	}
}

static int get_meta(const msgpack_object *o, struct meta_item *item, struct err *e)
{
	if (o->type != MSGPACK_OBJECT_MAP)
		return err_set(e, "not a map");
	if (o->via.map.size > FRAME_META_MAX)
		return err_set(e, "more than %d items", FRAME_META_MAX);
	int n = (int)o->via.map.size;
	for (int i = 0; i < n; i++) {
		const msgpack_object_kv *pair = &o->via.map.ptr[i];
		if (wire_get_text(&pair->key, 0, item[i].key, sizeof item[i].key, e) < 0)
			return err_at(e, "a key");
		for (int j = 0; j < i; j++)
			if (strcmp(item[i].key, item[j].key) == 0)
				return err_set(e, "'%s' twice", item[i].key);
		if (get_meta_value(&pair->val, &item[i], e) < 0)
			return err_at(e, "'%s'", item[i].key);
	}
	return n;
}

static int get_map(const msgpack_object *o, struct section *sections, int count,
		   enum message_kind kind, struct err *e);

static int get_totals(const msgpack_object *o, struct message_total *total, struct err *e)
{
	int n = wire_get_array(o, 0, WIRE_TOTALS_MAX, e);

	for (int i = 0; i < n; i++) {
		struct section s = { wire_total_rows, &total[i], 0, 0, { 0, 0 } };
		memset(&total[i], 0, sizeof total[i]);
		if (get_map(&o->via.array.ptr[i], &s, 1, MESSAGE_UNKNOWN, e) < 0)
			return -1;
	}
	return n;
}

static int get_list(const msgpack_object *o, const struct wire_row *r, void *base, struct err *e)
{
	void *at = (char *)base + r->offset;
	int n = r->type == WIRE_SHAPE    ? get_shape(o, r, (void *)((char *)base + r->count), e)
		: r->type == WIRE_RANGES ? get_ranges(o, r, at, e)
		: r->type == WIRE_TIMES  ? get_times(o, at, e)
		: r->type == WIRE_META   ? get_meta(o, at, e)
					 : get_totals(o, at, e);

	if (n < 0)
		return -1;
	memcpy((char *)base + (r->type == WIRE_SHAPE ? r->offset : r->count), &n, sizeof n);
	return 0;
}

static void store(const struct wire_row *r, void *base, uint64_t value)
{
	char *at = (char *)base + r->offset;
	uint32_t narrow = (uint32_t)value;

	if (r->width == sizeof value)
		memcpy(at, &value, sizeof value);
	else
		memcpy(at, &narrow, sizeof narrow);
}

static int get_number(const msgpack_object *o, const struct wire_row *r, void *base, struct err *e)
{
	uint64_t value = 0;
	int64_t with_sign = 0;

	if (r->type == WIRE_INT) {
		if (wire_get_int(o, r->least, (int64_t)r->most, &with_sign, e) < 0)
			return -1;
		value = (uint64_t)with_sign;
	} else if (r->type == WIRE_WORD) {
		if (wire_get_word(o, r->words, r->other, &value, e) < 0)
			return -1;
	} else if (wire_get_uint(o, (uint64_t)r->least, r->most, &value, e) < 0) {
		return -1;
	}
	store(r, base, value);
	return 0;
}

static int get_status(const msgpack_object *o, struct message *m, struct err *e)
{
	uint64_t status = 0;

	if (wire_get_word(o, wire_statuses, -1, &status, e) < 0)
		return -1;
	m->dropped = status == WIRE_STATUS_DROP;
	m->frame->status = m->dropped ? FRAME_ERROR : (enum frame_status)status;
	return 0;
}

static int get_wants(const msgpack_object *o, void *at, struct err *e)
{
	struct section wants = { wire_wants_rows, at, 0, 0, { 0, 0 } };

	return get_map(o, &wants, 1, MESSAGE_UNKNOWN, e);
}

static int get_value(const msgpack_object *o, const struct wire_row *r, void *base, struct err *e)
{
	void *at = (char *)base + r->offset;
	struct message *m = base;

	switch (r->type) {
	case WIRE_UINT:
	case WIRE_INT:
	case WIRE_WORD:
		return get_number(o, r, base, e);
	case WIRE_BOOL:
		if (o->type != MSGPACK_OBJECT_BOOLEAN)
			return err_set(e, "neither true nor false");
		*(bool *)at = o->via.boolean;
		return 0;
	case WIRE_TEXT:
		return wire_get_text(o, (size_t)r->least, at, r->most, e);
	case WIRE_ID:
		if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != r->most)
			return err_set(e, "not %llu bytes of bin", (unsigned long long)r->most);
		memcpy(at, o->via.bin.ptr, r->most);
		return 0;
	case WIRE_KIND: /* it was read first: it says which keys there are */
		return 0;
	case WIRE_WANTS:
		return get_wants(o, at, e);
	case WIRE_STATUS:
		return get_status(o, m, e);
	case WIRE_SIZE:
		m->has_payload = true;
		return wire_get_uint(o, 0, r->most, &m->payload_size, e);
	default:
		return get_list(o, r, base, e);
	}
}

static const struct wire_row *find_in(struct section *s, uint64_t rows, const msgpack_object *key)
{
	for (int i; (i = wire_set_next(&rows)) >= 0;)
		if (wire_is_text(key, s->rows[i].key, s->rows[i].key_size)) {
			s->left = s->set.rows & (~(uint64_t)1 << i);
			return &s->rows[i];
		}
	return NULL;
}

/* The row of a key, or NULL. Looks from where the last search ended: in *at, behind the row that was found. */
static const struct wire_row *find(struct section *sections, int count, int *at,
				   const msgpack_object *key)
{
	for (int i = 0; i < count; i++, *at = (*at + 1) % count) {
		struct section *s = &sections[*at];
		const struct wire_row *r = find_in(s, s->left, key);
		if (!r)
			r = find_in(s, s->set.rows & ~s->left, key);
		if (r)
			return r;
	}
	return NULL;
}

static int get_pair(const msgpack_object_kv *pair, struct section *sections, int count, int *at,
		    struct err *e)
{
	if (pair->key.type != MSGPACK_OBJECT_STR)
		return err_set(e, "a key that is not text");
	const struct wire_row *r = find(sections, count, at, &pair->key);
	if (!r)
		return 0;
	struct section *s = &sections[*at];
	uint64_t bit = (uint64_t)1 << (r - s->rows);
	if (s->seen & bit)
		return err_set(e, "'%s' twice", r->key);
	s->seen |= bit;
	if (get_value(&pair->val, r, s->base, e) < 0)
		return err_at(e, "'%s'", r->key);
	return 0;
}

static int get_map(const msgpack_object *o, struct section *sections, int count,
		   enum message_kind kind, struct err *e)
{
	if (o->type != MSGPACK_OBJECT_MAP)
		return err_set(e, "not a map");
	for (int i = 0; i < count; i++) {
		sections[i].set = wire_set_of(sections[i].rows, kind);
		sections[i].left = sections[i].set.rows;
	}
	int at = 0;
	for (uint32_t i = 0; i < o->via.map.size; i++)
		if (get_pair(&o->via.map.ptr[i], sections, count, &at, e) < 0)
			return -1;
	for (int i = 0; i < count; i++) {
		uint64_t missing = sections[i].set.required & ~sections[i].seen;
		if (missing)
			return err_set(e, "'%s' is missing",
				       sections[i].rows[wire_set_next(&missing)].key);
	}
	return 0;
}

/* The value of a key of the header, NULL if there is none, -1 if there are two. */
static int lookup(const msgpack_object *header, const char *key, const msgpack_object **value,
		  struct err *e)
{
	size_t size = strlen(key);

	*value = NULL;
	for (uint32_t i = 0; i < header->via.map.size; i++) {
		if (!wire_is_text(&header->via.map.ptr[i].key, key, size))
			continue;
		if (*value)
			return err_set(e, "'%s' twice", key);
		*value = &header->via.map.ptr[i].val;
	}
	return 0;
}

static int get_kind(const msgpack_object *header, enum message_kind *kind, struct err *e)
{
	const msgpack_object *value;
	uint64_t word = 0;

	if (header->type != MSGPACK_OBJECT_MAP)
		return err_set(e, "the header is not a map");
	if (lookup(header, "kind", &value, e) < 0)
		return -1;
	if (!value)
		return err_set(e, "'kind' is missing");
	if (wire_get_word(value, wire_kinds, MESSAGE_UNKNOWN, &word, e) < 0)
		return err_at(e, "'kind'");
	*kind = (enum message_kind)word;
	return 0;
}

/* A greeting of another version is read only as far as it takes to answer it. */
static int get_version(const msgpack_object *header, struct message *m, bool *other, struct err *e)
{
	const msgpack_object *value, *stage;
	uint64_t version = 0;

	*other = false;
	if (m->kind != MESSAGE_HELLO && m->kind != MESSAGE_WELCOME)
		return 0;
	if (lookup(header, "version", &value, e) < 0 || lookup(header, "stage", &stage, e) < 0)
		return -1;
	if (!value)
		return err_set(e, "'version' is missing");
	if (wire_get_uint(value, 1, UINT32_MAX, &version, e) < 0)
		return err_at(e, "'version'");
	m->as.hello.version = (uint32_t)version;
	*other = version != WIRE_VERSION;
	if (*other &&
	    (!stage || wire_get_text(stage, 1, m->as.hello.stage, WIRE_NAME_MAX, NULL) < 0))
		strcpy(m->as.hello.stage, "somebody");
	return 0;
}

/* A message of the future is skipped, but it is a sign of life in its session. */
static int get_stranger(const msgpack_object *header, struct message *m, struct err *e)
{
	const msgpack_object *session;

	if (lookup(header, "session", &session, e) < 0)
		return -1;
	if (session && wire_get_uint(session, 0, UINT64_MAX, &m->session, NULL) < 0)
		m->session = 0;
	return 0;
}

static int get_header(const msgpack_object *header, struct message *m, struct err *e)
{
	struct section sections[2] = { { wire_message_rows, m, 0, 0, { 0, 0 } } };
	bool other_version;

	if (get_kind(header, &m->kind, e) < 0)
		return -1;
	if (m->kind == MESSAGE_UNKNOWN)
		return get_stranger(header, m, e);
	if (get_version(header, m, &other_version, e) < 0)
		return -1;
	if (other_version)
		return 0;
	if (m->kind == MESSAGE_FRAME) {
		m->frame = frame_new();
		if (!m->frame)
			return err_code(e, EX_TEMPFAIL, "no memory for a frame");
		sections[1] = (struct section){ wire_frame_rows, m->frame, 0, 0, { 0, 0 } };
	}
	if (get_map(header, sections, m->frame ? 2 : 1, m->kind, e) < 0)
		return -1;
	return m->frame ? wire_check_frame(m, e) : 0;
}

int wire_decode(const void *bytes, size_t size, struct message *m, struct err *e)
{
	msgpack_zone zone;
	msgpack_object header;
	size_t offset = 0;
	int result = -1;

	memset(m, 0, sizeof *m);
	if (size > WIRE_HEADER_MAX)
		return err_set(e, "a header of %zu bytes, at most %d are allowed", size,
			       WIRE_HEADER_MAX);
	if (wire_scan(bytes, size, WIRE_DEPTH_MAX, e) < 0)
		return -1;
	if (!msgpack_zone_init(&zone, ZONE_BYTES))
		return err_code(e, EX_TEMPFAIL, "no memory for a header");
	/* It is well-formed: what fails now is memory, also where msgpack-c calls that a parse error. */
	if (msgpack_unpack(bytes, size, &offset, &zone, &header) != MSGPACK_UNPACK_SUCCESS)
		err_code(e, EX_TEMPFAIL, "no memory for a header");
	else
		result = get_header(&header, m, e);
	msgpack_zone_destroy(&zone);
	if (result < 0) {
		if (m->kind != MESSAGE_UNKNOWN)
			err_at(e, "%s", message_kind_name(m->kind));
		message_clear(m);
	}
	return result;
}
