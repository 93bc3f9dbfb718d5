/* CURVE and ZAP (ZeroMQ's RFC 26 and 27) with libzmq. Keys stay in Z85 throughout: libzmq takes them
 * so, and its answers to us are the only place where 32 raw bytes appear. */
#include "common/curve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/frame.h"
#include "common/link_socket.h"
#include "common/log.h"

#define ZAP_ADDRESS "inproc://zeromq.zap.01"
#define DOMAIN "andon"
#define SAID_MAX 32
#define TEST_NS 20000000000

/* Stable in libzmq since 4.3, though its header names it among the drafts: without an answer to the
 * question who somebody is, he is refused. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

struct curve {
	struct keys keys;
	char public[KEY_SIZE];
	void *zap;
	char said[SAID_MAX][KEY_SIZE]; /* strangers that were named already */
	int said_count;
};

int curve_pair(char public[KEY_SIZE], char secret[KEY_SIZE], struct err *e)
{
	if (zmq_curve_keypair(public, secret) < 0)
		return err_code(e, EX_UNAVAILABLE, "no keys can be made: %s",
				errno == ENOTSUP ? "this libzmq knows no CURVE"
						 : zmq_strerror(errno));
	return 0;
}

struct curve *curve_open(const char *directory, struct err *e)
{
	struct curve *c = calloc(1, sizeof *c);

	if (!c) {
		err_code(e, EX_OSERR, "no memory for keys");
		return NULL;
	}
	if (keys_read(&c->keys, directory, e) < 0) {
		curve_close(&c);
		return NULL;
	}
	if (zmq_curve_public(c->public, c->keys.secret) < 0) {
		err_code(e, EX_UNAVAILABLE, "keys cannot be used: %s",
			 errno == ENOTSUP ? "this libzmq knows no CURVE" : zmq_strerror(errno));
		curve_close(&c);
	}
	return c;
}

int curve_options(const char *directory, bool insecure, struct curve **c, struct err *e)
{
	*c = NULL;
	if (directory && insecure)
		return err_code(e, EX_USAGE, "--keys and --insecure contradict each other");
	if (!directory)
		return 0;
	*c = curve_open(directory, e);
	return *c ? 0 : err_at(e, "--keys");
}

void curve_close(struct curve **curve)
{
	struct curve *c = *curve;

	if (!c)
		return;
	curve_deafen(c);
	keys_wipe(&c->keys);
	free(c);
	*curve = NULL;
}

/* --- options ------------------------------------------------------------------------------------ */

static int set(void *socket, int option, const void *value, size_t size, struct err *e)
{
	if (zmq_setsockopt(socket, option, value, size) < 0)
		return err_code(e, EX_UNAVAILABLE, "libzmq refuses its option %d for keys: %s",
				option, zmq_strerror(errno));
	return 0;
}

int curve_serve(const struct curve *c, void *socket, struct err *e)
{
	int one = 1;

	if (set(socket, ZMQ_CURVE_SERVER, &one, sizeof one, e) < 0 ||
	    set(socket, ZMQ_CURVE_SECRETKEY, c->keys.secret, KEY_SIZE, e) < 0 ||
	    set(socket, ZMQ_ZAP_DOMAIN, DOMAIN, strlen(DOMAIN), e) < 0 ||
	    set(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &one, sizeof one, e) < 0)
		return -1;
	return 0;
}

static int call_as(void *socket, const char *public, const char *secret, const char *server,
		   struct err *e)
{
	if (set(socket, ZMQ_CURVE_SERVERKEY, server, KEY_SIZE, e) < 0 ||
	    set(socket, ZMQ_CURVE_PUBLICKEY, public, KEY_SIZE, e) < 0 ||
	    set(socket, ZMQ_CURVE_SECRETKEY, secret, KEY_SIZE, e) < 0)
		return -1;
	return 0;
}

int curve_call(const struct curve *c, void *socket, const char *server, struct err *e)
{
	return call_as(socket, c->public, c->keys.secret, server, e);
}

int curve_expects(const struct curve *c, const char *url, char key[KEY_SIZE], struct err *e)
{
	char host[ADDRESS_MAX];

	address_host(url, host);
	const char *found = keys_of_host(&c->keys, host);
	if (!found && address_is_loopback(url))
		found = c->public;
	if (!found)
		return err_code(e, EX_NOINPUT,
				"'%s': there is no %s/peers/%s.key: copy it from that machine, or "
				"under this name",
				url, c->keys.directory, host);
	memcpy(key, found, KEY_SIZE);
	return 0;
}

