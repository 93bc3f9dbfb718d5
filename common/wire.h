/* Messages of the link as bytes: MessagePack headers (common/PROTOCOL.md). A message is a header
 * and, for a FRAME that has one, a payload in a second part that this module never touches. */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"

#define WIRE_VERSION 1
#define WIRE_HEADER_MAX 4096 /* bytes of an encoded header */
#define WIRE_DEPTH_MAX 4
#define WIRE_NAME_MAX 64 /* bytes with the NUL, as all of these */
#define WIRE_RECIPE_MAX 1024
#define WIRE_TEXT_MAX 2560 /* room for a sentence with two recipes in it */
#define WIRE_RANGES_MAX 64
#define WIRE_TOTALS_MAX 16

/* Who says it: S the side that sends frames, R the one that receives them; C connects, B binds. */
enum message_kind {
	MESSAGE_UNKNOWN = 0, /* well-formed, of a kind of the future: skip it */
	MESSAGE_HELLO,       /* C to B: hello, no session yet */
	MESSAGE_WELCOME,     /* B to C: hello, and the new session's id */
	MESSAGE_REJECT, /* B to C, instead of WELCOME, or when a session is not known: code, text */
	MESSAGE_CREDIT, /* R to S: upto */
	MESSAGE_FRAME,  /* S to R: link_seq, frame, and last if it is a drop */
	MESSAGE_WORK,   /* R to S: link_seq of a frame that is being worked on from now on */
	MESSAGE_ACK,    /* R to S: ranges of link_seq that are durable */
	MESSAGE_NAK,    /* R to S: link_seq, code, text */
	MESSAGE_PING,   /* both ways, life: after a beat of silence, and to ask for PONG */
	MESSAGE_PONG,   /* answer to PING: life */
	MESSAGE_EOS,    /* S to R: eos */
	MESSAGE_EOS_ACK, /* R to S: eos.id */
	MESSAGE_BYE,     /* both ways, last word of a session: code, text; from R the ranges of
			    link_seq that it has not started */
};

enum message_code {
	CODE_NONE = 0,
	CODE_VERSION, /* REJECT: protocol version not spoken here; for ever */
	CODE_WANTS,   /* REJECT, BYE: wants contradict those of another receiver; for ever */
	CODE_ROLE,    /* REJECT: two senders or two receivers talk to each other; for ever */
	CODE_SESSION, /* REJECT: no such session here, say HELLO (again) */
	CODE_BUSY,    /* REJECT, NAK: not now, try again later or elsewhere */
	CODE_BAD,     /* REJECT, NAK: the message cannot be used, now or ever */
	CODE_DONE,    /* BYE: stream over, all acknowledged */
	CODE_LEAVING, /* BYE: this process was asked to stop and goes; others may go on */
};

/* An observer only looks: it is told the state, and given copies of frames under its credit. */
enum message_role { ROLE_SENDER, ROLE_RECEIVER, ROLE_OBSERVER };

/* What a receiver needs of the frames it gets: travels upstream when the link comes up. */
struct wants {
	char recipe[WIRE_RECIPE_MAX]; /* canonical recipe (common/recipe.h), or "" for any */
	enum dtype dtype;             /* DTYPE_NONE for any */
	int rank; /* of the tensor, 0 for any; a dimension of -1 takes any size */
	int64_t shape[FRAME_RANK_MAX];
	bool samples; /* u8 samples will do as well: it does the recipe's scale, mean and std */
};

struct message_hello {
	uint32_t version;
	enum message_role role; /* of the one who says it */
	char stage[WIRE_NAME_MAX];
	char worker[WIRE_NAME_MAX]; /* "host/pid" */
	uint8_t instance[16];       /* random, one per process */
	struct wants wants;         /* of a receiver; a sender leaves it all zero */
	uint64_t max_frame;         /* largest payload it takes, bytes */
	uint32_t heartbeat_ms;      /* how often it lets itself be heard at least */
};

struct message_range {
	uint64_t first, last; /* both included, first <= last */
};

/* What is known of one (source, run). */
struct message_total {
	char source[FRAME_SOURCE_MAX];
	uint64_t run;
	bool ended;     /* the source has said all: numbers are final and every frame is durable */
	uint64_t first; /* lowest seq */
	uint64_t
	    emitted; /* seqs first … first + emitted - 1 exist, dropped and dead ones included */
	uint64_t dropped;
	uint64_t dead;     /* became tombstones */
	uint64_t expected; /* announced total, 0 if unknown */
};

