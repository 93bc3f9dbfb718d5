/* The link's I/O: sockets, and a thread that looks after them while the stage works. Only its files know ZeroMQ. */
#ifndef COMMON_LINK_H
#define COMMON_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/address.h"
#include "common/curve.h"
#include "common/link_core.h"
#include "common/mailbox.h"

struct link;

struct link_setup {
	struct link_core_config core;
	struct address *in, *out; /* borrowed until link_close; locks are taken and released */
	struct address *status;   /* bound for observers alone */
	size_t in_count, out_count, status_count;
	bool replaced; /* a parent starts another in our place if we are killed */
	int in_fd;     /* addresses of upstreams arrive here, one a line; -1: none */
	int reader_fd; /* our address was printed here: nobody reads it any more when it errs; -1 */
	/* A frame is given up for a tombstone (inside the link, which must not wait for long); may
	 * be NULL. */
	void (*buried)(void *context, const struct frame *f, const char *reason);
	void *buried_context;
	int64_t drain_ns;    /* how long SIGTERM leaves us to drain; 0: for ever */
	bool leaves;         /* SIGTERM: hand back what was not begun and go (else: drain) */
	struct curve *curve; /* keys for tcp, borrowed until link_close; NULL: plain */
	bool insecure;       /* plain tcp may leave this machine */
};

/* Bind and connect, start the thread. Everything else goes through the mailbox, which must be open
 * and outlive the link. NULL with *e. */
struct link *link_open(const struct link_setup *setup, struct mailbox *box, struct err *e);

/* For the stage's thread; the mailbox's lock is held before and after, and let go meanwhile. Sleep until
 * the link has something for it, fd (or -1) is readable, or deadline (monotonic ns, INT64_MAX: never) has
 * come; true if fd is readable. And: have the commands run that were left, without waiting for that. */
bool link_sleep(struct link *l, int fd, int64_t deadline);
void link_ring(struct link *l);

/* Close the sockets; the last messages have a second to leave. counts (may be NULL) is filled. */
void link_close(struct link **l, struct link_core_counts *counts);

/* From now on SIGHUP is not the end, unless it says that the terminal is gone: keys are read again,
 * and the stage is told (box->hung_up). link_open does it too. */
bool link_on_terminal(void);
void link_catch_hangups(void);

#endif
