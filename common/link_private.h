/* Inside of the link's I/O: shared by link.c (what there is to do), link_hold.c (whose thread does it), link_wait.c
 * (when), link_socket.c (ZeroMQ's sockets and messages), link_ports.c (addresses and who is behind them),
 * link_refusals.c (who was turned away, in words), link_actions.c (what goes into the mailbox), link_lines.c
 * (addresses on stdin) and link_signals.c. Only link.c, link_wait.c, link_ports.c, link_refusals.c, link_socket.c,
 * and curve.c for keys, know ZeroMQ. */
#ifndef COMMON_LINK_PRIVATE_H
#define COMMON_LINK_PRIVATE_H

#include <sys/types.h>

#include <stdatomic.h>

#include "common/link.h"

#define LINK_PORTS_MAX 256
#define LINK_ID_MAX 255

/* Payload that was given to ZeroMQ for one connection and is not yet written. ZeroMQ's thread counts it
 * down, perhaps when the connection is over: shared, and freed by the last. */
struct backlog {
	atomic_size_t bytes;
	atomic_int references;
};

struct route {
	int peer; /* -1: free */
	uint8_t size, id[LINK_ID_MAX];
	char key[KEY_SIZE]; /* whose it is, "" without keys; and its connection, */
	int fd;             /* which is still the same while the descriptor has this inode */
	struct backlog *backlog;
	ino_t inode;
};

/* One address. */
struct port {
	struct address *address; /* of the setup, or the port's own (from a line) */
	bool own_address;
	void *socket, *monitor;
	bool ready, reported; /* one of them has, or may have, something to read */
	bool stirred;         /* used since it was last read empty: its descriptor may be silent */
	int endpoint, peer;   /* peer: of a connected one */
	bool down;            /* downstream is there: frames go out, small words come back */
	int64_t sent_at, came_at; /* the last frame */
	int64_t quiet_until; /* it is not looked at before, if nothing hangs on that; 0: it is */
	bool fresh;          /* whoever was there cannot come back */
	struct route *route; /* of a bound one */
	size_t routes;
	struct backlog *backlog; /* of a connected one */
	char key[KEY_SIZE];      /* that a connected one expects */
	unsigned said;           /* reasons of refusal that were told, a bit each */
	int broken_off;          /* greetings in a row */
	int64_t open_at;         /* closed until then; 0: not so */
	int64_t nobody_since;    /* first of the tries in a row that met nobody, 0: none */
	bool nobody_said;
	int probes; /* still to do */
	int64_t probe_at;
};

struct link {
	struct link_setup setup;
	struct mailbox *box;
	struct link_core *core;
	void *context;
	struct port port[LINK_PORTS_MAX];
	int ports;
	int64_t polled_at; /* when it was last asked what there is */
	pthread_t thread;
	char line[ADDRESS_MAX + 16]; /* of in_fd, so far */
	size_t line_used;
	bool line_too_long;
	bool stop; /* the thread shall end (lock of the mailbox) */
	struct {   /* see link_hold.c (lock of the mailbox) */
		enum { HELD_BY_NOBODY, HELD_BY_STAGE, HELD_BY_THREAD } by;
		bool asked;        /* the stage waits for the thread to let go */
		bool alarm_set;    /* and has not rung */
		int alarm_fd;      /* wakes the thread */
		int64_t alarm_ns;  /* so long after the link was let go */
		int64_t left_at;   /* when it was let go */
		int64_t looked_at; /* the holder's: when it last looked at the sockets */
	} hold;
	bool close_passed_on, leaving;
	int64_t drain_at, quit_at; /* when SIGTERM's patience ends, and ours; 0: not asked */
	int signals_seen, hangups_seen;
	int64_t broken_at; /* when it was first seen that the link is broken; 0: it is not */
	/* Peers that could not be written to, to be told to the core: for want of memory, or because
	 * they are gone. */
	struct {
		int peer;
		bool no_memory;
	} gone[256];
	int gone_count;
	uint64_t frames_come; /* since the beginning, whatever became of them */
	struct {
		bool ready, stopping;       /* that was said */
		int64_t ping_at, pinged_at; /* next, last */
		int64_t status_at;
		uint64_t frames; /* as last said */
		int peers;
	} report;
};

/* --- link_ports.c
 * Connect to, or bind, one more address. It becomes the link's own, to be freed by it, if own and
 * if this succeeds. */
int link_port_open(struct link *l, struct address *a, bool upstream, bool own, struct err *e);
/* All of the setup's. */
int link_ports_open(struct link *l, struct err *e);
/* Open those again whose time has come. */
void link_ports_again(struct link *l, int64_t now);
/* The list of keys has changed: end the sessions of those who are not in it any more. */
void link_ports_check(struct link *l, int64_t now);
/* link_core's actions that go to a socket. */
void link_act_send(void *context, int peer, const struct message *m);
void link_act_reset(void *context, int peer);
void link_act_forget(void *context, int peer);

/* Leave nothing lying about: the process ends here. */
void link_release_all(struct link *l);

/* --- link_wait.c: sleep until something has come (then it is in *woken, and in the ports), fd (or -1) is
 * readable, or the time has come. -1: the system refuses. */
struct link_woken {
	bool bell, lines, deserted, stage;
};
void link_quiet(struct port *p, int64_t now);                        /* a frame went out */
void link_came(struct port *p, int frames, int window, int64_t now); /* frames have come */
int link_wait(struct link *l, int64_t until, int fd, struct link_woken *woken);

/* --- link.c, for whoever holds the link: wait, until the deadline at most, and do what there is to do
 * (true: fd, or -1, is readable); or only what the stage has left. */
bool link_turn(struct link *l, int fd, int64_t deadline);
void link_pass(struct link *l, int64_t now);

/* --- link_hold.c */
int link_hold_open(struct link *l, struct err *e);
void link_hold_close(struct link *l);
void *link_thread(void *link);
void link_hold_stop(struct link *l); /* the thread ends */

/* --- link_signals.c
 * From now on SIGINT and SIGTERM ring this bell (-1: none any more). */
void link_signals_open(int bell);
void link_signals_close(void);
/* Look whether one has come, and do what it asks for. */
void link_on_signals(struct link *l, int64_t now);

/* --- link_report.c: tell the service manager what is new; when it wants to be called at the latest */
void link_report(struct link *l, int64_t now);
int64_t link_report_next(const struct link *l);
void link_report_reload(bool begins);
void link_report_end(struct link *l);

/* When SIGTERM's time to drain is over (INT64_MAX: never), and giving up then. */
int64_t link_drain_next(const struct link *l);
void link_drain_tick(struct link *l, int64_t now);

/* --- link_lines.c */
void link_read_lines(struct link *l, int64_t now);

/* --- link_actions.c: link_core's actions that end in the mailbox */
void link_act_deliver(void *context, struct frame *f);
void link_act_acked(void *context, const char *source, uint64_t run, uint64_t seq);
void link_act_wanted(void *context, const struct wants *wants);
void link_act_buried(void *context, const struct frame *f, const char *reason);
void link_act_dropped(void *context, const struct frame *f, uint64_t last);
void link_act_total(void *context, const struct message_total *total);
void link_act_ended(void *context);
void link_act_finished(void *context);
void link_act_broken(void *context, int code, const char *text);
void link_act_note(void *context, int severity, const char *text);

#endif