/* --- who may come in ---------------------------------------------------------------------------- */

bool curve_admits(const struct curve *c, const char *key)
{
	return strcmp(key, c->public) == 0 || keys_name(&c->keys, key);
}

/* Once for each stranger: he tries again for ever. */
static void say_refused(struct curve *c, const char *key, const char *from)
{
	for (int i = 0; i < c->said_count; i++)
		if (strcmp(c->said[i], key) == 0)
			return;
	if (c->said_count == SAID_MAX)
		return;
	memcpy(c->said[c->said_count++], key, KEY_SIZE);
	log_warn("refused: somebody from %s, whose key '%s' is not in %s/peers%s", from, key,
		 c->keys.directory, c->said_count == SAID_MAX ? " (no more such lines)" : "");
}

/* One question: version, id, domain, address, routing id, mechanism, and with CURVE the key. */
enum { VERSION, ID, ZAP_DOMAIN, FROM, ROUTING_ID, MECHANISM, KEY, PARTS };

struct question {
	zmq_msg_t part[PARTS];
	int count; /* of parts that came; those above PARTS are not kept */
};

/* 1, 0: none there, -1: broken. */
static int receive(void *zap, struct question *q)
{
	int more = 1;

	q->count = 0;
	while (more) {
		zmq_msg_t extra, *part = q->count < PARTS ? &q->part[q->count] : &extra;
		zmq_msg_init(part);
		if (zmq_msg_recv(part, zap, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(part);
			return q->count == 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
		}
		more = zmq_msg_more(part);
		if (part == &extra)
			zmq_msg_close(part);
		q->count++;
	}
	return 1;
}

static bool is(zmq_msg_t *part, const char *text)
{
	size_t n = strlen(text);

	return zmq_msg_size(part) == n && memcmp(zmq_msg_data(part), text, n) == 0;
}

static bool admit(struct curve *c, struct question *q, char key[KEY_SIZE])
{
	char from[64];

	if (q->count != PARTS || !is(&q->part[VERSION], "1.0") ||
	    !is(&q->part[ZAP_DOMAIN], DOMAIN) || !is(&q->part[MECHANISM], "CURVE") ||
	    zmq_msg_size(&q->part[KEY]) != 32 ||
	    !zmq_z85_encode(key, zmq_msg_data(&q->part[KEY]), 32))
		return false;
	if (curve_admits(c, key))
		return true;
	snprintf(from, sizeof from, "%.*s", (int)zmq_msg_size(&q->part[FROM]),
		 (const char *)zmq_msg_data(&q->part[FROM]));
	say_refused(c, key, from);
	return false;
}

static int reply(struct curve *c, struct question *q)
{
	char key[KEY_SIZE] = "";
	bool good = admit(c, q, key);
	const char *parts[] = { good ? "200" : "400", good ? "OK" : "not let in", good ? key : "",
				"" };

	if (zmq_send(c->zap, "1.0", 3, ZMQ_SNDMORE) < 0 || q->count <= ID ||
	    zmq_send(c->zap, zmq_msg_data(&q->part[ID]), zmq_msg_size(&q->part[ID]), ZMQ_SNDMORE) <
		0)
		return -1;
	for (int i = 0; i < 4; i++)
		if (zmq_send(c->zap, parts[i], strlen(parts[i]), i < 3 ? ZMQ_SNDMORE : 0) < 0)
			return -1;
	return 0;
}

int curve_answer(struct curve *c, struct err *e)
{
	struct question q;

	for (;;) {
		int got = receive(c->zap, &q);
		int result = got == 1 ? reply(c, &q) : got;
		for (int i = 0; i < q.count && i < PARTS; i++)
			zmq_msg_close(&q.part[i]);
		if (result < 0)
			return err_code(e, EX_SOFTWARE,
					"who may come in cannot be answered any more: %s",
					zmq_strerror(errno));
		if (got == 0)
			return 0;
	}
}

void *curve_socket(const struct curve *c)
{
	return c->zap;
}

void curve_deafen(struct curve *c)
{
	if (c->zap)
		zmq_close(c->zap);
	c->zap = NULL;
}

/* --- the test at the start ---------------------------------------------------------------------- */

/* What becomes of a client with these keys: 1 let in, 0 refused, -1 with *e neither. */
static int knock(struct curve *c, void *client, void *monitor, const char *url, struct err *e)
{
	int64_t deadline = clock_mono_ns() + TEST_NS;

	if (zmq_connect(client, url) < 0)
		return err_code(e, EX_OSERR, "cannot connect to '%s': %s", url,
				zmq_strerror(errno));
	while (clock_mono_ns() < deadline) {
		zmq_pollitem_t at[2] = { { .socket = c->zap, .events = ZMQ_POLLIN },
					 { .socket = monitor, .events = ZMQ_POLLIN } };
		if (zmq_poll(at, 2, 100) < 0 && errno != EINTR)
			break;
		if (curve_answer(c, e) < 0)
			return -1;
		int event = monitor_event(monitor, NULL);
		if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
			return 1;
		if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
			return 0;
		if (event & HANDSHAKE_FAILED)
			break;
	}
	return err_code(e, EX_SOFTWARE, "no answer to a test of who is let in");
}

static int try_keys(struct curve *c, void *context, const char *url, const char *public,
		    const char *secret, struct err *e)
{
	void *client = zmq_socket(context, ZMQ_DEALER);
	void *monitor = client ? monitor_open(context, client) : NULL;
	int result = -1, zero = 0;

	if (!monitor)
		err_code(e, EX_OSERR, "no socket: %s", zmq_strerror(errno));
	else if (set(client, ZMQ_LINGER, &zero, sizeof zero, e) == 0 &&
		 call_as(client, public, secret, c->public, e) == 0)
		result = knock(c, client, monitor, url, e);
	monitor_close(client, monitor);
	return result;
}

static int try_door(struct curve *c, void *context, void *door, const char *url, struct err *e)
{
	char public[KEY_SIZE], secret[KEY_SIZE];
	int zero = 0;

	if (set(door, ZMQ_LINGER, &zero, sizeof zero, e) < 0 || curve_serve(c, door, e) < 0 ||
	    curve_pair(public, secret, e) < 0)
		return -1;
	if (zmq_bind(door, url) < 0)
		return err_code(e, EX_OSERR, "cannot bind '%s': %s", url, zmq_strerror(errno));
	c->said_count = SAID_MAX; /* this stranger is ours */
	int stranger = try_keys(c, context, url, public, secret, e);
	c->said_count = 0;
	if (stranger != 0)
		return stranger < 0 ? -1
				    : err_code(e, EX_SOFTWARE,
					       "a key that is not in the list was let in: "
					       "this libzmq cannot be trusted with --keys");
	int own = try_keys(c, context, url, c->public, c->keys.secret, e);
	return own == 0 ? err_code(e, EX_SOFTWARE, "our own key was refused") : own < 0 ? -1 : 0;
}

static int test(struct curve *c, void *context, struct err *e)
{
	struct address a;
	int result = -1;

	if (address_fresh(&a, e) < 0)
		return -1;
	void *door = zmq_socket(context, ZMQ_ROUTER);
	if (!door)
		err_code(e, EX_OSERR, "no socket: %s", zmq_strerror(errno));
	else
		result = try_door(c, context, door, a.url, e);
	if (door)
		zmq_close(door);
	address_release(&a);
	return result;
}

int curve_listen(struct curve *c, void *context, struct err *e)
{
	int zero = 0;

	c->zap = zmq_socket(context, ZMQ_REP);
	if (!c->zap)
		return err_code(e, EX_OSERR, "no socket: %s", zmq_strerror(errno));
	if (set(c->zap, ZMQ_LINGER, &zero, sizeof zero, e) < 0)
		return -1;
	if (zmq_bind(c->zap, ZAP_ADDRESS) < 0)
		return err_code(e, EX_SOFTWARE, "cannot bind '%s': %s", ZAP_ADDRESS,
				zmq_strerror(errno));
	return test(c, context, e) < 0 ? err_at(e, "--keys") : 0;
}

/* --- later -------------------------------------------------------------------------------------- */

int curve_reload(struct curve *c, struct err *e)
{
	c->said_count = 0;
	return keys_read_peers(&c->keys, e);
}

const char *curve_public(const struct curve *c)
{
	return c->public;
}

const char *curve_directory(const struct curve *c)
{
	return c->keys.directory;
}
