/* What the link costs: four processes that do nothing (a source, two in the middle, a sink), by the link and by
 * ZeroMQ's plain PUSH and PULL, in turns within the same run.
 *
 *   hop [--rounds N] [--only TRANSPORT] [--bytes N] [--keygen PROGRAM] [--scale X]
 *   hop --side link|plain …     one of the two alone, for a profiler
 *
 * For each transport and size: frames a second, and the processor time (user and system, of all four processes) that
 * one frame costs on one hop. PUSH sends the caller's buffer without a copy, whoever is in the middle sends on the
 * message that came, high-water marks are the link's window. Nobody looks at the pixels, neither here nor there.
 * At the end: how long a frame of 150 KB takes from the source to the sink at 100 a second over ipc, once the
 * line stands: processes that start together connect to addresses that are not there yet, and try again 100 ms
 * later. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "common/stage.h"

#define HOPS 3
#define ROUNDS_MOST 25
#define STANDS 100 /* frames, a second: until then the line may still be connecting */
#define WINDOW_BYTES ((size_t)64 << 20)

enum transport { IPC, TCP, CURVE };
static const char *const transports[] = { "ipc", "tcp", "tcp+CURVE" };

struct run {
	bool link; /* or PUSH/PULL */
	enum transport transport;
	size_t bytes;
	int frames;
	int rate; /* frames a second, 0: as fast as it goes */
	int serial;
	char url[HOPS][96];
};

/* What the sink has seen, in memory that is shared with it. */
struct seen {
	int64_t first_ns, last_ns;
	int count;
	float latency_ms[4096];
};

static char scratch[] = "/tmp/andon-hop-XXXXXX";
static char keys[64];
static uint8_t public_key[41], secret_key[41];

static void die(const char *what)
{
	fprintf(stderr, "hop: %s: %s\n", what, zmq_strerror(errno));
	_exit(1);
}

static int window(size_t bytes)
{
	size_t n = WINDOW_BYTES / bytes;

	return n < 2 ? 2 : n > 64 ? 64 : (int)n;
}

static void saw(struct seen *seen, int64_t captured_ns)
{
	seen->last_ns = clock_mono_ns();
	if (seen->count == 0)
		seen->first_ns = seen->last_ns;
	if (captured_ns && seen->count < 4096)
		seen->latency_ms[seen->count] = (float)(clock_real_ns() - captured_ns) / 1e6f;
	seen->count++;
}

/* --- by the link -------------------------------------------------------------------------------- */

static struct stage *open_stage(const struct run *r, bool pulls, bool pushes, const char *in,
				const char *out)
{
	static struct stage_spec spec = { .manual = { .name = "hop", .summary = "nothing" } };
	const char *argv[8] = { "hop" };
	int argc = 1;

	spec.pulls = pulls;
	spec.pushes = pushes;
	if (in)
		argv[argc++] = "--in", argv[argc++] = in;
	if (out)
		argv[argc++] = "--out", argv[argc++] = out;
	if (r->transport == CURVE)
		argv[argc++] = "--keys", argv[argc++] = keys;
	return stage_open(&spec, argc, (char **)(uintptr_t)argv);
}

static struct frame *picture(const struct run *r, int seq)
{
	const int64_t shape[] = { 1, (int64_t)r->bytes, 1 };
	struct frame *f = frame_new();
	struct err e;

	snprintf(f->source, sizeof f->source, "hop");
	f->seq = (uint64_t)seq;
	if (frame_shape(f, FRAME_IMAGE, DTYPE_U8, 3, shape, &e) < 0)
		die(e.text);
	f->captured_ns = clock_real_ns();
	return f;
}

static int link_process(const struct run *r, int place, struct seen *seen)
{
	bool source = place == 0, sink = place == HOPS;
	struct stage *s = open_stage(r, !source, !sink, source ? NULL : r->url[place - 1],
				     sink ? NULL : r->url[place]);
	struct frame *f;

	for (int i = 0; source && i < r->frames; i++) {
		f = picture(r, i);
		if (stage_send(s, &f) < 0 || (r->rate && stage_wait(s, -1, 1000 / r->rate) < 0))
			break;
	}
	while (!source && stage_next(s, &f) == 1) {
		if (sink)
			saw(seen, f->captured_ns);
		if ((sink ? stage_done : stage_send)(s, &f) < 0)
			break;
	}
	return stage_close(&s, 0);
}

