/* A frame: one part on its way through the line, first as pixels, then as the network's input, then
 * as scores. An open struct, because it is data; stages pass on what they do not know.
 *
 * The key (source, run, seq) names a part for ever: two frames with the same key are the same part.
 */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"
#include "common/err.h"

#define FRAME_SOURCE_MAX 64 /* bytes with the NUL */
#define FRAME_REASON_MAX 256
#define FRAME_RANK_MAX 8
#define FRAME_META_MAX 32 /* items */
#define FRAME_META_KEY_MAX 32
#define FRAME_META_TEXT_MAX 256
#define FRAME_TIMES_MAX 8
#define FRAME_STAGE_MAX 16
#define FRAME_PAYLOAD_MAX ((size_t)1 << 30) /* no frame is ever larger: sides are at most 16384 */

/* Element types. The numbers are those of ONNX's TensorProto.DataType. */
enum dtype {
	DTYPE_NONE = 0,
	DTYPE_F32 = 1,
	DTYPE_U8 = 2,
	DTYPE_I8 = 3,
	DTYPE_U16 = 4,
	DTYPE_I16 = 5,
	DTYPE_I32 = 6,
	DTYPE_I64 = 7,
	DTYPE_BOOL = 9,
	DTYPE_F16 = 10,
	DTYPE_F64 = 11,
};

size_t dtype_size(enum dtype t);                  /* bytes per element; 0: no such type */
const char *dtype_name(enum dtype t);             /* "f32", "u8", …; "?" if there is none */
int dtype_parse(enum dtype *t, const char *name); /* 0, or -1 */

enum frame_kind {
	FRAME_IMAGE,  /* shape {height, width, channels}, u8 or u16 (native endian), rows without
			 gaps;  channels 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA, alpha not
			 premultiplied */
	FRAME_TENSOR, /* network input, shape with batch 1, in the layout that its recipe names */
	FRAME_SCORES, /* shape {classes}, f32 */
};

enum frame_status {
	FRAME_OK,
	FRAME_ERROR, /* the part could not be judged; reason says why; no payload needed */
	FRAME_DEAD,  /* killed max-tries workers: a tombstone, reason says so */
};

enum meta_kind { META_TEXT, META_INT, META_REAL };

struct meta_item {
	char key[FRAME_META_KEY_MAX];
	enum meta_kind kind;
	union {
		char text[FRAME_META_TEXT_MAX];
		int64_t integer;
		double real;
	} as;
};

/* How long a stage worked on the frame: start in ns since the epoch, and duration in ns. */
struct frame_time {
	char stage[FRAME_STAGE_MAX];
	int64_t start_ns, duration_ns;
};

struct frame {
	char source[FRAME_SOURCE_MAX];
	uint64_t
	    run; /* content id of a recorded source, counter of a live one; at most INT64_MAX */
	uint64_t seq; /* from 0 */
	int try;      /* how many workers died over it, on all links so far */
	enum frame_status status;
	char reason[FRAME_REASON_MAX]; /* "" unless status says otherwise */

	enum frame_kind kind;
	enum dtype dtype;
	int rank;
	int64_t shape[FRAME_RANK_MAX];
	struct buffer *payload; /* the frame's own reference, or NULL */

	int64_t captured_ns; /* CLOCK_REALTIME when the picture was there */
	int time_count;
	struct frame_time time[FRAME_TIMES_MAX];
	int meta_count;
	struct meta_item meta[FRAME_META_MAX];

	void *origin; /* the link's: which delivery this frame answers; others leave it alone */
};

/* All zeroes, status ok, no meta (nor is its room cleared); NULL when memory is short. */
struct frame *frame_new(void);
void frame_free(
    struct frame **f); /* drops the payload's reference; leaves NULL; takes NULL inside */

/* Bytes that dtype and shape ask for; -1 with *e if a side is negative or the product exceeds
 * FRAME_PAYLOAD_MAX. */
int frame_bytes(const struct frame *f, size_t *bytes, struct err *e);

/* Set shape, dtype and a fresh payload of the right size (the old one is dropped). */
int frame_shape(struct frame *f, enum frame_kind kind, enum dtype dtype, int rank,
		const int64_t *shape, struct err *e);

/* Turn the frame into an error row: status, reason, no payload. */
void frame_fail(struct frame *f, const struct err *why);

/* Meta: setting replaces; a full map or a key that is too long is ignored and -1 comes back; text
 * is made printable and cut at FRAME_META_TEXT_MAX. Getting gives NULL, or the fallback, if it is
 * missing. */
int frame_meta_text(struct frame *f, const char *key, const char *text);
int frame_meta_int(struct frame *f, const char *key, int64_t value);
int frame_meta_real(struct frame *f, const char *key, double value);
const struct meta_item *frame_meta(const struct frame *f, const char *key);
const char *frame_text(const struct frame *f, const char *key); /* NULL unless it is text */

/* Note a stage's work; ignored when the list is full. */
void frame_timed(struct frame *f, const char *stage, int64_t start_ns, int64_t duration_ns);

/* Clocks: since the epoch (may jump), and monotonic (for every timer). */
int64_t clock_real_ns(void);
int64_t clock_mono_ns(void);

#endif
