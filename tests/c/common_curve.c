/* Keys when things go wrong around them: a library that lets everybody in must be noticed before anything
 * is bound, and whoever answers the question "may he come in?" no more lets nobody in.
 *
 * zmq_bind, zmq_setsockopt and zmq_msg_recv below stand before the library's own, and fail on request.
 *
 *   common_curve DIR URL   a stage with the keys of DIR whose answers fail at the first question after
 *                          its start
 *
 * run by: curve.bats */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "common/curve.h"
#include "common/frame.h"
#include "common/link_socket.h"
#include "common/log.h"
#include "common/stage.h"

#define ENFORCE_DOMAIN 93

static bool no_handler, no_enforcing; /* what the library below does not do */
static atomic_bool broken;
static int checks, failures;

int zmq_bind(void *socket, const char *url)
{
	int (*real)(void *, const char *) =
	    (int (*)(void *, const char *))dlsym(RTLD_NEXT, "zmq_bind");

	return real(socket, no_handler && strstr(url, "zap") ? "inproc://nobody-asks-here" : url);
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t size)
{
	int (*real)(void *, int, const void *, size_t) =
	    (int (*)(void *, int, const void *, size_t))dlsym(RTLD_NEXT, "zmq_setsockopt");

	return no_enforcing && option == ENFORCE_DOMAIN ? 0 : real(socket, option, value, size);
}

int zmq_msg_recv(zmq_msg_t *m, void *socket, int flags)
{
	int (*real)(zmq_msg_t *, void *, int) =
	    (int (*)(zmq_msg_t *, void *, int))dlsym(RTLD_NEXT, "zmq_msg_recv");
	int n = real(m, socket, flags), type = 0;
	size_t size = sizeof type;

	if (!broken || n < 0 || zmq_getsockopt(socket, ZMQ_TYPE, &type, &size) < 0 ||
	    type != ZMQ_REP)
		return n;
	errno = ENOMEM;
	return -1;
}

static void check(bool good, const char *what)
{
	checks++;
	if (good)
		return;
	failures++;
	printf("FAILED: %s\n", what);
}

static void write_key(const char *path, const char *kind, const char *key, mode_t mode)
{
	char text[KEY_FILE_MAX];
	int n = key_format(kind, key, "test", text);
	FILE *f = fopen(path, "w");

	if (!f || fwrite(text, 1, (size_t)n, f) != (size_t)n || fclose(f) != 0)
		exit(1);
	chmod(path, mode);
}

struct guest {
	char public[KEY_SIZE], secret[KEY_SIZE];
};

static struct curve *make_folder(const char *dir, struct guest *guest)
{
	char path[200], public[KEY_SIZE], secret[KEY_SIZE];
	struct err e;

