/* Greetings that failed before a session could begin: in words, and once for each reason, because
 * whoever is refused tries again for ever. Of both sides only the one that breaks off knows why. */
#include "common/link_socket.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"

#define REFUSED_NS 1000000000   /* until the next try: it would end in the same way */
#define BROKEN_OFF_NS 200000000 /* perhaps somebody was just starting or ending */
#define BROKEN_OFF_SAID 3       /* in a row, before it is worth a word */
#define NOBODY_NS 20000000000   /* more than it takes to start in any order */

enum reason {
	NOT_ADMITTED = 1,
	OTHER_MECHANISM = 2,
	OTHER_KEY = 4,
	BROKEN_OFF = 8,
	NO_ANSWER = 16
};

static enum reason reason_of(int event, uint32_t value)
{
	if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
		return NOT_ADMITTED;
	if (event != ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
		return BROKEN_OFF;
	if (value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
		return OTHER_MECHANISM;
	if (value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
		return OTHER_KEY;
	return value >= ZMQ_PROTOCOL_ERROR_ZAP_UNSPECIFIED ? NO_ANSWER : BROKEN_OFF;
}

static void words(const struct link *l, const struct port *p, enum reason reason, char *text,
		  size_t size)
{
	const struct curve *c = l->setup.curve;
	const char *url = p->address->url;
	char host[ADDRESS_MAX] = "";

	if (!address_is_ipc(url))
		address_host(url, host);
	if (reason == NOT_ADMITTED)
		snprintf(text, size,
			 "'%s' refuses this machine's key '%s': copy it into the peers folder "
			 "there, and send the stage there SIGHUP",
			 url, c ? curve_public(c) : "");
	else if (reason == OTHER_MECHANISM && c)
		snprintf(text, size,
			 "'%s' uses no keys, and is not talked to: start it with --keys", url);
	else if (reason == OTHER_MECHANISM)
		snprintf(text, size, "'%s' asks for keys: give --keys DIR", url);
	else if (c && strcmp(p->key, curve_public(c)) == 0)
		snprintf(text, size,
			 "'%s' breaks off the greeting: it may have another key than this "
			 "machine's own, "
			 "which was expected for want of %s/peers/%s.key, or no keys",
			 url, curve_directory(c), host);
	else if (c)
		snprintf(text, size,
			 "'%s' breaks off the greeting: it may have another key than "
			 "%s/peers/%s.key, or no keys",
			 url, curve_directory(c), host);
	else
		snprintf(text, size,
			 "'%s' breaks off the greeting: is it one of andon's, and without --keys?",
			 url);
}

bool refusal_words(const struct link *l, const struct port *p, int event, uint32_t value,
		   char *text, size_t size)
{
	enum reason reason = reason_of(event, value);

	words(l, p, reason, text, size);
	return reason == NOT_ADMITTED || reason == OTHER_MECHANISM;
}

/* Strangers at a bound address. Who just breaks off may be anything that looks for open ports; whose
 * key is not in the list was named where the list was looked at. */
static void say_to_binder(const struct link *l, const char *url, enum reason reason)
{
	const struct curve *c = l->setup.curve;

	if (reason == OTHER_MECHANISM)
		log_warn("refused at '%s': somebody who uses %s", url,
			 c ? "no keys" : "keys, while we use none");
	else if (reason == OTHER_KEY)
		log_warn("refused at '%s': somebody who takes us for another machine: his peers "
			 "folder has another key under our name",
			 url);
	else if (reason == NO_ANSWER)
		log_warn("refused at '%s': somebody, without an answer whether he may come in",
			 url);
}

/* A guess is told when there is reason to believe it, and nothing better was told. */
static void say_to_connecter(struct link *l, struct port *p, int event, uint32_t value,
			     enum reason reason)
{
	char text[ERR_TEXT_MAX];
	bool sure = refusal_words(l, p, event, value, text, sizeof text);
	bool again = p->said & (sure ? (unsigned)reason : ~0u);

	if (!sure && ++p->broken_off < BROKEN_OFF_SAID)
		return;
	p->said |= reason;
	if (!again)
		log_warn("%s", text);
}

void link_on_refusal(struct link *l, struct port *p, int event, uint32_t value, int64_t now)
{
	enum reason reason = reason_of(event, value);

	log_debug("'%s': greeting failed, %#x %#x", p->address->url, (unsigned)event,
		  (unsigned)value);
	if (p->address->bind) {
		if (!(p->said & reason))
			say_to_binder(l, p->address->url, reason);
		p->said |= reason;
		return;
	}
	say_to_connecter(l, p, event, value, reason);
	/* ZeroMQ would try ten times in a second, and the core at once. */
	if (!p->fresh) {
		socket_close(p);
		p->open_at = now + (reason == BROKEN_OFF ? BROKEN_OFF_NS : REFUSED_NS);
	}
}

void link_on_retry(struct port *p, int64_t now)
{
	if (p->nobody_since == 0)
		p->nobody_since = now;
	if (p->nobody_said || now - p->nobody_since < NOBODY_NS)
		return;
	p->nobody_said = true;
	log_warn("nobody has been at '%s' for %d s: is it started, and is that its address?",
		 p->address->url, (int)(NOBODY_NS / 1000000000));
}

void link_on_greeting(struct port *p)
{
	p->broken_off = 0;
	p->nobody_since = 0;
	p->nobody_said = false;
}
