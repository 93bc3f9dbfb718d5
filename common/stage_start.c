/* A stage starts: what the options said becomes a link, with an address that the next stage is told. */
#include "common/stage_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/folder.h"
#include "common/hash.h"
#include "common/log.h"

#define RETAIN_BYTES ((size_t)64 << 20)
#define RETAIN_FRAMES 1024
#define GRACE_NS 10000000000
#define ORPHAN_MS 300000

/* The address goes out in one write, so that lines of several workers do not mix. */
static int print_address(const struct address *a, struct err *e)
{
	char line[ADDRESS_MAX + 1];
	int n = snprintf(line, sizeof line, "%s\n", a->url);

	if (file_write(STDOUT_FILENO, line, (size_t)n) < 0)
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
	setup->status = s->status_address;
	setup->status_count = s->status.count;
	setup->leaves = s->in.count > 0;
	setup->drain_ns = s->drain_ms * 1000000;
	setup->replaced = s->replaced;
	setup->buried = s->dead_letter ? letters_keep : NULL;
	setup->buried_context = &s->letters;
	setup->curve = s->curve;
	setup->insecure = s->insecure;
	core->pulls = s->spec->pulls;
	core->pushes = s->spec->pushes;
	core->more_upstreams = s->spec->pulls && s->in.count == 0;
	core->window = s->window;
	core->retain_bytes = RETAIN_BYTES;
	core->retain_frames = RETAIN_FRAMES;
	core->max_tries = (int)s->max_tries;
	core->work_ns = s->work_ms * 1000000;
	core->orphan_ns = (s->orphan_ms != ORPHAN_UNSAID ? s->orphan_ms
			   : s->patient                  ? 0
							 : ORPHAN_MS) *
			  1000000;
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
	struct timespec rest = { 0, 100000000 };

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

static int start(struct stage *s, struct err *e)
{
	struct link_setup setup = { .in_fd = -1, .reader_fd = -1 };
	bool prints = s->spec->pushes && s->out.count == 0;

	if (s->dead_letter && s->max_tries == 0)
		return err_code(e, EX_USAGE,
				"--dead-letter: with --max-tries 0 no frame is ever given up");
	if (s->dead_letter && letters_open(&s->letters, s->dead_letter, e) < 0)
		return -1;
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

int stage_start(struct stage *s, struct err *e)
{
	if (!s->opened)
		s->started = start(s, &s->why_not) == 0;
	if (!s->started)
		*e = s->why_not;
	return s->started ? 0 : -1;
}
