/* The I/O shell around link_core: whoever holds the link (link_hold.c) owns the sockets and the core; the
 * stage reaches them through the mailbox alone. A thread of the link's own holds it while the stage
 * computes, so it always answers in time.
 *
 * Who binds is ROUTER, who connects DEALER, one socket per address. A socket monitor tells of
 * broken connections at once (a killed neighbour is noticed in milliseconds, not by its silence):
 * for a DEALER that is its one peer; for a ROUTER it is not said which, so all are written to, and
 * ZMQ_ROUTER_MANDATORY names the one that cannot be reached. */
#include "common/link_socket.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

#define BATCH 64 /* messages taken from one socket before the others have their turn */
#define ROOM_MOST 16
#define PROBES 3
#define STAGE_PATIENCE_NS 10000000000

static const struct link_core_actions actions = {
	.send = link_act_send,
	.reset = link_act_reset,
	.forget = link_act_forget,
	.deliver = link_act_deliver,
	.acked = link_act_acked,
	.wanted = link_act_wanted,
	.buried = link_act_buried,
	.dropped = link_act_dropped,
	.total = link_act_total,
	.ended = link_act_ended,
	.finished = link_act_finished,
	.broken = link_act_broken,
	.note = link_act_note,
};

/* --- receiving ---------------------------------------------------------------------------------- */

static void on_message(struct link *l, int peer, zmq_msg_t *header, zmq_msg_t *payload, int64_t now)
{
	struct message m;
	struct err e;

	if (wire_decode(zmq_msg_data(header), zmq_msg_size(header), &m, &e) < 0) {
		if (e.code == EX_TEMPFAIL)
			link_core_lost(l->core, peer, now);
		else
			link_core_malformed(l->core, peer, e.text, now);
		return;
	}
	if (m.kind == MESSAGE_FRAME) {
		l->frames_come++;
		if (wire_check_payload(&m, payload ? zmq_msg_size(payload) : SIZE_MAX, &e) < 0) {
			link_core_bad_frame(l->core, peer, &m, e.text, now);
			message_clear(&m);
			return;
		}
		if (payload) {
			m.frame->payload = payload_wrap(payload);
			zmq_msg_init(payload);
		}
		if (payload && !m.frame->payload) {
			link_core_lost(l->core, peer, now);
			message_clear(&m);
			return;
		}
	} else if (payload && m.kind != MESSAGE_UNKNOWN) {
		link_core_malformed(l->core, peer, "a second part where none belongs", now);
		message_clear(&m);
		return;
	}
	link_core_message(l->core, peer, &m, now);
	message_clear(&m);
}

static void on_parts(struct link *l, struct port *p, struct parts *in, int64_t now)
{
	int first = p->address->bind, most = first + 2;
	int peer = first ? link_peer_of(l, p, in, now) : p->peer;

	if (peer < 0)
		return;
	if (in->count <= first || in->count > most)
		link_core_malformed(l->core, peer, "a message has one or two parts", now);
	else
		on_message(l, peer, &in->part[first],
			   in->count == most ? &in->part[first + 1] : NULL, now);
}

static void read_port(struct link *l, struct port *p, int64_t now)
{
	uint64_t before = l->frames_come;
	struct parts in;

	p->ready = false;
	/* A reset while reading puts another socket here. */
	for (int n = 0; n < BATCH && p->socket; n++) {
		if (!parts_receive(p->socket, &in)) {
			p->stirred = false;
			if (l->frames_come > before)
				link_came(p, (int)(l->frames_come - before),
					  link_core_window(l->core), now);
			return;
		}
		on_parts(l, p, &in, now);
		for (int i = 0; i < in.count && i < 3; i++)
			zmq_msg_close(&in.part[i]);
	}
	p->ready = true; /* there may be more */
}

