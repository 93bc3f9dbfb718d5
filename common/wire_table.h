/* Which keys a header of each kind has: one table for encoding, decoding and their refusals, so
 * that they cannot disagree. Only wire*.c include this. */
#ifndef COMMON_WIRE_TABLE_H
#define COMMON_WIRE_TABLE_H

#include "common/wire.h"

enum wire_type {
	WIRE_UINT,   /* uint64_t, or uint32_t by width, in [least, most] */
	WIRE_INT,    /* int64_t, or int by width, in [least, most] */
	WIRE_BOOL,   /* bool */
	WIRE_TEXT,   /* char[most], at least `least` bytes before the NUL */
	WIRE_WORD,   /* an enum, as one of words[] */
	WIRE_ID,     /* uint8_t[most], a bin */
	WIRE_SHAPE,  /* at offset int rank, at count int64_t[]; sides in [least, most] */
	WIRE_RANGES, /* at offset message_range[], at count int count; at least `least` */
	WIRE_WANTS,  /* struct wants, a map */
	WIRE_TOTALS, /* at offset message_total[], at count int count */
	WIRE_TIMES,  /* at offset frame_time[], at count int time_count */
	WIRE_META,   /* at offset meta_item[], at count int meta_count */
	WIRE_KIND,   /* of struct message: the first to be read */
	WIRE_STATUS, /* of struct message: frame->status and dropped */
	WIRE_SIZE,   /* of struct message: has_payload and payload_size */
};

struct wire_row {
	const char *key; /* NULL ends a table */
	size_t key_size;
	enum wire_type type;
	bool required;  /* others are left out when they are 0, false or "" */
	uint32_t kinds; /* bit per message_kind */
	size_t offset, count;
	size_t width; /* bytes of the number there */
	int64_t least;
	uint64_t most;
	const char *const *words; /* by value; NULL ends, "" is not said */
	int other;                /* value for a word that we do not know, -1: refuse */
};

extern const char *const wire_kinds[];
extern const char *const wire_statuses[]; /* by frame_status; then "drop" */
#define WIRE_STATUS_DROP (FRAME_DEAD + 1)

extern const struct wire_row wire_message_rows[]; /* of struct message */
extern const struct wire_row wire_frame_rows[];   /* of struct frame */
extern const struct wire_row wire_wants_rows[];   /* of struct wants */
extern const struct wire_row wire_total_rows[];   /* of struct message_total */
extern const int wire_list_most[];                /* items, by wire_type */

/* The rows of one of these tables that a header of this kind has, a bit each. */
struct wire_set {
	uint64_t rows, required;
};
struct wire_set wire_set_of(const struct wire_row *rows, enum message_kind kind);

/* The lowest, taken out; -1: none is left. */
static inline int wire_set_next(uint64_t *set)
{
	if (*set == 0)
		return -1;
	int i = __builtin_ctzll(*set);
	*set &= *set - 1;
	return i;
}

int wire_row_count(const struct wire_row *r, const void *base); /* of a list: its items */

/* Only printable ASCII, which needs no cleaning? */
bool wire_plain(const char *text, size_t size);

/* What a FRAME must hold beyond the bounds of each key. 0, or -1 with *e. */
int wire_check_frame(const struct message *m, struct err *e);

#endif
