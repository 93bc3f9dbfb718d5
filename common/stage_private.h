/* Inside of a stage: shared by stage_open.c (command line), stage_start.c (addresses, the link), stage.c (the
 * work) and stage_books.c. */
#ifndef COMMON_STAGE_PRIVATE_H
#define COMMON_STAGE_PRIVATE_H

#include "common/letter.h"
#include "common/link.h"
#include "common/mailbox.h"
#include "common/stage.h"

#define ORPHAN_UNSAID (-1) /* orphan_ms: it was not given */

struct stage {
	const struct stage_spec *spec;
	struct option_row *shared;
	/* options */
	struct option_list in, out, status;
	const char *name, *dead_letter;
	int64_t orphan_ms, heartbeat_ms, work_ms, drain_ms, max_tries;
	int verbose;
	bool patient; /* waits for neighbours for ever, unless told */
	bool quiet, help, man, version, insecure;
	const char *keys; /* folder, NULL: none */

	char **operands;
	int operand_count;
	char worker[WIRE_NAME_MAX];
	bool replaced; /* one of -j N: a parent looks after us */
	int in_fd;     /* where addresses are read if none are given */
	struct wants wants;
	int window;

	struct mailbox box;
	struct address *in_address, *out_address, *status_address;
	struct curve *curve; /* what is in it */
	struct link *link;
	bool opened, said;  /* the mailbox is open; what broke was told */
	bool started;       /* and the link stands and its address is known … */
	struct err why_not; /* … or not, once opened */
	int code;           /* what broke */
	uint64_t frames_in, frames_out, failed;
	int64_t started_at;
	void (*acked)(void *context, const char *source, uint64_t run, uint64_t seq);
	void *acked_context;
	struct letters letters; /* --dead-letter */
	void (*hangup)(void *context);
	void *hangup_context;
	struct stage_total *totals; /* copies for the caller */
	struct stage_dropped *drops;
};

/* Open the link if that has not been done yet. 0, or -1: told. */
int stage_started(struct stage *s);
/* Tell once why it cannot go on; -1. */
int stage_broken(struct stage *s, const struct err *why);

#endif
