/* A FRAME as it goes over the wire, in a file: for pictures that wait in a spool and for frames that
 * no worker survived. Layout in PROTOCOL.md. Whoever reads one believes nothing. */
#ifndef COMMON_ENVELOPE_H
#define COMMON_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"

#define ENVELOPE_MAGIC "ANDON F\n"
#define ENVELOPE_HEAD 40 /* bytes before the header */
#define ENVELOPE_MARK 12 /* where the mark stands: four bytes that no checksum covers */
#define ENVELOPE_MOST (ENVELOPE_HEAD + WIRE_HEADER_MAX)

/* Sizes that a head claims. */
struct envelope {
	size_t header, payload;
};

/* Head and header of frame f with this payload (whatever f->payload is), or of a drop up to last.
 * The payload is to follow them. Their size, or -1 with *e. */
int envelope_write(const struct frame *f, const void *payload, size_t size, bool dropped,
		   uint64_t last, uint8_t out[ENVELOPE_MOST], struct err *e);

/* Is this the head of one, as far as it can be told? bytes: ENVELOPE_HEAD of them. */
bool envelope_head(const uint8_t *bytes, struct envelope *x);

/* Read head and header, which are bytes[0, ENVELOPE_HEAD + x->header): 0 and a message whose frame
 * has no payload yet (message_clear it), or -1 with *e. */
int envelope_header(const uint8_t *bytes, const struct envelope *x, struct message *m,
		    struct err *e);

/* Are these the payload's bytes? bytes: as given to envelope_header. */
bool envelope_payload(const uint8_t *bytes, const void *payload, size_t size);

#endif
