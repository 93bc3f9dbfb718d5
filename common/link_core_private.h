/* Inside of link_core: what its files share. */
#ifndef COMMON_LINK_CORE_PRIVATE_H
#define COMMON_LINK_CORE_PRIVATE_H

#include "common/link_core.h"

#define PEERS_MAX 1024
#define TOTALS_MAX 65536
#define WINDOW_LEAST 2
#define ACK_RANGES_MAX WIRE_RANGES_MAX

enum phase {
	PEER_FREE,     /* the slot is not in use */
	PEER_NEW,      /* connected: waiting for the transport; bound: waiting for HELLO */
	PEER_HELLO,    /* we said HELLO and wait for WELCOME */
	PEER_UP,       /* in session */
	PEER_OBSERVER, /* only looks: link_observe.c */
	PEER_IGNORED,  /* sent too much nonsense */
	PEER_CLOSED,   /* a connected endpoint that is over */
};

/* A frame that we were given and owe an acknowledgement for. */
struct delivery {
	struct delivery *next, *previous;
	int peer;
	uint64_t session, link_seq;
	char source[FRAME_SOURCE_MAX];
	uint64_t run, seq;
	bool taken;       /* the stage has it, or has had it */
	bool released;    /* its room was granted again */
	bool stranded;    /* its session was over before that: see stranded_count */
	int64_t taken_at; /* since when the stage works on it; 0: it does not (any more) */
};

/* A frame that we owe downstream. */
struct parcel {
	struct parcel *next, *previous;
	struct frame *frame;
	struct delivery *origin; /* NULL: our own */
	size_t bytes;
	int deaths;      /* on this link; frame->try counts those of all links */
	bool alone;      /* one may have died over it: it goes to one that has nothing else */
	uint64_t blamed; /* the instance that may have died over it last, 0: none … */
	bool charged;    /* … and that was counted */
	uint64_t order;  /* in which they were given to us */
	uint64_t link_seq;
	bool dropped; /* a drop record up to last */
	uint64_t last;
};

struct parcels {
	struct parcel *first, *last;
	int count;
};

struct peer {
	enum phase phase;
	int endpoint;
	uint64_t session;
	struct message_hello hello;    /* what it said */
	int64_t heard, said, hello_at; /* when last */
	int malformed;
	bool broke;   /* its transport broke */
	bool died;    /* and that may be because it crashed */
	bool leaving; /* BYE: nothing new to or from it */
	bool parted;  /* BYE done: it has all its acknowledgements; stays until the next session */
	uint64_t told_unknown; /* last session that we answered "not known" for */

	/* downstream */
	struct parcels sent; /* unacknowledged, by link_seq */
	uint64_t next_seq, upto;
	uint64_t working,
	    working_first;  /* what it has begun and not finished, 0: it has not said */
	bool hung;          /* by its own word on one frame for too long: nothing new for it */
	bool over;          /* by its own word the stream has ended for all that it knows */
	int64_t dispatched; /* when last, for fairness */
	uint64_t told, confirmed; /* versions of the totals */
	bool end_told;

	/* an observer: bytes since its last credit */
	size_t uncredited;

	/* upstream */
	uint64_t received;          /* highest link_seq */
	uint64_t released, granted; /* rooms given back; upto as told */
	struct message_range ack[ACK_RANGES_MAX];
	int ack_count;
	int64_t acked_at;      /* when they were last sent */
	uint64_t pings, pongs; /* said to it, and heard from it */
	uint64_t last_ping;    /* the one after all that we had to say; 0: not yet */
	bool ended;            /* EOS with end has come */
	int64_t idle_at; /* since when, by its own word, there is nothing before it; 0: there is */
	uint64_t eos_id; /* its id of the last EOS, to be acknowledged when … */
	uint64_t eos_need; /* … our totals up to this version are confirmed */
	bool eos_owed;
};

struct endpoint {
	bool upstream, connects, mortal;
	bool status;     /* for observers alone */
	int peer;        /* if it connects */
	int64_t idle_at; /* connected: since when nobody is there; 0: somebody is */
	int64_t lost_at; /* upstream: when a peer was lost in the middle; 0: none */
	int64_t
	    lost_ended_at; /* … and when one that had ended, but not heard our acknowledgement */
	bool seen;         /* somebody has been there */
	bool ended;        /* bound upstream: some peer of it has ended */
};

struct total {
	struct message_total is;
	uint64_t version; /* when it changed last */
	bool own;
};

struct link_core {
	struct link_core_config config;
	const struct link_core_actions *do_;
	void *context;
	int64_t now, woke_at;
	int64_t hindered_at; /* until when the stage could not have gone on, for all we know */
	uint64_t session_counter;

	struct peer **peer; /* by number; slots are reused */
	int peer_count;
	struct endpoint *endpoint;
	int endpoint_count;

	struct delivery *held; /* all that is owed upstream */
	int held_count;
	int working_count;  /* of these, those that the stage works on */
	int stale_count;    /* upper bound of those whose session is over */
	int stranded_count; /* those that take room which no session has granted */
	int window;
	int64_t ended_at;               /* when an upstream ended last; 0: none has */
	int last_total;                 /* where the last look-up ended */
	bool input_over, leaving;       /* ended was called; asked to go */
	int64_t up_lonely, down_lonely; /* since when a side has nobody; 0: it has */
	bool deserted;

