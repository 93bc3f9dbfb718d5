/* What the link decides, without doing any of it: (state, event, now) -> actions. No I/O, no clock,
 * no randomness, no thread in here, so that a simulator can drive it through a hundred thousand
 * misfortunes (tests/sim). common/link.c is the shell that owns sockets and threads.
 *
 * Vocabulary. An endpoint is an address; we bind it (many peers come) or connect to it (one peer).
 * Upstream endpoints bring frames, downstream ones take them. A session begins with WELCOME and
 * ends when either side thinks the other is gone. A delivery is a frame that we received and owe an
 * acknowledgement for. A parcel is a frame that we sent, or will, and keep until it is acknowledged.
 *
 * Credit. What a receiver grants is room in its receive queue, not a limit on what is
 * unacknowledged: it moves on when the stage hands a frame on (a stage that pushes) or takes it out
 * of the queue (a sink), never at the acknowledgement. Were it the acknowledgement, a worker with
 * a window of four would stand still for each group commit of a sink three hops away. What bounds
 * memory is the sender's: it keeps at most `retain_frames` and `retain_bytes` unacknowledged, and
 * since every frame in flight is also retained by the stage before, the source's limit bounds the
 * whole line. That a pushing stage frees room only when it has handed its result on is what makes
 * dispatch fair: a slow worker's queue stays full and the most free credit is with the quick ones.
 *
 * End of stream. Totals of (source, run) travel in EOS and are acknowledged from the far end back:
 * a stage acknowledges its upstream's only when its own downstream has acknowledged what includes
 * them. A source says "ended" only when nothing of it is unacknowledged, so a (source, run) known to
 * have ended is durable as a whole, and whoever is sent one of its frames again may acknowledge it
 * at once. That is how a source that is killed between its last frame and its end comes to rest
 * even when the stages after it have already closed. */
#ifndef COMMON_LINK_CORE_H
#define COMMON_LINK_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"

#define LINK_CORE_MALFORMED_MAX 16

struct link_core;
struct delivery;

struct link_core_config {
	bool pulls, pushes;
	bool more_upstreams;       /* addresses may still arrive (stdin) */
	struct message_hello self; /* version and role are filled in */
	uint64_t seed;       /* session ids come from it: must differ from process to process */
	int window;          /* frames granted to each upstream; 0: from the frames' size */
	size_t retain_bytes; /* unacknowledged payload kept, one frame at least */
	int retain_frames;
	int max_tries;   /* workers that may die over a frame; 0: any number */
	int64_t work_ns; /* a receiver that says it works on a frame for longer is hung; 0: never */
	int64_t
	    orphan_ns;    /* how long without any neighbour on a side that is needed; 0: for ever */
	int64_t grace_ns; /* how long the end of stream waits for one that may come back */
};

/* What the shell must do. Called from inside the events below; must not call back into the core. */
struct link_core_actions {
	/* Borrows all of *m. */
	void (*send)(void *context, int peer, const struct message *m);
	/* The peer of a connected endpoint starts afresh: new socket, what was queued is dropped. */
	void (*reset)(void *context, int peer);
	/* The peer's number will be used again; a connected endpoint is closed for good. */
	void (*forget)(void *context, int peer);
	/* A frame for the stage, who owns it now and gives it back with its origin. */
	void (*deliver)(void *context, struct frame *f);
	/* Our own frame (one without origin), or our drop that begins with seq, is durable. */
	void (*acked)(void *context, const char *source, uint64_t run, uint64_t seq);
	/* A downstream has said what it wants (the first time). */
	void (*wanted)(void *context, const struct wants *wants);
	/* Too many workers died over f: a tombstone will go on in its place, with this reason. Called
	 * before that, f still whole. */
	void (*buried)(void *context, const struct frame *f, const char *reason);
	/* Frames f->seq … last are lost upstream (only told to a stage that does not push): durable
	 * when link_core_done is called with f's origin. Borrows f. */
	void (*dropped)(void *context, const struct frame *f, uint64_t last);
	/* A total is new or has changed. */
	void (*total)(void *context, const struct message_total *total);
	/* All upstreams have ended and every frame was delivered. */
	void (*ended)(void *context);
	/* Closing is complete. */
	void (*finished)(void *context);
	/* The link cannot go on. */
	void (*broken)(void *context, int code, const char *text);
	/* severity as in log.h: 0 warning, 1 info, 2 debug. */
	void (*note)(void *context, int severity, const char *text);
};

struct link_core_counts {
	uint64_t in, out, acked, resent, duplicates, ignored, malformed, dead, hung, tombstones;
	int up_peers, down_peers, held, pending, unacked;
	size_t retained_bytes;
};

