/* A core and peers whose messages are made up: what drivers of link_core share. */
#ifndef TESTS_LINK_CORE_PEERS_H
#define TESTS_LINK_CORE_PEERS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/link_core.h"

#define MS INT64_C(1000000)

static struct message said[64]; /* what the core sent, newest last */
static int said_to[64], said_count;
static int frames_said[64], tries_said[64], statuses_said[64]; /* of FRAMEs among them */
static int fixed_window = 8;
static int64_t work_ns;         /* of the next core: --work-timeout */
static struct frame last_frame; /* a copy of the last FRAME's, without payload */
static struct frame *delivered; /* the newest that the core gave the stage */
static uint8_t generation;      /* another one, another process */
static int buried_count;
static bool buried_whole;
static int acked_count, forgotten, broken_code, ended_count, finished_count;
static char note[4096];
static int64_t now = 1000 * MS;
static int checks, failures;

static void check(bool good, const char *what)
{
	checks++;
	failures += !good;
	if (!good)
		printf("FAILED: %s\n", what);
}

static void act_send(void *context, int peer, const struct message *m)
{
	(void)context;
	if (said_count == 64)
		said_count = 0;
	said[said_count] = *m;
	frames_said[said_count] = m->frame ? (int)m->frame->seq : -1;
	tries_said[said_count] = m->frame ? m->frame->
	try:
		0;
	statuses_said[said_count] = m->frame ? (int)m->frame->status : 0;
	said_to[said_count++] = peer;
	if (m->frame) {
		last_frame = *m->frame;
		last_frame.payload = NULL;
	}
}
static void act_peer(void *context, int peer)
{
	(void)context, (void)peer;
	forgotten++;
}
static void act_deliver(void *context, struct frame *f)
{
	(void)context;
	frame_free(&delivered);
	delivered = f;
}
static void act_acked(void *context, const char *source, uint64_t run, uint64_t seq)
{
	(void)context, (void)source, (void)run, (void)seq;
	acked_count++;
}
static void act_wanted(void *context, const struct wants *wants)
{
	(void)context, (void)wants;
}
static void act_buried(void *context, const struct frame *f, const char *reason)
{
	(void)context, (void)reason;
	buried_count++;
	buried_whole = f->status == FRAME_OK && f->payload && f->payload->size > 0;
}
static void act_dropped(void *context, const struct frame *f, uint64_t last)
{
	(void)context, (void)f, (void)last;
}
static void act_total(void *context, const struct message_total *total)
{
	(void)context, (void)total;
}
static void act_ended(void *context)
{
	(void)context;
	ended_count++;
}
static void act_finished(void *context)
{
	(void)context;
	finished_count++;
}
static void act_broken(void *context, int code, const char *text)
{
	(void)context;
	broken_code = code;
	snprintf(note, sizeof note, "%s", text);
}
static void act_note(void *context, int severity, const char *text)
{
	(void)context, (void)severity, (void)text;
}

static const struct link_core_actions actions = {
	act_send,    act_peer,  act_peer,  act_deliver,  act_acked,  act_wanted, act_buried,
	act_dropped, act_total, act_ended, act_finished, act_broken, act_note,
};

static struct link_core *make(bool pulls, bool pushes)
{
	struct link_core_config config = { .pulls = pulls,
					   .pushes = pushes,
					   .seed = 42,
					   .window = fixed_window,
					   .retain_bytes = 1000,
					   .retain_frames = 8,
					   .max_tries = 3,
					   .orphan_ns = 5000 * MS,
					   .grace_ns = 1000 * MS,
					   .work_ns = work_ns };

	snprintf(config.self.stage, sizeof config.self.stage, "core");
	config.self.max_frame = 1 << 20;
	config.self.heartbeat_ms = 100;
	said_count = acked_count = forgotten = broken_code = ended_count = 0;
	finished_count = 0;
	return link_core_new(&config, &actions, NULL);
}

static void hear(struct link_core *c, int peer, struct message *m)
{
	link_core_message(c, peer, m, now += MS);
}

/* A receiver says HELLO; the session it gets, 0 if it was refused. */
static inline uint64_t hello(struct link_core *c, int peer, uint32_t version,
			     enum message_role role, const char *recipe, uint64_t max_frame)
{
	struct message m = { .kind = MESSAGE_HELLO };
	int before = said_count;

	m.as.hello.version = version;
	m.as.hello.role = role;
	m.as.hello.max_frame = max_frame;
	m.as.hello.heartbeat_ms = 100;
	m.as.hello.instance[0] = (uint8_t)(peer + 1);
	m.as.hello.instance[1] = generation;
	snprintf(m.as.hello.stage, sizeof m.as.hello.stage, "peer%d", peer);
	snprintf(m.as.hello.wants.recipe, sizeof m.as.hello.wants.recipe, "%s", recipe);
	hear(c, peer, &m);
	int i = said_count;
	while (i > 0 && (said_to[i - 1] != peer || said[i - 1].kind != MESSAGE_WELCOME))
		i--; /* the first CREDIT may follow it */
	return i > before ? said[i - 1].session : 0;
}

static inline void credit(struct link_core *c, int peer, uint64_t session, uint64_t upto)
{
	struct message m = { .kind = MESSAGE_CREDIT, .session = session, .upto = upto };

	hear(c, peer, &m);
}

static inline void send(struct link_core *c, uint64_t seq, size_t bytes)
{
	struct frame *f = frame_new();

	snprintf(f->source, sizeof f->source, "s");
	f->seq = seq;
	f->payload = buffer_new(bytes);
	link_core_send(c, f, now += MS);
}

static inline const struct message *last(void)
{
	static const struct message none;

	return said_count ? &said[said_count - 1] : &none;
}

static inline void give(struct link_core *c, int peer, uint64_t session, uint64_t link_seq,
			uint64_t seq)
{
	struct message m = { .kind = MESSAGE_FRAME, .session = session, .link_seq = link_seq };

	m.frame = frame_new();
	snprintf(m.frame->source, sizeof m.frame->source, "s");
	m.frame->seq = seq;
	hear(c, peer, &m);
	if (m.frame)
		frame_free(&m.frame);
}

#endif