/* Totals are told as soon as they are known (announced, ended) and end the session at last. A list
 * longer than WIRE_TOTALS_MAX goes as several messages with the same id, all but the last with
 * more set; ids of a session only grow. */
struct message_eos {
	uint64_t id;
	bool more;
	bool end; /* no frame follows in this session */
	int count;
	struct message_total total[WIRE_TOTALS_MAX]; /* EOS_ACK leaves it empty */
};

struct message_state {
	char state[16];   /* "idle", "busy", "draining", "orphan": nothing is upstream of it */
	uint64_t queued;  /* frames that wait here: received and not begun, or not sent on yet */
	uint64_t unacked; /* sent on and not acknowledged */
	uint64_t in, out, ignored;
	uint64_t busy_ms;  /* how long it has worked on the present frame, 0 if idle */
	uint64_t up, down; /* neighbours in session */
	uint64_t alone_ms; /* how long one side that it needs has had nobody, 0: it has */
	uint64_t resent, duplicates, malformed;
};

struct message {
	enum message_kind kind;
	uint64_t session;  /* 0 only in HELLO, and in a REJECT that answers a HELLO */
	uint64_t link_seq; /* FRAME, WORK, NAK: number of the delivery in this session, from 1 */
	uint64_t first; /* WORK: begun and not finished are first … link_seq; 0: link_seq alone */
	uint64_t upto;  /* CREDIT: deliveries 1 … upto of this session have room */
	enum message_code code; /* REJECT, NAK, BYE */

	/* FRAME. Encoding borrows it; decoding makes a new one (payload NULL) that belongs to the
	 * message until the caller takes it and sets NULL here. */
	struct frame *frame;
	bool has_payload;      /* a second part follows */
	uint64_t payload_size; /* its bytes; must be dtype x shape when a shape is given */
	bool dropped; /* not a picture: seqs frame->seq … last were lost, frame->reason says
			 why */
	uint64_t last;
	uint64_t passed; /* to an observer: the how manieth that passes here in this process */

	union {
		struct message_hello hello; /* HELLO, WELCOME */
		char text[WIRE_TEXT_MAX];   /* REJECT, NAK: a sentence, or "" */
		struct {
			int count; /* ACK: at least 1 */
			struct message_range range[WIRE_RANGES_MAX];
			char text[FRAME_REASON_MAX]; /* BYE only */
		} ranges;                            /* ACK, BYE */
		struct message_eos eos;              /* EOS, EOS_ACK */
		struct message_state state;          /* PING, PONG */
	} as;
};

/* Header bytes of m into out: their number, or -1 with *e if it has a field out of bounds or would
 * take more than size bytes. Nothing is ever cut. Borrows all of m; never looks at the payload's
 * bytes. The same message always gives the same bytes. */
int wire_encode(const struct message *m, uint8_t *out, size_t size, struct err *e);

/* At least as many bytes as a FRAME header of f can take, whatever session and link_seq: what is
 * at most WIRE_HEADER_MAX by this count is sure to be encoded. Cheap. A frame that exceeds it must
 * become an error row with less meta before it is sent; it must never be lost. */
size_t wire_frame_bound(const struct frame *f);

/* Believe nothing: m is filled only from bytes that are exactly one well-formed header, with every
 * key known at most once, of the right type, in its bounds; text printable (err_clean). Unknown
 * keys are skipped, an unknown kind gives MESSAGE_UNKNOWN. 0, or -1 with *e (code EX_TEMPFAIL: memory
 * was short; what came may be good), and then nothing in m needs freeing. After 0 the caller calls message_clear. */
int wire_decode(const void *bytes, size_t size, struct message *m, struct err *e);

/* Does a second part of size bytes (SIZE_MAX: there was none) agree with the FRAME's header: its
 * own length field, and for a frame of status ok dtype x shape by checked multiplication? 0 or -1
 * with *e. */
int wire_check_payload(const struct message *m, size_t size, struct err *e);

/* Free what decoding made (the frame, if it is still here). m itself is the caller's. */
void message_clear(struct message *m);

const char *message_kind_name(enum message_kind kind); /* "HELLO"; "?" if there is none */

#endif
