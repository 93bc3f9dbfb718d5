/* Inside of the link's I/O: shared by link.c (the thread), link_socket.c (ZeroMQ's sockets and
 * messages), link_ports.c (addresses and who is behind them), link_actions.c (what goes into the
 * mailbox), link_lines.c (addresses on stdin) and link_signals.c. Only link.c, link_ports.c and
 * link_socket.c know ZeroMQ. */
#ifndef COMMON_LINK_PRIVATE_H
#define COMMON_LINK_PRIVATE_H

#include "common/link.h"

#define LINK_PORTS_MAX 256
#define LINK_ID_MAX 255

struct route {
	int peer; /* -1: free */
	uint8_t size, id[LINK_ID_MAX];
};

/* One address. */
struct port {
	struct address *address; /* of the setup, or the port's own (from a line) */
	bool own_address;
	void *socket, *monitor;
	int endpoint, peer;  /* peer: of a connected one */
	bool fresh;          /* whoever was there cannot come back */
	struct route *route; /* of a bound one */
	size_t routes;
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
	pthread_t thread;
	char line[ADDRESS_MAX + 16]; /* of in_fd, so far */
	size_t line_used;
	bool line_too_long;
	bool stop; /* the thread shall end (lock of the mailbox) */
	bool close_passed_on, leaving;
	int signals_seen;
	int64_t broken_at; /* when it was first seen that the link is broken; 0: it is not */
	int gone[256];     /* peers that could not be written to, to be told to the core */
	int gone_count;
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
/* The peer behind a routing id at a bound address, a new one if need be; -1: too many. */
int link_peer_of(struct link *l, struct port *p, const void *id, size_t size, int64_t now);
/* link_core's actions that go to a socket. */
void link_act_send(void *context, int peer, const struct message *m);
void link_act_reset(void *context, int peer);
void link_act_forget(void *context, int peer);

/* Leave nothing lying about: the process ends here. */
void link_release_all(struct link *l);

/* --- link_signals.c: from now on SIGINT and SIGTERM ring this bell (-1: none any more) */
void link_signals_open(int bell);
void link_signals_close(void);
void link_on_signals(struct link *l,
		     int64_t now); /* look whether one has come, and do what it asks for */

/* --- link_report.c: tell the service manager what is new; when it wants to be called at the latest */
void link_report(struct link *l, int64_t now);
int64_t link_report_next(const struct link *l);
void link_report_end(struct link *l);

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