/* NULL when memory is short. actions and context are borrowed. */
struct link_core *link_core_new(const struct link_core_config *config,
				const struct link_core_actions *actions, void *context);
void link_core_free(struct link_core **c);

/* --- endpoints and transport ------------------------------------------------------------------ */

/* An endpoint: upstream or downstream, connected or bound. mortal: whoever is there cannot come
 * back once it is gone (a fresh ipc address of the pipe form). For a connected one the peer's
 * number comes back in *peer. -1 when memory is short. */
int link_core_connect(struct link_core *c, bool upstream, bool mortal, int *peer);
int link_core_bind(struct link_core *c, bool upstream);
int link_core_bind_status(struct link_core *c); /* for observers alone */

/* No further upstream addresses will arrive. */
void link_core_no_more(struct link_core *c, int64_t now);

/* Pipe form: nobody can learn our address any more. */
void link_core_deserted(struct link_core *c, int64_t now);

/* Somebody unknown wrote to a bound endpoint: the number of a new peer, -1 if there are too many. */
int link_core_peer(struct link_core *c, int endpoint, int64_t now);

/* The transport of a connected peer stands; a peer's transport is broken, with whoever was behind it,
 * or though it can be seen that he lives. */
void link_core_connected(struct link_core *c, int peer, int64_t now);
void link_core_gone(struct link_core *c, int peer, int64_t now);
void link_core_cut(struct link_core *c, int peer, int64_t now);

/* A message came. A FRAME's frame is taken (m->frame becomes NULL). */
void link_core_message(struct link_core *c, int peer, struct message *m, int64_t now);

/* A FRAME came whose payload contradicts its header; bytes came that are no message at all. */
void link_core_bad_frame(struct link_core *c, int peer, const struct message *m, const char *why,
			 int64_t now);
void link_core_malformed(struct link_core *c, int peer, const char *why, int64_t now);

/* A message came that could not be taken in for want of memory: what was in it comes again. */
void link_core_lost(struct link_core *c, int peer, int64_t now);

/* --- the stage ---------------------------------------------------------------------------------- */

/* Is there room for n more frames? What is sent without room is kept all the same. */
bool link_core_room(const struct link_core *c, int n);

/* How many frames an upstream may send before it hears of us. */
int link_core_window(const struct link_core *c);

/* The stage took a delivered frame and begins to work on it. */
void link_core_take(struct link_core *c, struct delivery *d, int64_t now);

/* Is anything held up until downstream says something? */
bool link_core_waits(const struct link_core *c);

/* Pass a frame on (taken over; its origin, if any, is answered by it). */
void link_core_send(struct link_core *c, struct frame *f, int64_t now);

/* A sink's row is durable. */
void link_core_done(struct link_core *c, struct delivery *d, int64_t now);

/* Sources: an announced total; what an earlier process has emitted and dropped of a run, perhaps to
 * its end; frames that were lost before they could be sent. */
void link_core_announce(struct link_core *c, const char *source, uint64_t run, uint64_t total);
void link_core_resume(struct link_core *c, const char *source, uint64_t run, uint64_t emitted,
		      uint64_t dropped, bool ended, int64_t now);
void link_core_drop(struct link_core *c, const char *source, uint64_t run, uint64_t first,
		    uint64_t last, const char *reason, int64_t now);

/* The stage has given back all that it will: end the stream, then finished is called. */
void link_core_close(struct link_core *c, int64_t now);

/* Asked to go while the stream goes on: hand back the deliveries that were not taken (the shell
 * drops their frames first), answer for the rest, then ended and, once closed and heard by the
 * upstreams, finished. */
void link_core_leave(struct link_core *c, int64_t now);

/* --- time ------------------------------------------------------------------------------------- */

/* After a batch of events: acknowledgements and credits that have gathered are sent. */
void link_core_flush(struct link_core *c, int64_t now);

/* Somebody at this bound endpoint broke off: let us hear who is still there. */
void link_core_probe(struct link_core *c, int endpoint, int64_t now);

/* Timers. The next is due at link_core_next (INT64_MAX: none). */
void link_core_tick(struct link_core *c, int64_t now);
int64_t link_core_next(const struct link_core *c);

void link_core_count(const struct link_core *c, struct link_core_counts *counts);

/* Is there nobody to bring the stream to its end with: has none ever come, or been away for a
 * second, on a side that is still needed? Neighbours that have just left belong to an end. */
bool link_core_alone(const struct link_core *c, int64_t now);

#endif
