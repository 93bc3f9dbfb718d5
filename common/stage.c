/* What all stages share, on the stage's own thread. The link's thread is on the other side of the
 * mailbox. */
#include "common/stage.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/link.h"
#include "common/log.h"
#include "common/mailbox.h"
#include "common/workers.h"

#ifndef ANDON_VERSION
#define ANDON_VERSION "0.1"
#endif

#define RETAIN_BYTES ((size_t)64 << 20)
#define RETAIN_FRAMES 1024
#define GRACE_NS 10000000000
#define MAX_TRIES 3
#define SECOND 1000000000

struct stage {
	const struct stage_spec *spec;
	struct option_row *shared;
	/* options */
	struct option_list in, out;
	const char *name;
	int64_t orphan_ms, heartbeat_ms;
	int verbose;
	bool quiet, help, man, version;

	char **operands;
	int operand_count;
	char worker[WIRE_NAME_MAX];
	int in_fd; /* where addresses are read if none are given */
	struct wants wants;
	int window;

	struct mailbox box;
	struct address *in_address, *out_address;
	struct link *link;
	bool opened, said; /* the mailbox is open; what broke was told */
	int code;          /* what broke */
	uint64_t frames_in, frames_out, failed;
	int64_t started_at;
	void (*acked)(void *context, const char *source, uint64_t run, uint64_t seq);
	void *acked_context;
	struct stage_total *totals; /* copies for the caller */
	struct stage_dropped *drops;
};

/* --- options ------------------------------------------------------------------------------------ */

static struct option_row *shared_options(struct stage *s)
{
	bool in = s->spec->pulls, out = s->spec->pushes;
	const struct option_row all[] = {
		{ "in", 0, OPTION_LIST, "URL", &s->in,
		  "take frames from there, instead of the addresses on standard input", 0, 0 },
		{ "out", 0, OPTION_LIST, "URL", &s->out,
		  "give frames there, instead of printing an address on standard output", 0, 0 },
		{ "name", 0, OPTION_TEXT, "NAME", &s->name,
		  "what results and messages call this stage", 0, 0 },
		{ "heartbeat", 0, OPTION_TIME, "TIME", &s->heartbeat_ms,
		  "let the neighbours hear at least this often; four such silences mean death", 20,
		  60000 },
		{ "orphan-timeout", 0, OPTION_TIME, "TIME", &s->orphan_ms,
		  "give up (exit 75) when there was no neighbour for so long; 0: never", 0, 4e12 },
		{ "verbose", 'v', OPTION_COUNT, NULL, &s->verbose, "say more; twice: still more", 0,
		  0 },
		{ "quiet", 'q', OPTION_FLAG, NULL, &s->quiet, "say nothing but errors", 0, 0 },
		{ "help", 'h', OPTION_FLAG, NULL, &s->help, "print this and exit", 0, 0 },
		{ "man", 0, OPTION_FLAG, NULL, &s->man, "print the manual page (roff) and exit", 0,
		  0 },
		{ "version", 0, OPTION_FLAG, NULL, &s->version, "print the version and exit", 0,
		  0 },
	};
	size_t n = sizeof all / sizeof all[0], used = 0;
	struct option_row *rows = calloc(n + 1, sizeof *rows);

	for (size_t i = 0; rows && i < n; i++)
		if ((i != 0 || in) && (i != 1 || out))
			rows[used++] = all[i];
	return rows;
}

static void leave(const struct stage_spec *spec, const struct err *e)
{
	log_open(spec->manual.name, 0);
	log_error("%s", e->text);
	exit(e->code);
}

/* --help and the like end the program with what they print. */
static void print_and_exit(const struct stage *s)
{
	if (s->help)
		option_help(stdout, &s->spec->manual, s->spec->options, s->shared);
	else if (s->man)
		option_man(stdout, &s->spec->manual, s->spec->options, s->shared);
	else if (s->version)
		printf("%s (andon) %s\n", s->spec->manual.name, ANDON_VERSION);
	else
		return;
	exit(fflush(stdout) == 0 ? 0 : EX_IOERR);
}

static void check_operands(const struct stage *s, struct err *e)
{
	const struct stage_spec *spec = s->spec;
	int n = s->operand_count;

	if (spec->operands_most >= 0 && n > spec->operands_most)
		err_code(e, EX_USAGE, "'%s' is one argument too many; try --help",
			 s->operands[spec->operands_most]);
	else if (n < spec->operands_least)
		err_code(e, EX_USAGE, "%s is missing; try --help",
			 spec->manual.operands ? spec->manual.operands : "an argument");
	else
		return;
	leave(spec, e);
}