/* Everything that has arrived: the news that somebody is gone must not overtake his last words. */
static void drain_port(struct link *l, struct port *p, int64_t now)
{
	int ready = ZMQ_POLLIN;
	size_t size = sizeof ready;

	while (p->socket && (ready & ZMQ_POLLIN)) {
		read_port(l, p, now);
		if (!p->socket || zmq_getsockopt(p->socket, ZMQ_EVENTS, &ready, &size) < 0)
			return;
	}
}

static void tell_gone(struct link *l, int64_t now)
{
	for (int i = 0; l->gone_count > 0 && i < l->ports; i++)
		drain_port(l, &l->port[i], now);
	while (l->gone_count > 0) {
		int peer = l->gone[--l->gone_count].peer;
		if (l->gone[l->gone_count].no_memory)
			link_core_lost(l->core, peer, now);
		else
			link_core_gone(l->core, peer, now);
	}
}

/* --- the monitor -------------------------------------------------------------------------------- */

static void on_event(struct link *l, struct port *p, int event, uint32_t value, int64_t now)
{
	bool bind = p->address->bind;

	if (bind && event == ZMQ_EVENT_DISCONNECTED) {
		p->probes = PROBES;
		p->probe_at = now + 2000000;
	} else if (!bind && event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
		link_on_greeting(p);
		link_core_connected(l->core, p->peer, now);
	} else if (!bind && event == ZMQ_EVENT_DISCONNECTED) {
		drain_port(l, p, now);
		/* A fresh address is given up for good: not because of a handshake that took too long. */
		if (p->fresh && !address_is_dead(p->address->url))
			link_core_cut(l->core, p->peer, now);
		else
			link_core_gone(l->core, p->peer, now);
	} else if (!bind && p->fresh && event == ZMQ_EVENT_CONNECT_RETRIED &&
		   address_is_dead(p->address->url)) {
		link_core_gone(l->core, p->peer, now);
	} else if (!bind && event == ZMQ_EVENT_CONNECT_RETRIED) {
		link_on_retry(p, now);
	} else if (event & HANDSHAKE_FAILED) {
		link_on_refusal(l, p, event, value, now);
	}
}

static void read_monitor(struct link *l, struct port *p, int64_t now)
{
	uint32_t value = 0;
	int event;

	p->reported = false;
	while (p->monitor && (event = monitor_event(p->monitor, &value)) != 0)
		on_event(l, p, event, value, now);
}

/* Who may come in? Without an answer nobody may; if we cannot answer any more, that is the end. */
static void answer_questions(struct link *l)
{
	struct err e;

	if (!l->setup.curve || !curve_socket(l->setup.curve) ||
	    curve_answer(l->setup.curve, &e) == 0)
		return;
	curve_deafen(l->setup.curve);
	link_act_broken(l, e.code, e.text);
}

/* --- the thread --------------------------------------------------------------------------------- */

static void run_command(struct link *l, struct command *command, int64_t now)
{
	struct command_note *note = command->as.note;

	switch (command->kind) {
	case COMMAND_TAKE:
		link_core_take(l->core, command->as.delivery, now);
		return;
	case COMMAND_SEND:
		link_core_send(l->core, command->as.frame, now);
		return;
	case COMMAND_DONE:
		link_core_done(l->core, command->as.delivery, now);
		return;
	case COMMAND_ANNOUNCE:
		link_core_announce(l->core, note->source, note->run, note->first);
		free(note);
		return;
	case COMMAND_RESUME:
		link_core_resume(l->core, note->source, note->run, note->first, note->last,
				 note->ended, now);
		free(note);
		return;
	case COMMAND_DROP:
		link_core_drop(l->core, note->source, note->run, note->first, note->last,
			       note->reason, now);
		free(note);
		return;
	}
}

/* What the stage has left for us. When we are leaving, the frames that it has not taken go back:
 * both are looked at under one lock, so that none is taken in between. */
