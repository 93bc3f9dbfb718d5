/* A stage is opened: its command line, its workers. Nothing is begun yet: stage_start.c. */
#include "common/stage_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/notify.h"
#include "common/program.h"
#include "common/workers.h"

#define MAX_TRIES 3

/* --- options ------------------------------------------------------------------------------------ */

static struct option_row *shared_options(struct stage *s)
{
	bool in = s->spec->pulls, out = s->spec->pushes;
	const struct option_row all[] = {
		{ "in", 0, OPTION_LIST, "URL", &s->in,
		  "take frames from there, instead of the addresses on standard input", 0, 0 },
		{ "out", 0, OPTION_LIST, "URL", &s->out,
		  "give frames there, instead of printing an address on standard output", 0, 0 },
		{ "max-tries", 0, OPTION_INT, "N", &s->max_tries,
		  "a frame over which N workers downstream died or hung becomes an error row; 0: "
		  "never",
		  0, 1000 },
		{ "dead-letter", 0, OPTION_TEXT, "DIR", &s->dead_letter,
		  "keep such frames there, whole; capture DIR sends them again", 0, 0 },
		{ "work-timeout", 0, OPTION_TIME, "TIME", &s->work_ms,
		  "a worker downstream that is busy with one frame for so long is hung, and its "
		  "frames go to others; never unless given",
		  0, 4e12 },
		{ "status", 0, OPTION_LIST, "URL", &s->status,
		  "bind this too, for andon ping and andon tap alone (any other address that is "
		  "bound "
		  "serves them as well); with -j N: URL.1 to URL.N, or N ports of tcp from there",
		  0, 0 },
		{ "keys", 0, OPTION_TEXT, "DIR", &s->keys,
		  "encrypt tcp, and let in only whose key is in this folder (andon keygen makes "
		  "it; SIGHUP reads it again)",
		  0, 0 },
		{ "insecure", 0, OPTION_FLAG, NULL, &s->insecure,
		  "allow plain tcp beyond this machine", 0, 0 },
		{ "name", 0, OPTION_TEXT, "NAME", &s->name,
		  "what results and messages call this stage", 0, 0 },
		{ "heartbeat", 0, OPTION_TIME, "TIME", &s->heartbeat_ms,
		  "let the neighbours hear at least this often; four such silences mean death", 20,
		  60000 },
		{ "orphan-timeout", 0, OPTION_TIME, "TIME", &s->orphan_ms,
		  "give up (exit 75) when there was no neighbour for so long; 0: never, as with "
		  "--spool; else 5m unless given",
		  0, 4e12 },
		{ "drain-timeout", 0, OPTION_TIME, "TIME", &s->drain_ms,
		  "after SIGTERM, give up (exit 75) if what is under way is not finished in this "
		  "time; 0: never",
		  0, 4e12 },
		{ "verbose", 'v', OPTION_COUNT, NULL, &s->verbose, "say more; twice: still more", 0,
		  0 },
		{ "quiet", 'q', OPTION_FLAG, NULL, &s->quiet, "say nothing but errors", 0, 0 },
		{ "help", 'h', OPTION_FLAG, NULL, &s->help, "print this and exit", 0, 0 },
		{ "man", 0, OPTION_FLAG, NULL, &s->man, "print the manual page (roff) and exit", 0,
		  0 },
		{ "version", 0, OPTION_FLAG, NULL, &s->version, "print the version and exit", 0,
		  0 },
	};
	const size_t of_pushes =
	    4; /* the first is for stages that pull, then so many for those that push */
	size_t n = sizeof all / sizeof all[0], used = 0;
	struct option_row *rows = calloc(n + 1, sizeof *rows);

	for (size_t i = 0; rows && i < n; i++)
		if (i == 0 ? in : i > of_pushes || out)
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

static struct address *addresses(const struct option_list *list, bool binds, const char *option,
				 struct err *e)
{
	struct address *a = calloc(list->count + 1, sizeof *a);

	if (!a) {
		err_code(e, EX_TEMPFAIL, "no memory");
		return NULL;
	}
	for (size_t i = 0; i < list->count; i++)
		if (address_parse(&a[i], list->item[i], binds, e) < 0) {
			err_at(e, "%s", option);
			free(a);
			return NULL;
		}
	return a;
}

/* What is cut off could be what tells two stages, or two cameras, apart. */
static int name_fits(const struct stage *s, struct err *e)
{
	size_t length = s->name ? strlen(s->name) : 1;

	if (length == 0 || length >= WIRE_NAME_MAX)
		return err_code(e, EX_USAGE, "--name: a name has 1 to %d bytes, this one has %zu",
				WIRE_NAME_MAX - 1, length);
	return 0;
}

static int status_binds(const struct stage *s, struct err *e)
{
	for (size_t i = 0; i < s->status.count; i++)
		if (!s->status_address[i].bind)
			return err_code(e, EX_USAGE, "--status: '%s': it is bound, never connected",
					s->status.item[i]);
	return 0;
}

/* Keys, and whether addresses may be used at all: before any work is done. */
static int open_security(struct stage *s, struct err *e)
{
	struct address *at[] = { s->in_address, s->out_address, s->status_address };
	size_t counts[] = { s->in.count, s->out.count, s->status.count };

	if (curve_options(s->keys, s->insecure, &s->curve, e) < 0)
		return -1;
	/* The terminal's ends whoever has not begun yet; without one it is a supervisor's. */
	if (s->curve || !link_on_terminal())
		link_catch_hangups();
	for (int side = 0; side < 3; side++)
		for (size_t i = 0; i < counts[side]; i++)
			if (address_allow(&at[side][i], s->keys != NULL, s->insecure, e) < 0)
				return -1;
	return 0;
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
		s->letters.dir = -1;
		s->heartbeat_ms = 1000;
		s->orphan_ms = ORPHAN_UNSAID;
		s->max_tries = MAX_TRIES;
		s->drain_ms = 25000; /* less than Kubernetes (30 s) and systemd (90 s) wait */
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
	s->in_address = addresses(&s->in, false, "--in", &e);
	s->out_address = s->in_address ? addresses(&s->out, true, "--out", &e) : NULL;
	s->status_address = s->out_address ? addresses(&s->status, true, "--status", &e) : NULL;
	if (!s->status_address || name_fits(s, &e) < 0 || status_binds(s, &e) < 0 ||
	    open_security(s, &e) < 0)
		leave(spec, &e);
	log_open(spec->manual.name, s->quiet ? -1 : s->verbose);
	notify_open();
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

void stage_patient(struct stage *s)
{
	s->patient = true;
}

bool stage_addressed(const struct stage *s)
{
	return s->in.count > 0;
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
	struct address last;

	if (n < 2)
		return 0;
	for (size_t i = 0; i < s->status.count; i++) {
		last = s->status_address[i];
		if (address_number(&last, n, e) < 0)
			return err_at(e, "--status");
	}
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
	for (size_t i = 0; i < s->status.count; i++)
		address_number(&s->status_address[i], number, e);
	s->replaced = true;
	return 0;
}
