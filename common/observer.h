/* The side of one who only looks at a stage (andon ping, andon tap): no stage of its own, no thread,
 * no place in the books. See "Observers" in PROTOCOL.md. */
#ifndef COMMON_OBSERVER_H
#define COMMON_OBSERVER_H

#include <stdint.h>

#include "common/address.h"
#include "common/curve.h"
#include "common/err.h"
#include "common/option.h"
#include "common/wire.h"

struct observer;

/* Rows of its table of options, for curve_options. */
/* clang-format off */
#define OBSERVER_OPTIONS(keys, insecure)                                                           \
	{ "keys", 0, OPTION_TEXT, "DIR", keys,                                                     \
	  "this machine's keys, of which the stage must know (andon keygen)", 0, 0 },              \
	{ "insecure", 0, OPTION_FLAG, NULL, insecure, "allow plain tcp beyond this machine", 0, 0 }
/* clang-format on */

/* Its operand: where to look. -1 with *e, also if it is to be bound. */
int observer_address(struct address *at, const char *text, const char *name, struct err *e);

/* name: of the tool, for the other side's eyes. The address, and the keys (NULL: none), are borrowed.
 * NULL with *e. */
struct observer *observer_open(struct address *at, const char *name, struct curve *keys,
			       bool insecure, struct err *e);
void observer_close(struct observer **o); /* says BYE; leaves NULL; takes NULL inside */

enum observer_news {
	OBSERVER_NONE,    /* nothing until the deadline */
	OBSERVER_WELCOME, /* *m is the stage's; from now on observer_say is heard */
	OBSERVER_MESSAGE, /* *m is PONG, FRAME (with its payload) or BYE; message_clear is due */
	OBSERVER_GONE,    /* the session is over: another is asked for by itself */
	OBSERVER_REFUSED, /* and always will be: *e says why, code EX_PROTOCOL */
};

/* Wait for news, at most until deadline (monotonic ns). Greets, greets again, and beats meanwhile. */
enum observer_news observer_wait(struct observer *o, struct message *m, int64_t deadline,
				 struct err *e);

/* PING, or CREDIT up to. */
void observer_say(struct observer *o, enum message_kind kind, uint64_t upto);

/* Why it was put off so far: EX_UNAVAILABLE ("8 observers look already"), or EX_PROTOCOL for a greeting that
 * was broken off without a reason. (Of two sides with different mechanisms only the one that reads the
 * other's first learns why; which one, is chance.) False if nobody said anything. */
bool observer_put_off(const struct observer *o, struct err *e);

#endif