	curve_pair(public, secret, &e);
	curve_pair(guest->public, guest->secret, &e);
	snprintf(path, sizeof path, "%s/peers", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/peers/guest.key", dir);
	write_key(path, "public", guest->public, 0644);
	snprintf(path, sizeof path, "%s/secret.key", dir);
	write_key(path, "secret", secret, 0600);
	struct curve *c = curve_open(dir, &e);
	if (!c)
		printf("%s\n", e.text);
	return c;
}

/* What a client with the guest's key sees within ms: an event, or 0. answering: somebody asks c. */
static int visit(struct curve *c, void *context, const char *url, const struct guest *g,
		 bool answering, int64_t ms)
{
	void *client = zmq_socket(context, ZMQ_DEALER), *monitor = monitor_open(context, client);
	int64_t deadline = clock_mono_ns() + ms * 1000000;
	int event = 0, zero = 0;
	struct err e;

	zmq_setsockopt(client, ZMQ_LINGER, &zero, sizeof zero);
	zmq_setsockopt(client, ZMQ_CURVE_SERVERKEY, curve_public(c), KEY_SIZE);
	zmq_setsockopt(client, ZMQ_CURVE_PUBLICKEY, g->public, KEY_SIZE);
	zmq_setsockopt(client, ZMQ_CURVE_SECRETKEY, g->secret, KEY_SIZE);
	zmq_connect(client, url);
	while (event == 0 && clock_mono_ns() < deadline) {
		zmq_pollitem_t at[2] = { { .socket = monitor, .events = ZMQ_POLLIN },
					 { .fd = -1, .events = ZMQ_POLLIN } };
		if (answering)
			at[1].socket = curve_socket(c);
		zmq_poll(at, 2, 50);
		if (answering)
			curve_answer(c, &e);
		event = monitor_event(monitor, NULL);
	}
	monitor_close(client, monitor);
	return event;
}

static void check_doors(const char *dir)
{
	struct guest guest, stranger;
	struct curve *c = make_folder(dir, &guest);
	void *context = zmq_ctx_new(), *door = zmq_socket(context, ZMQ_ROUTER);
	int zero = 0;
	char url[300];
	struct err e = { 0 };

	snprintf(url, sizeof url, "ipc://%s/door", dir);
	curve_pair(stranger.public, stranger.secret, &e);
	check(curve_listen(c, context, &e) == 0, "curve_listen");
	printf("%s\n", e.text);
	zmq_setsockopt(door, ZMQ_LINGER, &zero, sizeof zero);
	check(curve_serve(c, door, &e) == 0 && zmq_bind(door, url) == 0, "a door");
	check(visit(c, context, url, &guest, true, 20000) == ZMQ_EVENT_HANDSHAKE_SUCCEEDED,
	      "whose key is in the list is let in");
	check(visit(c, context, url, &stranger, true, 20000) == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
	      "whose key is not is refused");
	check(visit(c, context, url, &guest, false, 500) == 0,
	      "without an answer nobody is let in");
	curve_deafen(c);
	check(visit(c, context, url, &guest, false, 2000) != ZMQ_EVENT_HANDSHAKE_SUCCEEDED,
	      "without anybody to ask nobody is let in");
	zmq_close(door);
	zmq_ctx_term(context);
	curve_close(&c);
}

static void check_library(const char *dir)
{
	struct guest guest;
	struct curve *c = make_folder(dir, &guest);
	void *context = zmq_ctx_new();
	struct err e = { 0 };

	no_handler = no_enforcing = true;
	check(curve_listen(c, context, &e) < 0 && e.code == EX_SOFTWARE &&
		  strstr(e.text, "was let in"),
	      "a library that lets everybody in is found out");
	no_handler = no_enforcing = false;
	curve_deafen(c);
	zmq_ctx_term(context);

	context = zmq_ctx_new();
	no_handler = true;
	check(curve_listen(c, context, &e) < 0, "a library that asks nobody is found out");
	no_handler = false;
	curve_deafen(c);
	zmq_ctx_term(context);

	context = zmq_ctx_new();
	check(curve_listen(c, context, &e) == 0, "curve_listen");
	zmq_ctx_shutdown(context);
	check(curve_answer(c, &e) < 0 && e.code == EX_SOFTWARE, "the end of answers is told");
	curve_deafen(c);
	zmq_ctx_term(context);
	curve_close(&c);
}

static int stage(char *dir, char *url)
{
	static const struct stage_spec spec = {
		.manual = { "source", "answer no more", NULL, "For tests.", NULL, NULL },
		.pushes = true,
	};
	char *argv[] = { "source", "--keys", dir, "--out", url, NULL };
	struct stage *s = stage_open(&spec, 5, argv);
	struct err e;

	if (stage_start(s, &e) < 0) {
		log_error("%s", e.text);
		return stage_close(&s, e.code);
	}
	broken = true;
	stage_wait(s, -1, -1);
	return stage_close(&s, 0);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/curve-test-XXXXXX", line[100];

	if (argc == 3)
		return stage(argv[1], argv[2]);
	log_open("common_curve", -1);
	if (!mkdtemp(dir))
		return 1;
	check_doors(dir);
	check_library(dir);
	snprintf(line, sizeof line, "rm -r %s", dir);
	if (system(line) != 0)
		return 1;
	printf("%d checks, %d failed\n", checks, failures);
	return failures != 0;
}
