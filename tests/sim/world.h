/* A world in one process: nodes that run link_core, connections between them, a clock that jumps
 * from event to event, and misfortune drawn from a seed. Everything that happens is decided by the
 * seed, so a schedule that breaks an invariant can be replayed. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/link_core.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define NODES_MAX 16
#define PEERS_MAX 256
#define CONNS_MAX 2048
#define FRAMES_MAX 128
#define UPS_MAX 64

enum role { SOURCE, MIDDLE, SINK };

/* How they find each other: workers bind and sinks connect; sinks bind and workers connect; or the
 * shell's pipe, where who dies is replaced under another address. */
enum style { SINKS_CONNECT, SINKS_BIND, PIPE };

enum event_kind {
	EV_MESSAGE,
	EV_CONNECT,
	EV_CONNECTED,
	EV_GONE,
	EV_TIMER,
	EV_STAGE,
	EV_COMMIT,
	EV_RESTART,
	EV_FAULT,
	EV_NO_MORE,
	EV_WAKE
};

/* Kinds of misfortune: rows of fault.c. */
enum fault {
	FAULT_KILL,
	FAULT_RESTART,
	FAULT_PAUSE,
	FAULT_BREAK,
	FAULT_PARTITION,
	FAULT_ONE_WAY,
	FAULT_DISK_FULL,
	FAULT_STARVE,
	FAULT_HANG,
	FAULT_LEAVE,
	FAULT_STRANGER,
	FAULT_DELAY,
	FAULT_DUPLICATE,
	FAULT_REORDER,
	FAULT_SILENT,
	FAULT_MEMORY,
	FAULT_SLOW,
	FAULT_POISON,
	FAULT_TWO_POISONS,
	FAULT_TWO_SINKS,
	FAULT_BAD,
	FAULT_DROP,
	FAULT_LATE,
	FAULTS
};

struct event {
	int64_t at;
	uint64_t order;
	enum event_kind kind;
	int node, life; /* life -1: whichever */
	int a, b;
};

struct letter {
	struct letter *next;
	struct message m;
};

/* Between a connecter's peer (side 0) and a binder's endpoint (side 1). */
struct conn {
	int node[2], life[2], peer[2];     /* peer[1] -1: the binder knows it not (yet) */
	int endpoint;                      /* of the binder */
	int64_t since;                     /* when it began to stand */
	bool open[2];                      /* the side still believes in it */
	struct letter *first[2], *last[2]; /* on their way to this side */
	int64_t ready[2];
	int64_t held_until[2]; /* a partition: nothing comes to this side */
};

/* Somebody who looks at a node, without any network in between: it has only to be harmless. */
struct observer {
	int peer; /* of the node; -1: nobody looks */
	uint64_t session, upto, copies, passed;
};

struct node {
	struct observer observer;
	enum role role;
	int number, life;
	bool alive, exited;
	int code;
	struct link_core *core;
	int64_t timer_at, paused_until, starved_until, hung_until;
	bool hung_for_ever, leaving;
	int up_peers_most; /* at once */
	uint64_t hung_seen;
	int bound;             /* endpoint that others connect to, -1: none */
	int target[PEERS_MAX]; /* connected peer -> node that binds, -1 */
	int target_life[PEERS_MAX];
	int conn_of[PEERS_MAX];        /* peer -> connection, -1: none */
	int up[UPS_MAX], up_count;     /* whom we connect to for frames */
	int down[UPS_MAX], down_count; /* and to give frames */
	bool up_binds, down_binds;
	/* the stage */
	struct frame *inbox[FRAMES_MAX * 4];
	int inbox_count;
	struct frame *held[FRAMES_MAX * 4];
	int held_count;
	bool working, committed, ended, closing, finished;
	int emitted;
	int64_t work_ns;
	int deaths;
	bool idle_exit_ok; /* restarted when everything upstream had already ended */
};

struct world {
	uint64_t seed, random, whims; /* whims: of observers, so that they change nothing else */
	int verbose;
	int64_t now;
	uint64_t order;
	struct event *heap;
	int heap_count, heap_capacity;
	struct node node[NODES_MAX];
	int nodes, workers, sinks;
	int at_once; /* frames that a stage in the middle begins together */
	enum style style;
	struct conn *conn;
	int conns;

	/* what is to be transported */
	int frames, first_drop, last_drop, poison[2], bad;
	/* what misfortune there is, per thousand */
	int only; /* the one kind there is, -1: all */
	int p_duplicate, p_reorder, p_silent, p_memory;
	bool hung_for_ever; /* somebody is */
	int64_t delay_ns, faults_until, disk_full_until;
	/* the store: first write wins */
	int row[FRAMES_MAX]; /* times offered */
	int rows, statuses[FRAMES_MAX];
	bool acked[FRAMES_MAX], books_seen, drop_stored;
	int tries[FRAMES_MAX], poisoned[2];
	int begun[FRAMES_MAX]; /* how often some worker began it */
	int sink_deaths, kills, hung;
	uint64_t happened[FAULTS];
	uint64_t messages, steps;
	int64_t source_done;
	bool workers_over;
	bool failed;
};

/* world.c */
uint64_t draw(struct world *w, uint64_t below);
bool chance(struct world *w, int per_thousand);
void schedule(struct world *w, int64_t at, enum event_kind kind, int node, int life, int a, int b);
bool next_event(struct world *w, struct event *e);
void fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* fault.c */
const char *fault_name(enum fault f);
int fault_of(const char *name);                                    /* -1: there is none */
bool fault_given(struct world *w, enum fault f, int per_thousand); /* to this world? */
void fault_happened(struct world *w, enum fault f);
void fault_strike(struct world *w); /* something happens, and the next is due */

/* net.c */
void net_send(struct world *w, struct node *n, int peer, const struct message *m);
void net_connect(struct world *w, struct node *n, int peer);
void net_close(struct world *w, struct node *n, int peer);     /* we give it up */
void net_died(struct world *w, struct node *n, bool all_said); /* all that it said arrives */
void net_message(struct world *w, int conn, int side);
void net_connected(struct world *w, int conn);
void net_free(struct world *w);

/* observer.c */
void observer_step(struct world *w, struct node *n); /* whatever it thinks of */
bool observer_hears(struct world *w, const struct node *n, int peer, const struct message *m);
bool observer_forgotten(struct node *n, int peer);

#define PAYLOAD 100 /* bytes of a frame */

/* work.c */
void node_work(struct world *w, struct node *n); /* whatever it can do now */
void node_stage(struct world *w, struct node *n);
void node_commit(struct world *w, struct node *n);
void node_leave(struct world *w, struct node *n); /* it is asked to */

/* node.c */
void node_start(struct world *w, struct node *n);
void node_kill(struct world *w, struct node *n, const char *why);
void node_after(struct world *w, struct node *n); /* after each event of its core */
void node_free(struct node *n);

#endif
