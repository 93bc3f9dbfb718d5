#include "common/observer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/link_socket.h"

#define BEAT_NS 1000000000
#define AGAIN_NS 300000000 /* after "not now" */
#define LINGER_MS 200      /* for the last word to leave */

struct observer {
	struct link link; /* its sockets, not its thread */
	uint64_t session;
	int64_t heard, said;
	int64_t hello_at;   /* when to greet (again), INT64_MAX: not by the clock */
	struct err put_off; /* why there is no session yet; no text: nobody said anything */
};

int observer_address(struct address *at, const char *text, const char *name, struct err *e)
{
	if (address_parse(at, text, false, e) < 0)
		return -1;
	if (at->bind)
		return err_code(e, EX_USAGE, "'%s': the stage binds it, not %s", text, name);
	return 0;
}

struct observer *observer_open(struct address *at, const char *name, struct curve *keys,
			       bool insecure, struct err *e)
{
	struct observer *o = calloc(1, sizeof *o);
	char host[WIRE_NAME_MAX - 24] = "localhost", worker[WIRE_NAME_MAX];

	if (!o || !(o->link.context = context_new())) {
		free(o);
		err_code(e, EX_TEMPFAIL, "no memory");
		return NULL;
	}
	struct message_hello *self = &o->link.setup.core.self;
	*self = (struct message_hello){ .version = WIRE_VERSION,
					.role = ROLE_OBSERVER,
					.max_frame = FRAME_PAYLOAD_MAX,
					.heartbeat_ms = BEAT_NS / 1000000 };
	hash_random(self->instance, sizeof self->instance);
	snprintf(self->stage, sizeof self->stage, "%s", name);
	gethostname(host, sizeof host);
	host[sizeof host - 1] = '\0';
	snprintf(worker, sizeof worker, "%s/%ld", host, (long)getpid());
	err_clean(self->worker, sizeof self->worker, worker);
	o->hello_at = INT64_MAX;
	o->link.setup.curve = keys;
	o->link.setup.insecure = insecure;
	o->link.ports = 1;
	o->link.port[0] = (struct port){ .address = at, .peer = -1 };
	if (socket_open(&o->link, &o->link.port[0], e) < 0)
		observer_close(&o);
	return o;
}

static void say(struct observer *o, struct message *m)
{
	uint8_t header[WIRE_HEADER_MAX];
	struct err e;

	m->session = o->session;
	int n = wire_encode(m, header, sizeof header, &e);
	if (n > 0)
		zmq_send(o->link.port[0].socket, header, (size_t)n, ZMQ_DONTWAIT);
	o->said = clock_mono_ns();
}

void observer_close(struct observer **observer)
{
	struct observer *o = *observer;
	struct message bye = { .kind = MESSAGE_BYE, .code = CODE_DONE };

	if (!o)
		return;
	if (o->session)
		say(o, &bye);
	socket_linger(&o->link.port[0], o->session ? LINGER_MS : 0);
	socket_close(&o->link.port[0]);
	zmq_ctx_term(o->link.context);
	free(o);
	*observer = NULL;
}

static void greet(struct observer *o)
{
	struct message hello = { .kind = MESSAGE_HELLO, .as.hello = o->link.setup.core.self };

	o->session = 0;
	say(o, &hello);
	o->hello_at = clock_mono_ns() + 2 * (int64_t)BEAT_NS;
}

void observer_say(struct observer *o, enum message_kind kind, uint64_t upto)
{
	struct message m = { .kind = kind, .upto = upto };

	if (o->session)
		say(o, &m);
}

bool observer_put_off(const struct observer *o, struct err *e)
{
	if (!o->put_off.text[0])
		return false;
	*e = o->put_off;
	return true;
}

/* --- what comes --------------------------------------------------------------------------------- */

/* The transport stands: greet. It is broken: whoever comes back is greeted when it stands again. */
static enum observer_news read_monitor(struct observer *o, struct err *e)
{
	enum observer_news news = OBSERVER_NONE;
	struct port *p = &o->link.port[0];
	uint32_t value = 0;
	int event;

	while ((event = monitor_event(p->monitor, &value)) != 0) {
		if (event & HANDSHAKE_FAILED) {
			char why[ERR_TEXT_MAX];
			bool sure = refusal_words(&o->link, p, event, value, why, sizeof why);
			err_code(sure ? e : &o->put_off, EX_PROTOCOL, "%s", why);
			if (sure)
				return OBSERVER_REFUSED;
		} else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
			greet(o);
		} else if (event == ZMQ_EVENT_DISCONNECTED) {
			news = o->session ? OBSERVER_GONE : news;
			o->session = 0;
			o->hello_at = INT64_MAX;
		}
	}
	return news;
}