static struct address *addresses(const struct option_list *list, bool binds, struct err *e)
{
	struct address *a = calloc(list->count + 1, sizeof *a);

	if (!a) {
		err_code(e, EX_TEMPFAIL, "no memory");
		return NULL;
	}
	for (size_t i = 0; i < list->count; i++)
		if (address_parse(&a[i], list->item[i], binds, e) < 0) {
			err_at(e, "%s", binds ? "--out" : "--in");
			free(a);
			return NULL;
		}
	return a;
}

static void name_worker(struct stage *s, int number)
{
	char host[WIRE_NAME_MAX - 24] = "localhost", raw[WIRE_NAME_MAX];

	gethostname(host, sizeof host);
	host[sizeof host - 1] = '\0';
	if (number)
		snprintf(raw, sizeof raw, "%s/%ld#%d", host, (long)getpid(), number);
	else
		snprintf(raw, sizeof raw, "%s/%ld", host, (long)getpid());
	err_clean(s->worker, sizeof s->worker, raw);
}

struct stage *stage_open(const struct stage_spec *spec, int argc, char **argv)
{
	struct stage *s = calloc(1, sizeof *s);
	struct err e;

	if (s) {
		s->spec = spec;
		s->in_fd = STDIN_FILENO;
		s->heartbeat_ms = 1000;
		s->orphan_ms = 300000;
		s->shared = shared_options(s);
	}
	if (!s || !s->shared) {
		err_code(&e, EX_TEMPFAIL, "no memory");
		leave(spec, &e);
	}
	int first = option_parse(spec->options, s->shared, argc, argv, &e);
	if (first < 0)
		leave(spec, &e);
	print_and_exit(s);
	s->operands = argv + first;
	s->operand_count = argc - first;
	check_operands(s, &e);
	s->in_address = addresses(&s->in, false, &e);
	s->out_address = s->in_address ? addresses(&s->out, true, &e) : NULL;
	if (!s->out_address)
		leave(spec, &e);
	log_open(spec->manual.name, s->quiet ? -1 : s->verbose);
	name_worker(s, 0);
	s->started_at = clock_mono_ns();
	return s;
}

int stage_operands(const struct stage *s, char ***operands)
{
	*operands = s->operands;
	return s->operand_count;
}

const char *stage_name(const struct stage *s)
{
	return s->name ? s->name : s->spec->manual.name;
}

const char *stage_worker(const struct stage *s)
{
	return s->worker;
}

void stage_window(struct stage *s, int frames)
{
	s->window = frames < 1 ? 1 : frames;
}

void stage_want(struct stage *s, const struct wants *wants)
{
	s->wants = *wants;
}

int stage_fork_workers(struct stage *s, int n, struct err *e)
{
	const struct address *at[] = { s->in_address, s->out_address };
	size_t counts[] = { s->in.count, s->out.count };

	if (n < 2)
		return 0;
	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < counts[side]; i++)
			if (at[side][i].bind)
				return err_code(
				    e, EX_USAGE,
				    "%d workers cannot all bind '%s'; let them connect:", n,
				    at[side][i].url);
	int in_fd = s->spec->pulls && s->in.count == 0 ? s->in_fd : -1;
	int number = workers_fork(n, &in_fd);
	if (in_fd >= 0)
		s->in_fd = in_fd;
	name_worker(s, number);
	return 0;
}

/* --- start -------------------------------------------------------------------------------------- */

/* The address goes out in one write, so that lines of several workers do not mix. */
static int print_address(const struct address *a, struct err *e)
{
	char line[ADDRESS_MAX + 1];
	int n = snprintf(line, sizeof line, "%s\n", a->url);

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		return err_code(e, EX_IOERR, "cannot print the address: %s", strerror(errno));
	if (isatty(STDOUT_FILENO))
		log_warn("this is where the next stage finds the frames; give it the line above on "
			 "its standard input, or as --in");
	return 0;
}

static void fill_setup(struct stage *s, struct link_setup *setup)
{
	struct link_core_config *core = &setup->core;
	struct message_hello *self = &core->self;

	setup->in = s->in_address;
	setup->in_count = s->in.count;
	setup->out = s->out_address;
	setup->out_count = s->out.count;
	setup->leaves = s->in.count > 0;
	core->pulls = s->spec->pulls;
	core->pushes = s->spec->pushes;
	core->more_upstreams = s->spec->pulls && s->in.count == 0;
	core->window = s->window;
	core->retain_bytes = RETAIN_BYTES;
	core->retain_frames = RETAIN_FRAMES;
	core->max_tries = MAX_TRIES;
	core->orphan_ns = s->orphan_ms * 1000000;
	core->grace_ns = GRACE_NS;
	hash_random(&core->seed, sizeof core->seed);
	hash_random(self->instance, sizeof self->instance);
	err_clean(self->stage, sizeof self->stage, stage_name(s));
	memcpy(self->worker, s->worker, sizeof self->worker);
	self->wants = s->wants;
	self->max_frame = FRAME_PAYLOAD_MAX;
	self->heartbeat_ms = (uint32_t)s->heartbeat_ms;
}

