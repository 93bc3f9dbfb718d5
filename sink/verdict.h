/* Verdict rules: what the line calls good and what it rejects.
 *
 * In this order: an --ng rule whose label reaches its threshold makes the part ng, whether or not
 * the label has the highest score; a --good rule makes it good only if its label has the highest
 * score and reaches the threshold; all else is uncertain. An --ng rule for a label that the model
 * is known not to have (a typing error, another model) cannot be checked, so nothing is called
 * good. */
#ifndef SINK_VERDICT_H
#define SINK_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"
#include "common/labels.h"
#include "common/option.h"

struct rules;

/* What the network said of one part. */
struct judged {
	const struct frame *frame; /* for the runners-up, labels and model in its meta */
	const char *label;         /* of the highest score */
	float score;
	const float *scores; /* classes of them, or NULL if only the top is known */
	size_t classes;
};

struct verdict {
	const char *name; /* "good", "ng", "uncertain"; NULL without rules */
	char reason[FRAME_REASON_MAX];
	float threshold; /* NAN where no number decided */
};

/* From "LABEL:NUMBER" (the last colon counts); labels: the model's, if the user named a file (then
 * every rule must name one of them), or NULL. Either list may be empty. NULL with *e (EX_USAGE). */
struct rules *rules_new(const struct option_list *good, const struct option_list *ng,
			const struct labels *labels, struct err *e);
void rules_free(struct rules **r);

bool rules_any(const struct rules *r);
bool rules_call_good(const struct rules *r, const char *label); /* does a --good rule name it? */

/* Judge one part. */
void rules_judge(struct rules *r, const struct judged *part, struct verdict *verdict);

/* Complaints, each said once: is there a new one? Then *e holds it. */
bool rules_complaint(struct rules *r, struct err *e);

/* At the end: the n-th rule whose label was never seen in any form, as the user wrote it, or NULL.
 */
const char *rules_unseen(const struct rules *r, size_t n);

#endif
