/* What all stages share: options, help, sockets, signals, time stamps, counts, exit code. The loop
 * stays in the stage's main.
 *
 * One frame in is one frame out. A frame that stage_next hands over belongs to the stage until it
 * is given back with exactly one of stage_send, stage_fail or stage_done; the frame received is the
 * frame sent, changed in place, and its input is acknowledged upstream when its output is
 * acknowledged downstream. Frames may be given back in any order, several may be held (a batch).
 *
 * All functions are for the one thread that called stage_open; it looks after the sockets while it waits in
 * one of them, and while it computes a thread of their own does, so computing for minutes is fine. */
#ifndef COMMON_STAGE_H
#define COMMON_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"
#include "common/option.h"
#include "common/wire.h"

struct stage;

struct stage_spec {
	struct option_manual manual;
	const struct option_row *options; /* the stage's own; shared ones are added */
	bool pulls, pushes;
	int operands_least, operands_most; /* -1: any number */
};

/* Parse the command line (--help, --version and mistakes end the program here). Opens no socket
 * yet. */
struct stage *stage_open(const struct stage_spec *spec, int argc, char **argv);

/* What stands after the options: count, and the pointers into argv. */
int stage_operands(const struct stage *s, char ***operands);

/* Name of this process in results: --name, or the stage's name; and "host/pid" for the worker
 * field. */
const char *stage_name(const struct stage *s);
const char *stage_worker(const struct stage *s);

/* -j N: become N workers (call it before any thread exists and before stage_start; after loading
 * what they can share). Returns in each worker, whose stage_worker then ends in "#1" … "#N"; the
 * calling process stays behind as their parent, hands them the addresses that arrive on stdin,
 * replaces one that is killed, and exits when all are done. n < 2: nothing happens. 0, or -1 with
 * *e: addresses that several processes cannot share. */
int stage_fork_workers(struct stage *s, int n, struct err *e);

/* Wait for neighbours for ever, unless --orphan-timeout says otherwise; call before stage_start. */
void stage_patient(struct stage *s);

/* Was --in given: do frames come from there, and not from standard input's addresses? */
bool stage_addressed(const struct stage *s);

/* Frames this stage will hold at once (receive window); call before stage_start. Default:
 * what 64 MiB hold, at least 2, at most 64. */
void stage_window(struct stage *s, int frames);

/* Say what this stage needs of its upstream; call before stage_start. */
void stage_want(struct stage *s, const struct wants *wants);

/* Open the sockets, print the address, start the link's thread. 0, or -1 with *e. stage_next and
 * stage_send call it themselves if nobody did. */
int stage_start(struct stage *s, struct err *e);

/* Wait until a downstream has said what it wants: 1 and *wants filled, 0 asked to stop, -1 with *e.
 */
int stage_wanted(struct stage *s, struct wants *wants, struct err *e);

/* Next frame: 1 and *f (now the caller's), 0 end of stream or asked to stop and drained, -1 broken
 * (said already). A stage that also pushes never sees frames whose status is not FRAME_OK: they are
 * passed on for it. */
int stage_next(struct stage *s, struct frame **f);

/* The same with a limit: 2 if nothing came within timeout_ms (0: only look). */
int stage_poll(struct stage *s, struct frame **f, int64_t timeout_ms);

/* Give a frame back. The frame is consumed, *f becomes NULL. 0, or -1 broken (said already).
 * stage_send: pass it on; waits while downstream has no room. A source makes its frames with
 * frame_new and sends them: source, run and seq must be set. stage_fail: pass it on as an error row
 * with this reason; if the reason is the system's (err_is_of_system), the stage is broken instead,
 * and the frame, which nobody acknowledged, is judged when it runs again. stage_done: (a stage that does not push) its row is durable: acknowledge. */
int stage_send(struct stage *s, struct frame **f);
int stage_fail(struct stage *s, struct frame **f, const struct err *why);
int stage_done(struct stage *s, struct frame **f);

/* --- for sources ------------------------------------------------------------------------------ */

/* How many frames (source, run) will have, if known: sink shows progress with it. */
int stage_announce(struct stage *s, const char *source, uint64_t run, uint64_t total);

/* What an earlier process emitted of (source, run), from seq 0 on, whose frames may come again:
 * dropped counts those drops that do not. ended: all of it is durable, no frame will come again, and
 * these are the final numbers. */
int stage_resume(struct stage *s, const char *source, uint64_t run, uint64_t emitted,
		 uint64_t dropped, bool ended);

/* Frames [first, last] of (source, run) were lost before they could be sent, and why. */
int stage_drop(struct stage *s, const char *source, uint64_t run, uint64_t first, uint64_t last,
	       const char *reason);

/* Sleep until fd is readable (fd may be -1), timeout_ms is over (-1: never) or somebody asks to
 * stop: 1, 0, -1. Acknowledgements are delivered meanwhile. */
int stage_wait(struct stage *s, int fd, int64_t timeout_ms);

/* Has the user, or the supervisor, asked to stop? A source then emits nothing more. */
bool stage_stopping(const struct stage *s);

/* Be told of each frame whose row is durable, and of each drop, by its first seq (in the calling
 * thread, inside stage_send, stage_wait and stage_close). */
void stage_on_ack(struct stage *s,
		  void (*acked)(void *context, const char *source, uint64_t run, uint64_t seq),
		  void *context);

/* --- for whoever reads a file again when it is asked to --------------------------------------- */

/* Be told of each SIGHUP (in the calling thread, inside stage_poll, stage_send and stage_wait): time
 * to open files anew or to read them again. Call it before stage_fork_workers and stage_start. (The
 * hang-up of a terminal is no such thing: it asks to stop.) */
void stage_on_hangup(struct stage *s, void (*hangup)(void *context), void *context);

/* --- for sinks -------------------------------------------------------------------------------- */

/* What the sources said of themselves, so far; complete once stage_next has returned 0. */
struct stage_total {
	char source[FRAME_SOURCE_MAX];
	uint64_t run;
	bool ended;       /* end of stream was seen: the numbers below are final */
	uint64_t first;   /* first seq */
	uint64_t emitted; /* frames sent, dropped ones included */
	uint64_t dropped;
	uint64_t expected; /* announced total, 0 if unknown */
};

struct stage_dropped {
	char source[FRAME_SOURCE_MAX];
	uint64_t run, first, last;
	char reason[FRAME_REASON_MAX];
	void *origin; /* the link's */
};

/* Copies of what is known, owned by the stage and valid until the next call: count. Drops are those
 * that were not yet given back with stage_drops_done: the first count of them are durable. */
int stage_totals(struct stage *s, const struct stage_total **totals);
int stage_drops(struct stage *s, const struct stage_dropped **drops);
int stage_drops_done(struct stage *s, int count);

/* ---------------------------------------------------------------------------------------------- */

/* End of stream downstream, wait for its acknowledgement, close all. code: what the stage itself
 * makes of it (0 fine). Returns the exit code and prints the statistics line at -v. */
int stage_close(struct stage **s, int code);

#endif
