/* What came of asking one stage, and the forms in which it is said. */
#ifndef COMMON_PING_ANSWER_H
#define COMMON_PING_ANSWER_H

#include <stdio.h>

#include "common/observer.h"

struct answer {
	struct address at;
	bool there;      /* it has answered: who and state are set */
	const char *why; /* what is wrong, or NULL */
	int code;        /* the exit status that this is */
	struct message_hello who;
	struct message_state state;
	struct err e;
};

void answer_line(const struct answer *a, FILE *out); /* nothing if nobody answered */
void answer_json(const struct answer *a, FILE *out);

/* All of them in the text exposition format of Prometheus, version 0.0.4. */
void answer_metrics(const struct answer *answer, size_t count, FILE *out);

#endif