static void run_commands(struct link *l, int64_t now)
{
	struct ring commands, frames = { .item = sizeof(struct frame *) };
	struct command command;
	struct frame *f;

	pthread_mutex_lock(&l->box->lock);
	commands = l->box->commands;
	l->box->commands = (struct ring){ .item = sizeof(struct command) };
	l->box->sends = 0;
	l->box->rung = l->box->urgent = false;
	bool closing = l->box->close_asked && !l->close_passed_on;
	bool leaving = l->leaving;
	if (leaving) {
		frames = l->box->frames;
		l->box->frames = (struct ring){ .item = sizeof(struct frame *) };
	}
	pthread_mutex_unlock(&l->box->lock);
	while (ring_get(&commands, &command))
		run_command(l, &command, now);
	ring_free(&commands);
	while (ring_get(&frames, &f))
		frame_free(&f);
	ring_free(&frames);
	if (leaving) {
		l->leaving = false;
		link_core_leave(l->core, now);
	}
	if (closing) {
		l->close_passed_on = true;
		link_core_close(l->core, now);
	}
}

/* How many frames the stage may give us now. */
static void publish_room(struct link *l)
{
	int room = ROOM_MOST;

	while (room > 0 && !link_core_room(l->core, room))
		room--;
	pthread_mutex_lock(&l->box->lock);
	l->box->room = room - l->box->sends;
	if (l->box->room > 0 && l->box->waits_for_room)
		mailbox_wake_stage(l->box);
	pthread_mutex_unlock(&l->box->lock);
}

static void probe_ports(struct link *l, int64_t now)
{
	for (int i = 0; i < l->ports; i++) {
		struct port *p = &l->port[i];
		if (p->probes == 0 || now < p->probe_at)
			continue;
		p->probes--;
		p->probe_at = now + 30000000;
		link_core_probe(l->core, p->endpoint, now);
	}
	tell_gone(l, now);
}

static int64_t next_time(const struct link *l)
{
	int64_t next = link_core_next(l->core), report = link_report_next(l);

	next = report < next ? report : next;
	if (link_drain_next(l) < next)
		next = link_drain_next(l);
	for (int i = 0; i < l->ports; i++)
		if (l->port[i].probes > 0 && l->port[i].probe_at < next)
			next = l->port[i].probe_at;
	if (l->broken_at && l->broken_at + STAGE_PATIENCE_NS < next)
		next = l->broken_at + STAGE_PATIENCE_NS;
	for (int i = 0; i < l->ports; i++)
		if (l->port[i].open_at > 0 && l->port[i].open_at < next)
			next = l->port[i].open_at;
	return next;
}

void link_release_all(struct link *l)
{
	for (int i = 0; i < l->ports; i++)
		address_release(l->port[i].address);
}

/* The link is broken and the stage does not notice: it computes, for ever perhaps, what nobody will
 * take. A process must not stay for that. */
static void end_with_stage(struct link *l, int64_t now)
{
	pthread_mutex_lock(&l->box->lock);
	bool broken = l->box->broken && !l->stop;
	struct err why = l->box->why;
	pthread_mutex_unlock(&l->box->lock);

	if (!broken)
		return;
	if (l->broken_at == 0)
		l->broken_at = now;
	if (now - l->broken_at < STAGE_PATIENCE_NS)
		return;
	log_error("%s (and what is being worked on does not end)", why.text);
	link_release_all(l);
	_exit(why.code);
}

/* What the stage has left for us, and nothing else. */
void link_pass(struct link *l, int64_t now)
{
	run_commands(l, now);
	link_core_flush(l->core, now);
	tell_gone(l, now);
	publish_room(l);
}