static enum observer_news on_reject(struct observer *o, const struct message *m, struct err *e)
{
	switch (m->code) {
	case CODE_SESSION:
		if (m->session == o->session && o->session) {
			greet(o);
			return OBSERVER_GONE;
		}
		return OBSERVER_NONE;
	case CODE_BUSY:
		err_code(&o->put_off, EX_UNAVAILABLE, "'%s': %s", o->link.port[0].address->url,
			 m->as.text);
		o->hello_at = clock_mono_ns() + AGAIN_NS;
		return OBSERVER_NONE;
	default:
		err_code(e, EX_PROTOCOL, "refused: %s",
			 m->as.text[0] ? m->as.text : "no reason given");
		return OBSERVER_REFUSED;
	}
}

static enum observer_news on_message(struct observer *o, struct message *m, struct err *e)
{
	struct message pong = { .kind = MESSAGE_PONG };

	if (m->kind == MESSAGE_REJECT)
		return on_reject(o, m, e);
	if (m->kind == MESSAGE_WELCOME && !o->session) {
		o->session = m->session;
		o->hello_at = INT64_MAX;
		o->put_off.text[0] = '\0';
		return OBSERVER_WELCOME;
	}
	if (m->session != o->session || !o->session)
		return OBSERVER_NONE;
	if (m->kind == MESSAGE_PING)
		say(o, &pong);
	return m->kind == MESSAGE_PONG || m->kind == MESSAGE_FRAME || m->kind == MESSAGE_BYE
		   ? OBSERVER_MESSAGE
		   : OBSERVER_NONE;
}

/* A payload that does not fit its header is nobody's picture: the message does not count. */
static int take_payload(struct message *m, zmq_msg_t *payload)
{
	struct err e;

	if (m->kind != MESSAGE_FRAME)
		return 0;
	if (wire_check_payload(m, payload ? zmq_msg_size(payload) : SIZE_MAX, &e) < 0)
		return -1;
	if (!payload)
		return 0;
	m->frame->payload = payload_wrap(payload);
	zmq_msg_init(payload);
	return m->frame->payload ? 0 : -1;
}

static enum observer_news read_socket(struct observer *o, struct message *m, struct err *e)
{
	enum observer_news news = OBSERVER_NONE;
	struct parts in;
	struct err why;

	while (news == OBSERVER_NONE && parts_receive(o->link.port[0].socket, &in)) {
		if (in.count <= 2 && wire_decode(zmq_msg_data(&in.part[0]),
						 zmq_msg_size(&in.part[0]), m, &why) == 0) {
			o->heard = clock_mono_ns();
			if (take_payload(m, in.count == 2 ? &in.part[1] : NULL) == 0)
				news = on_message(o, m, e);
			if (news == OBSERVER_NONE)
				message_clear(m);
		}
		for (int i = 0; i < in.count && i < 3; i++)
			zmq_msg_close(&in.part[i]);
	}
	return news;
}

/* --- time --------------------------------------------------------------------------------------- */

/* When there is something to do by the clock. */
static int64_t due(const struct observer *o, int64_t deadline)
{
	int64_t at = o->session ? o->said + BEAT_NS : o->hello_at;

	return at < deadline ? at : deadline;
}

static enum observer_news on_time(struct observer *o, int64_t now)
{
	if (o->session && now - o->heard > 4 * (int64_t)BEAT_NS) {
		greet(o);
		return OBSERVER_GONE;
	}
	if (o->session && now - o->said >= BEAT_NS)
		observer_say(o, MESSAGE_PING, 0);
	else if (!o->session && now >= o->hello_at)
		greet(o);
	return OBSERVER_NONE;
}

enum observer_news observer_wait(struct observer *o, struct message *m, int64_t deadline,
				 struct err *e)
{
	struct port *p = &o->link.port[0];
	enum observer_news news;

	for (;;) {
		if ((news = read_socket(o, m, e)) != OBSERVER_NONE ||
		    (news = read_monitor(o, e)) != OBSERVER_NONE)
			return news;
		int64_t now = clock_mono_ns();
		if ((news = on_time(o, now)) != OBSERVER_NONE || now >= deadline)
			return news;
		zmq_pollitem_t item[] = { { .socket = p->socket, .events = ZMQ_POLLIN },
					  { .socket = p->monitor, .events = ZMQ_POLLIN } };
		int64_t left = (due(o, deadline) - now + 999999) / 1000000;
		if (zmq_poll(item, 2,
			     left < 0       ? 0
			     : left > 60000 ? 60000
					    : (long)left) < 0 &&
		    errno != EINTR) {
			err_code(e, EX_OSERR, "%s", zmq_strerror(errno));
			return OBSERVER_REFUSED;
		}
	}
}