	struct parcels pending; /* by order */
	int unacked;            /* parcels sent */
	size_t retained_bytes;
	size_t largest; /* payload seen lately */
	uint64_t order;
	bool wanted;
	struct wants wants;
	char wants_stage[WIRE_NAME_MAX];

	struct total *total;
	int total_count, total_capacity;
	uint64_t version;   /* of the totals; 0: nothing to tell */
	uint64_t confirmed; /* the highest version that some downstream has confirmed */
	bool closing, ending, finished, broken;
	bool said_bye;
	bool
	    settled; /* the source has heard of the end, by the word of an upstream or a downstream */
	bool said_over; /* to the upstreams that were there then */
	uint64_t end_version;
	int64_t done_at;    /* when our own end was confirmed; 0: not yet */
	int64_t settled_at; /* since when all upstreams are through without us; 0: they are not */

	int64_t warned_at; /* core_warn's present span, and how often it spoke in it */
	int warned;
	struct link_core_counts counts;
};

/* --- link_core.c */
bool peer_live(const struct peer *p); /* in session */
bool peer_suspect(const struct link_core *c, const struct peer *p);
bool peer_upstream(const struct link_core *c, const struct peer *p);
void core_say(struct link_core *c, int peer, struct message *m); /* fills in the session */
void core_note(struct link_core *c, int severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A warning that strangers can cause as often as they like: a few are shown, the rest at -vv. */
void core_warn(struct link_core *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void core_break(struct link_core *c, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void core_bye(struct link_core *c, int peer, enum message_code code, const char *text);
int64_t core_beat(const struct link_core *c);
void core_say_state(struct link_core *c, int peer, enum message_kind kind); /* PING, PONG */
bool peer_connects(const struct link_core *c, const struct peer *p);

/* --- link_time.c */
void core_wake(struct link_core *c, int64_t now); /* each event begins with it */

/* --- link_session.c */
void session_over(struct link_core *c, int peer);    /* frames go back, nothing is said */
void session_restart(struct link_core *c, int peer); /* something is missing: begin again */
void session_drop(struct link_core *c, int peer);    /* the peer is gone, or as good as gone */
void session_ask(struct link_core *c, int peer);     /* HELLO */
void session_reject(struct link_core *c, int peer, uint64_t session, enum message_code code,
		    const char *text);
uint64_t session_new(struct link_core *c); /* an id */
void session_on_hello(struct link_core *c, int peer, const struct message *m);
void session_on_welcome(struct link_core *c, int peer, const struct message *m);
void session_on_reject(struct link_core *c, int peer, const struct message *m);
void session_on_bye(struct link_core *c, int peer, const struct message *m);

/* --- link_observe.c */
void observe_hello(struct link_core *c, int peer, const struct message *m);
void observe_message(struct link_core *c, int peer, const struct message *m);
/* A FRAME passes: in from upstream, or out to downstream. Borrows m. */
void observe_frame(struct link_core *c, const struct message *m, bool incoming);
void observe_over(struct link_core *c); /* this stage ends */

/* --- link_send.c */
void send_up(struct link_core *c, int peer); /* a downstream session begins */
void send_requeue(struct link_core *c, struct peer *p);
void send_dispatch(struct link_core *c);
void send_parcel(struct link_core *c, struct frame *f, bool dropped, uint64_t last);
void send_message(struct link_core *c, int peer, const struct message *m);
void send_bye(struct link_core *c, int peer, const struct message *m);
void send_state(struct link_core *c, struct peer *p, const struct message *m); /* its own word */
void send_free(struct link_core *c);

/* --- link_wants.c: 0, or -1 and a sentence with both wants */
int wants_agree_on(struct link_core *c, const struct message_hello *hello, char *text, size_t size);

/* --- link_receive.c */
void receive_up(struct link_core *c, int peer);
void receive_frame(struct link_core *c, int peer, struct message *m);
void receive_release(struct link_core *c, struct delivery *d);
void receive_worked(struct link_core *c, struct delivery *d); /* the stage has handed it on */
void receive_ack(struct link_core *c, struct delivery *d);    /* and frees it */
void receive_flush(struct link_core *c, int peer);
void receive_flush_gently(struct link_core *c, int peer); /* or a moment later */
int64_t receive_acks_due(const struct peer *p);
void receive_session_over(struct link_core *c, int peer);
bool receive_heard(struct link_core *c); /* do the upstreams know all that a leaving stage owes? */

/* --- link_totals.c */
void totals_merge(struct link_core *c, const struct message_total *said);
void totals_note_sent(struct link_core *c, const struct frame *f, bool dropped, uint64_t last);
bool totals_cover(const struct link_core *c, const char *source, uint64_t run, uint64_t seq);
bool totals_all_ended(const struct link_core *c);

/* --- link_over.c: the end, told from behind */
bool over_here(const struct link_core *c); /* may we say that the stream has ended? */
bool over_behind(
    const struct link_core *c);      /* has a downstream said so, and nobody upstream else? */
void over_tell(struct link_core *c); /* the upstreams that have not ended, once */
void over_greet(struct link_core *c, int peer); /* an upstream session begins */

/* --- link_end.c */
void end_eos(struct link_core *c, int peer, const struct message *m);
void end_eos_ack(struct link_core *c, struct peer *p, const struct message *m);
void end_step(struct link_core *c); /* whatever has become possible */
int64_t end_next(const struct link_core *c);

#endif
