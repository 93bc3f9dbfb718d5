/* sink --eval: stored rows against true labels. */
#ifndef SINK_EVAL_H
#define SINK_EVAL_H

#include "common/err.h"
#include "common/option.h"
#include "sink/verdict.h"

/* labels: file of lines "NAME TAB LABEL" or "NAME,LABEL"; rows are matched by the base name of
 * their image. good: a label is good if a --good rule names it, or without rules if it is called
 * "good" or "ok". recalls: "LABEL=0.995" each; "ng" and "good" are by verdict
 * unless they are labels. Prints the confusion matrix. 0 fine, 1 a recall is
 * too low, -1 with *e. */
int eval_store(const char *labels, const char *store, const struct rules *good,
	       const struct option_list *recalls, struct err *e);

#endif