/* A frame that crashes the stage at once would never be blamed: the word that it was begun is still
 * on its way. Let the link's thread send it, then die of the signal. */
static void on_crash(int number)
{
	struct timespec rest = { 0, 30000000 };

	nanosleep(&rest, NULL);
	raise(number);
}

static void catch_crashes(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	static _Alignas(16) char stack[16384];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction was,
	    act = { .sa_handler = on_crash, .sa_flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK };

	sigemptyset(&act.sa_mask);
	if (sigaltstack(&alternate, NULL) < 0)
		return;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (sigaction(numbers[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			sigaction(numbers[i], &act, NULL);
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

int stage_start(struct stage *s, struct err *e)
{
	struct link_setup setup = { .in_fd = -1, .reader_fd = -1 };
	bool prints = s->spec->pushes && s->out.count == 0;

	if (s->opened)
		return 0;
	if (mailbox_open(&s->box, e) < 0)
		return -1;
	s->opened = true;
	s->box.keep_acked = s->acked != NULL;
	fill_setup(s, &setup);
	if (s->spec->pulls && s->spec->pushes)
		catch_crashes();
	if (setup.core.more_upstreams)
		setup.in_fd = s->in_fd;
	if (prints) {
		address_sweep();
		if (address_fresh(&s->out_address[0], e) < 0)
			return -1;
		setup.out_count = 1;
		setup.reader_fd = is_pipe(STDOUT_FILENO) ? STDOUT_FILENO : -1;
	}
	s->link = link_open(&setup, &s->box, e);
	if (!s->link)
		return -1;
	return prints ? print_address(&s->out_address[0], e) : 0;
}

/* Tell once why it cannot go on; -1. */
static int broken(struct stage *s, const struct err *why)
{
	if (!s->said)
		log_error("%s", why->text);
	s->said = true;
	s->code = why->code;
	return -1;
}

static int started(struct stage *s)
{
	struct err e;

	if (s->link)
		return 0;
	if (s->said)
		return -1;
	return stage_start(s, &e) < 0 ? broken(s, &e) : 0;
}

/* --- frames ------------------------------------------------------------------------------------- */

/* Tell the source what has become durable (lock held, and let go meanwhile). */
static void deliver_acked(struct stage *s)
{
	struct acked a;

	while (ring_get(&s->box.acked, &a)) {
		pthread_mutex_unlock(&s->box.lock);
		s->acked(s->acked_context, a.source, a.run, a.seq);
		pthread_mutex_lock(&s->box.lock);
	}
}

static int64_t deadline_in(int64_t timeout_ms)
{
	if (timeout_ms < 0 || timeout_ms > INT64_MAX / 2000000)
		return INT64_MAX;
	return clock_mono_ns() + timeout_ms * 1000000;
}

/* Take a frame from the mailbox (lock held). */
static bool take(struct stage *s, struct frame **f)
{
	struct command command = { .kind = COMMAND_TAKE };

	if (!ring_get(&s->box.frames, f))
		return false;
	command.as.delivery = (*f)->origin;
	mailbox_command(&s->box, &command);
	s->frames_in++;
	return true;
}

int stage_poll(struct stage *s, struct frame **f, int64_t timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);
	int result = 2;

	*f = NULL;
	if (started(s) < 0)
		return -1;
	pthread_mutex_lock(&s->box.lock);
	for (;;) {
		if (take(s, f))
			result = 1;
		else if (s->box.broken)
			result = -1;
		else if (s->box.ended)
			result = 0;
		else if (deadline == INT64_MAX || clock_mono_ns() < deadline) {
			mailbox_sleep(&s->box, -1, deadline);
			continue;
		}
		break;
	}
	pthread_mutex_unlock(&s->box.lock);
	if (result < 0)
		return broken(s, &s->box.why);
	if (result == 1 && s->spec->pushes)
		frame_timed(*f, stage_name(s), clock_real_ns(), 0);
	return result;
}

int stage_next(struct stage *s, struct frame **f)
{
	return stage_poll(s, f, -1);
}

/* The work is done: how long did it take? */
static void end_timing(const struct stage *s, struct frame *f)
{
	struct frame_time *t = f->time_count > 0 ? &f->time[f->time_count - 1] : NULL;

	if (f->origin && t && t->duration_ns == 0 &&
	    strncmp(t->stage, stage_name(s), sizeof t->stage - 1) == 0)
		t->duration_ns = clock_real_ns() - t->start_ns;
}

int stage_send(struct stage *s, struct frame **f)
{
	struct command command = { .kind = COMMAND_SEND, .as.frame = *f };
	int result = -1;

	if (started(s) < 0) {
		frame_free(f);
		return -1;
	}
	end_timing(s, *f);
	s->failed += (*f)->status != FRAME_OK;
	pthread_mutex_lock(&s->box.lock);
	s->box.waits_for_room = true;
	for (;;) {
		deliver_acked(s);
		if (s->box.broken || s->box.room > 0)
			break;
		mailbox_sleep(&s->box, -1, INT64_MAX);
	}
	s->box.waits_for_room = false;
	if (!s->box.broken && mailbox_command(&s->box, &command) == 0) {
		s->box.room--;
		s->frames_out++;
		*f = NULL;
		result = 0;
	} else if (!s->box.broken) {
		err_code(&s->box.why, EX_TEMPFAIL, "no memory for frames");
	}
	pthread_mutex_unlock(&s->box.lock);
	if (result < 0) {
		frame_free(f);
		return broken(s, &s->box.why);
	}
	return 0;
}

int stage_fail(struct stage *s, struct frame **f, const struct err *why)
{
	frame_fail(*f, why);
	return stage_send(s, f);
}

int stage_done(struct stage *s, struct frame **f)
{
	struct command command = { .kind = COMMAND_DONE, .as.delivery = (*f)->origin };

	frame_free(f);
	if (started(s) < 0)
		return -1;
	pthread_mutex_lock(&s->box.lock);
	int result = mailbox_command(&s->box, &command);
	bool broke = s->box.broken;
	pthread_mutex_unlock(&s->box.lock);
	return result < 0 || broke ? -1 : 0;
}

int stage_wanted(struct stage *s, struct wants *wants, struct err *e)
{
	int result;

	if (stage_start(s, e) < 0)
		return -1;
	pthread_mutex_lock(&s->box.lock);
	while (!s->box.wanted && !s->box.broken && !s->box.stopping)
		mailbox_sleep(&s->box, -1, INT64_MAX);
	result = s->box.wanted ? 1 : s->box.broken ? -1 : 0;
	if (result == 1)
		*wants = s->box.wants;
	if (result < 0) {
		*e = s->box.why;
		s->code = e->code;
		s->said = true; /* by the caller */
	}
	pthread_mutex_unlock(&s->box.lock);
	return result;
}

/* --- sources ------------------------------------------------------------------------------------ */

static int tell(struct stage *s, enum command_kind kind, const struct command_note *note)
{
	struct command command = { .kind = kind };
	int result = -1;

	if (started(s) < 0)
		return -1;
	command.as.note = malloc(sizeof *note);
	if (!command.as.note)
		return -1;
	*command.as.note = *note;
	pthread_mutex_lock(&s->box.lock);
	if (!s->box.broken)
		result = mailbox_command(&s->box, &command);
	pthread_mutex_unlock(&s->box.lock);
	if (result < 0)
		free(command.as.note);
	return result;
}

int stage_announce(struct stage *s, const char *source, uint64_t run, uint64_t total)
{
	struct command_note note = { .run = run, .first = total };

	snprintf(note.source, sizeof note.source, "%s", source);
	return tell(s, COMMAND_ANNOUNCE, &note);
}

int stage_drop(struct stage *s, const char *source, uint64_t run, uint64_t first, uint64_t last,
	       const char *reason)
{
	struct command_note note = { .run = run, .first = first, .last = last };

	snprintf(note.source, sizeof note.source, "%s", source);
	snprintf(note.reason, sizeof note.reason, "%s", reason);
	return tell(s, COMMAND_DROP, &note);
}

int stage_wait(struct stage *s, int fd, int64_t timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);
	int result = 0;

	if (started(s) < 0)
		return -1;
	pthread_mutex_lock(&s->box.lock);
	for (;;) {
		deliver_acked(s);
		if (s->box.stopping || s->box.broken) {
			result = -1;
			break;
		}
		if (mailbox_sleep(&s->box, fd, deadline)) {
			result = 1;
			break;
		}
		if (deadline != INT64_MAX && clock_mono_ns() >= deadline)
			break;
	}
	deliver_acked(s);
	bool broke = s->box.broken;
	pthread_mutex_unlock(&s->box.lock);
	return broke ? broken(s, &s->box.why) : result;
}

bool stage_stopping(const struct stage *s)
{
	struct mailbox *box = (struct mailbox *)&s->box;

	if (!s->link)
		return false;
	pthread_mutex_lock(&box->lock);
	bool stopping = box->stopping || box->broken;
	pthread_mutex_unlock(&box->lock);
	return stopping;
}

void stage_on_ack(struct stage *s,
		  void (*acked)(void *context, const char *source, uint64_t run, uint64_t seq),
		  void *context)
{
	s->acked = acked;
	s->acked_context = context;
	if (s->opened) {
		pthread_mutex_lock(&s->box.lock);
		s->box.keep_acked = acked != NULL;
		pthread_mutex_unlock(&s->box.lock);
	}
}

/* --- sinks -------------------------------------------------------------------------------------- */

/* A copy of a ring that nothing is ever taken out of; NULL inside if it is empty. */
static int copy_ring(struct stage *s, const struct ring *r, void **copy)
{
	int count = 0;

	free(*copy);
	*copy = NULL;
	if (!s->opened)
		return 0;
	pthread_mutex_lock(&s->box.lock);
	if (r->count && (*copy = malloc(r->count * r->item))) {
		memcpy(*copy, r->data, r->count * r->item);
		count = (int)r->count;
	}
	pthread_mutex_unlock(&s->box.lock);
	return count;
}

int stage_totals(struct stage *s, const struct stage_total **totals)
{
	void *copy = s->totals;
	int count = copy_ring(s, &s->box.totals, &copy);

	*totals = s->totals = copy;
	return count;
}

int stage_drops(struct stage *s, const struct stage_dropped **drops)
{
	void *copy = s->drops;
	int count = copy_ring(s, &s->box.drops, &copy);

	*drops = s->drops = copy;
	return count;
}

/* --- the end ------------------------------------------------------------------------------------ */

/* Bring the stream to its end, or leave it where it is if we gave up before its end. */
static void finish(struct stage *s, int code)
{
	uint64_t one = 1;
	struct err e;

	/* A source that had nothing still says so; a stage that never began to pull only printed something. */
	if (!s->link && !s->said && code == 0 && !s->spec->pulls && stage_start(s, &e) < 0)
		broken(s, &e);
	if (!s->link || s->said)
		return;
	pthread_mutex_lock(&s->box.lock);
	if (!s->spec->pulls || s->box.ended) {
		s->box.close_asked = true;
		if (write(s->box.link_fd, &one, sizeof one) < 0) {
			/* The bell is full: it rings already. */
		}
		for (;;) {
			/* It lets go of the lock: look only afterwards, or a last bell is missed. */
			deliver_acked(s);
			if (s->box.finished || s->box.broken)
				break;
			mailbox_sleep(&s->box, -1, INT64_MAX);
		}
	}
	bool broke = s->box.broken && !s->box.finished;
	pthread_mutex_unlock(&s->box.lock);
	if (broke)
		broken(s, &s->box.why);
}

static void say_statistics(const struct stage *s, const struct link_core_counts *n)
{
	double seconds = (double)(clock_mono_ns() - s->started_at) / SECOND;
	uint64_t frames = s->frames_in > s->frames_out ? s->frames_in : s->frames_out;

	log_info("%" PRIu64 " frames in, %" PRIu64 " out, %" PRIu64 " failed, %" PRIu64
		 " sent again, %.2f s, %.1f frames/s",
		 s->frames_in, s->frames_out, s->failed, n->resent, seconds,
		 seconds > 0 ? (double)frames / seconds : 0.0);
	log_debug("%" PRIu64 " duplicates, %" PRIu64 " ignored, %" PRIu64
		  " malformed messages, %" PRIu64 " silent peers",
		  n->duplicates, n->ignored, n->malformed, n->dead);
}

int stage_close(struct stage **stage, int code)
{
	struct stage *s = *stage;
	struct link_core_counts counts = { 0 };

	if (!s)
		return code;
	finish(s, code);
	link_close(&s->link, &counts);
	say_statistics(s, &counts);
	if (s->opened)
		mailbox_close(&s->box);
	if (s->out_address && s->out.count == 0)
		address_release(&s->out_address[0]);
	code = code ? code : s->code;
	option_free(s->shared);
	free(s->shared);
	free(s->in_address);
	free(s->out_address);
	free(s->totals);
	free(s->drops);
	free(s);
	*stage = NULL;
	return code;
}