/* --- by PUSH and PULL --------------------------------------------------------------------------- */

static void *open_socket(const struct run *r, void *context, int type, const char *url)
{
	void *socket = zmq_socket(context, type);
	int most = window(r->bytes), one = 1;

	zmq_setsockopt(socket, ZMQ_SNDHWM, &most, sizeof most);
	zmq_setsockopt(socket, ZMQ_RCVHWM, &most, sizeof most);
	if (r->transport == CURVE) {
		zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public_key, sizeof public_key);
		zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret_key, sizeof secret_key);
		if (type == ZMQ_PUSH)
			zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one);
		else
			zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, public_key, sizeof public_key);
	}
	if ((type == ZMQ_PUSH ? zmq_bind : zmq_connect)(socket, url) < 0)
		die(url);
	return socket;
}

static int plain_process(const struct run *r, int place, struct seen *seen)
{
	void *context = zmq_ctx_new();
	void *in = place > 0 ? open_socket(r, context, ZMQ_PULL, r->url[place - 1]) : NULL;
	void *out = place < HOPS ? open_socket(r, context, ZMQ_PUSH, r->url[place]) : NULL;
	/* As many buffers as are under way: a camera does not send the same memory for ever. */
	int buffers = place ? 0 : 2 * window(r->bytes);
	uint8_t *buffer = place ? NULL : malloc(r->bytes * (size_t)buffers);
	zmq_msg_t m;

	if (buffer)
		memset(buffer, 1, r->bytes * (size_t)buffers);
	for (int i = 0; i < r->frames; i++) {
		if (in) {
			zmq_msg_init(&m);
			if (zmq_msg_recv(&m, in, 0) < 0)
				die("recv");
		} else {
			zmq_msg_init_data(&m, buffer + r->bytes * (size_t)(i % buffers), r->bytes,
					  NULL, NULL);
		}
		if (out && zmq_msg_send(&m, out, 0) < 0)
			die("send");
		if (!out) {
			saw(seen, 0);
			zmq_msg_close(&m);
		}
	}
	if (in)
		zmq_close(in);
	if (out)
		zmq_close(out);
	zmq_ctx_term(context);
	free(buffer);
	return 0;
}

/* --- a run -------------------------------------------------------------------------------------- */

