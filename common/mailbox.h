/* Between the stage and the link: what each leaves for the other, and how two threads wake each other over
 * it, by a descriptor each, so that both can wait for other things too. Nothing here decides anything. */
#ifndef COMMON_MAILBOX_H
#define COMMON_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/frame.h"
#include "common/stage.h"
#include "common/wire.h"

struct delivery;

enum command_kind {
	COMMAND_TAKE,
	COMMAND_SEND,
	COMMAND_DONE,
	/* with a note */
	COMMAND_ANNOUNCE,
	COMMAND_RESUME,
	COMMAND_DROP,
};

/* Of ANNOUNCE (first is the total), RESUME (first is what was emitted, last what was dropped) and
 * DROP. */
struct command_note {
	char source[FRAME_SOURCE_MAX], reason[FRAME_REASON_MAX];
	uint64_t run, first, last;
	bool ended; /* of RESUME */
};

struct command {
	enum command_kind kind;
	union {
		struct delivery *delivery; /* TAKE, DONE */
		struct frame *frame;       /* SEND: the command's own */
		struct command_note *note; /* the command's own */
	} as;
};

struct acked {
	char source[FRAME_SOURCE_MAX];
	uint64_t run, seq;
};

/* A queue of things of one size. */
struct ring {
	size_t item, head, count, capacity;
	char *data;
};

int ring_put(struct ring *r, const void *item); /* -1: no memory */
bool ring_get(struct ring *r, void *item);
void ring_free(struct ring *r);

struct mailbox {
	pthread_mutex_t lock;  /* over all that follows */
	int link_fd, stage_fd; /* eventfds, each woken by the other side */
	bool stage_waits, waits_for_room;
	bool at_bell;     /* it polls stage_fd, rather than run the link itself */
	bool asleep;      /* the stage's thread is in link_sleep */
	int64_t moved_at; /* when it last came here: after a sleep, or with a command */

	/* for the link */
	struct ring commands; /* struct command */
	int sends;            /* SEND commands among them */
	bool urgent, rung;    /* there are others than TAKE; the link was woken for them */
	bool close_asked;

	/* for the stage */
	struct ring frames; /* struct frame * */
	struct ring acked;  /* struct acked, if keep_acked */
	bool keep_acked;
	int room; /* frames that may be sent now */
	bool ended, finished, broken, wanted, stopping;
	bool hung_up; /* SIGHUP: read again what may have changed */
	struct err why;
	struct wants wants;
	struct ring totals; /* struct stage_total, never taken out */
	struct ring drops;  /* struct stage_dropped, until they are durable */
};

int mailbox_open(struct mailbox *m, struct err *e);
void mailbox_close(struct mailbox *m);

/* The link cannot go on: the first reason counts (lock held). */
void mailbox_broke(struct mailbox *m, int code, const char *text);

/* Wake the stage if it waits (lock held). */
void mailbox_wake_stage(struct mailbox *m);

/* Leave a command for the link (lock held). -1: no memory. It is read at the latest when the stage
 * sleeps or has been away for a moment; link_ring has all that was left read now. */
int mailbox_command(struct mailbox *m, const struct command *command);

/* Wake the link's thread, once until it looks (lock held); ring either bell. */
void mailbox_ring(struct mailbox *m);
void mailbox_ring_bell(int fd);

#endif
