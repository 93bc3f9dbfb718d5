/* From a network's output to a verdict's material: scores, labels, the best few. */
#ifndef INFER_CLASSIFY_H
#define INFER_CLASSIFY_H

#include "common/frame.h"
#include "common/labels.h"
#include "infer/model.h"

#define CLASSIFY_TOP_MAX 5

enum score_activation { SCORES_AUTO, SCORES_SOFTMAX, SCORES_SIGMOID, SCORES_NONE };

struct classifier {
	enum score_activation activation; /* not SCORES_AUTO */
	int top;
	size_t classes;
	struct labels labels;             /* empty: classes are named by their number */
	char joined[FRAME_META_TEXT_MAX]; /* all labels, or "" if they do not fit */
	char model[FRAME_META_TEXT_MAX];
	char sha256[HASH_HEX];
	const char *kernels, *worker;
};

/* "auto", "softmax", "sigmoid", "none": 0, or -1 with *e (EX_USAGE). */
int classify_activation(enum score_activation *a, const char *name, struct err *e);

/* What auto means for this model; refuses labels that do not fit its classes. */
int classify_ready(struct classifier *c, const struct model *m, int batch, struct err *e);

/* Turn frame f into scores, from picture number place of the model's first output. -1 with *e if a
 * score is not finite or memory is short. */
int classify(const struct classifier *c, const struct model *m, int place, struct frame *f,
	     struct err *e);

#endif