static void look_after(struct link *l, const struct link_woken *woken)
{
	int64_t now = clock_mono_ns();
	uint64_t bell;

	if (woken->bell && read(l->box->link_fd, &bell, sizeof bell) < 0) {
		/* It was only a bell. */
	}
	link_on_signals(l, now);
	link_drain_tick(l, now);
	answer_questions(l);
	run_commands(l, now);
	if (l->setup.in_fd >= 0 && woken->lines)
		link_read_lines(l, now);
	if (l->setup.reader_fd >= 0 && woken->deserted) {
		l->setup.reader_fd = -1;
		link_core_deserted(l->core, now);
	}
	/* Frames before the news that their sender is gone. */
	for (int i = 0; i < l->ports; i++)
		if (l->port[i].ready)
			read_port(l, &l->port[i], now);
	for (int i = 0; i < l->ports; i++)
		if (l->port[i].reported)
			read_monitor(l, &l->port[i], now);
	probe_ports(l, now);
	link_ports_again(l, now);
	link_core_tick(l->core, now);
	link_core_flush(l->core, now);
	tell_gone(l, now);
	publish_room(l);
	end_with_stage(l, now);
	link_report(l, now);
}

bool link_turn(struct link *l, int fd, int64_t deadline)
{
	struct link_woken woken;
	int64_t next = next_time(l);

	if (link_wait(l, next < deadline ? next : deadline, fd, &woken) < 0)
		link_act_broken(l, EX_OSERR, strerror(errno));
	look_after(l, &woken);
	return woken.stage;
}

/* --- opening and closing ------------------------------------------------------------------------ */

static void destroy(struct link *l, int linger_ms)
{
	for (int i = 0; i < l->ports; i++) {
		struct port *p = &l->port[i];
		socket_linger(p, linger_ms);
		socket_close(p);
		for (size_t r = 0; r < p->routes; r++)
			backlog_drop(&p->route[r].backlog);
		free(p->route);
	}
	if (l->setup.curve)
		curve_deafen(l->setup.curve);
	if (l->context)
		zmq_ctx_term(l->context);
	for (int i = 0; i < l->ports; i++) {
		address_release(l->port[i].address);
		/* A neighbour that was killed may have held its lock a moment longer than its socket. */
		if (l->port[i].fresh)
			address_sweep_one(l->port[i].address->url);
		if (l->port[i].own_address)
			free(l->port[i].address);
	}
	link_hold_close(l);
	link_core_free(&l->core);
	free(l);
}

/* Payloads come and go by the hundred a second, and ZeroMQ takes memory for each with malloc: that is
 * kept, not given back to the system and cleared by it again, page by page, for the next one. */
static void keep_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

struct link *link_open(const struct link_setup *setup, struct mailbox *box, struct err *e)
{
	struct link *l = calloc(1, sizeof *l);

	if (!l) {
		err_code(e, EX_TEMPFAIL, "no memory for the link");
		return NULL;
	}
	keep_memory();
	l->setup = *setup;
	l->box = box;
	l->hold.alarm_fd = -1;
	l->core = link_core_new(&setup->core, &actions, l);
	l->context = context_new();
	if (!l->core || !l->context) {
		err_code(e, EX_TEMPFAIL, "no memory for the link");
		goto fail;
	}
	link_signals_open(box->link_fd);
	if (link_ports_open(l, e) < 0 || link_hold_open(l, e) < 0)
		goto fail;
	link_core_tick(l->core, clock_mono_ns()); /* from now on it counts who is missing */
	link_report(l, clock_mono_ns());
	if (pthread_create(&l->thread, NULL, link_thread, l) != 0) {
		err_code(e, EX_OSERR, "no thread for the link");
		goto fail;
	}
	return l;
fail:
	link_signals_close(); /* the bell is not ours to ring any more */
	destroy(l, 0);
	return NULL;
}

void link_close(struct link **link, struct link_core_counts *counts)
{
	struct link *l = *link;

	if (!l)
		return;
	link_hold_stop(l);
	pthread_join(l->thread, NULL);
	link_report_end(l);
	link_signals_close();
	if (counts)
		link_core_count(l->core, counts);
	destroy(l, 1000);
	*link = NULL;
}