static void name_urls(struct run *r)
{
	static int port = 20000;

	if (port == 20000)
		port += (int)(getpid() % 20000);
	for (int i = 0; i < HOPS; i++)
		if (r->transport == IPC)
			snprintf(r->url[i], sizeof r->url[i], "ipc://%s/%d-%d", scratch, r->serial,
				 i);
		else
			snprintf(r->url[i], sizeof r->url[i], "tcp://127.0.0.1:%d", port++);
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* Frames a second, and microseconds of processor time for a frame on a hop. */
static void go(struct run *r, struct seen *seen, double *rate, double *cost)
{
	static int serial;
	pid_t pid[HOPS + 1];
	double cpu = 0;

	r->serial = serial++;
	name_urls(r);
	memset(seen, 0, sizeof *seen);
	fflush(stdout);
	for (int place = HOPS; place >= 0; place--) {
		pid[place] = fork();
		if (pid[place] == 0)
			_exit((r->link ? link_process : plain_process)(r, place, seen));
	}
	for (int place = 0; place <= HOPS; place++) {
		struct rusage used;
		int status;
		if (wait4(pid[place], &status, 0, &used) < 0 || status != 0)
			die("a process failed");
		cpu += seconds(&used.ru_utime) + seconds(&used.ru_stime);
	}
	if (seen->count != r->frames)
		die("frames are missing");
	*rate = (r->frames - 1) / ((double)(seen->last_ns - seen->first_ns) / 1e9);
	*cost = cpu * 1e6 / r->frames / HOPS;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof *values, ascending);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void compare(enum transport transport, size_t bytes, int frames, int rounds,
		    struct seen *seen)
{
	double rate[2][ROUNDS_MOST], cost[2][ROUNDS_MOST], ratio[ROUNDS_MOST];

	for (int i = 0; i < rounds; i++) {
		for (int k = 0; k < 2; k++) {
			/* Who goes first changes. */
			int which = (i + k) % 2;
			struct run r = { .link = which == 0,
					 .transport = transport,
					 .bytes = bytes,
					 .frames = frames };
			go(&r, seen, &rate[which][i], &cost[which][i]);
		}
		ratio[i] = cost[0][i] / cost[1][i];
	}
	printf("%-10s %7.0f KB  %8.0f/s %8.1f us   %8.0f/s %8.1f us   %.2f\n",
	       transports[transport], (double)bytes / 1000, median(rate[0], rounds),
	       median(cost[0], rounds), median(rate[1], rounds), median(cost[1], rounds),
	       median(ratio, rounds));
	fflush(stdout);
}

static void alone(int side, enum transport transport, size_t bytes, int frames, struct seen *seen)
{
	struct run r = {
		.link = side == 0, .transport = transport, .bytes = bytes, .frames = frames
	};
	double rate, cost;

	go(&r, seen, &rate, &cost);
	printf("%-10s %7.0f KB  %8.0f/s %8.1f us\n", transports[transport], (double)bytes / 1000,
	       rate, cost);
}

static void latency(struct seen *seen)
{
	struct run r = {
		.link = true, .transport = IPC, .bytes = 150000, .frames = 500, .rate = 100
	};
	double rate, cost, ms[4096], first;

	go(&r, seen, &rate, &cost);
	first = (double)seen->latency_ms[0];
	int n = seen->count - STANDS;
	for (int i = 0; i < n; i++)
		ms[i] = (double)seen->latency_ms[STANDS + i];
	median(ms, n);
	printf("source to sink over three hops, 150 KB, %.0f/s, ipc: p50 %.3f ms, p99 %.3f ms, "
	       "%.0f us of processor time a frame and hop (the first frame waited %.0f ms for the "
	       "line to stand)\n",
	       rate, ms[n / 2], ms[n * 99 / 100], cost, first);
}

static bool make_keys(const char *program)
{
	char command[512];

	snprintf(keys, sizeof keys, "%s/keys", scratch);
	snprintf(command, sizeof command, "'%s' '%s' --name 127.0.0.1 >/dev/null", program, keys);
	return zmq_has("curve") && system(command) == 0 &&
	       zmq_curve_keypair((char *)public_key, (char *)secret_key) == 0;
}

int main(int argc, char **argv)
{
	/* So many frames that the start of a process is nothing beside them. */
	static const struct {
		size_t bytes;
		int frames;
	} sizes[] = { { 150000, 12000 }, { 600000, 4000 }, { 6000000, 400 } };
	const char *only = "", *keygen = NULL;
	double scale = 1;
	int rounds = 5, side = -1;
	size_t only_bytes = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--rounds") == 0)
			rounds = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--only") == 0)
			only = argv[i + 1];
		else if (strcmp(argv[i], "--keygen") == 0)
			keygen = argv[i + 1];
		else if (strcmp(argv[i], "--bytes") == 0)
			only_bytes = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--side") == 0)
			side = strcmp(argv[i + 1], "link") == 0 ? 0 : 1;
		else if (strcmp(argv[i], "--scale") == 0)
			scale = atof(argv[i + 1]);
	}
	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MOST ? ROUNDS_MOST : rounds;
	struct seen *seen =
	    mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED || !mkdtemp(scratch))
		die("set-up");
	printf("medians of %d runs each, in turns     the link              PUSH/PULL            "
	       "time, ratio\n",
	       rounds);
	for (enum transport t = IPC; t <= CURVE; t++) {
		if (*only && strcmp(only, transports[t]) != 0)
			continue;
		if (t == CURVE && (!keygen || !make_keys(keygen))) {
			printf("%-10s skipped: no keys\n", transports[t]);
			continue;
		}
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			int frames = (int)(sizes[i].frames * scale / (t == CURVE ? 4 : 1));
			if (only_bytes && only_bytes != sizes[i].bytes)
				continue;
			if (side < 0)
				compare(t, sizes[i].bytes, frames, rounds, seen);
			else
				alone(side, t, sizes[i].bytes, frames, seen);
		}
	}
	if (side < 0 && (!*only || strcmp(only, "ipc") == 0))
		latency(seen);
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", scratch);
	return system(command) != 0;
}
