/* preprocess --check ref.npy image…: is this what the training code fed the network? */
#ifndef PREPROCESS_CHECK_H
#define PREPROCESS_CHECK_H

#include "common/err.h"
#include "common/recipe.h"
#include "common/stage.h"
#include "preprocess/npy.h"

/* Start `capture`, which stands beside this program, on the images, and make its address what stdin
 * says: this stage then receives the pictures like any other, decoded as they always are. Before
 * stage_start. 0 and the child's pid, or -1 with *e. */
int check_source(char **images, int *pid, struct err *e);

/* Wait for it: 0, or -1 with *e if it failed. */
int check_source_end(int pid, struct err *e);

/* Compare all tensors that the stage's pictures become with ref, one line on stdout for each, until
 * the stream ends. 0 all within the tolerance, 1 not, -1 with *e. */
int check_run(struct stage *s, const struct recipe *r, const struct npy *ref, double tolerance,
	      struct err *e);

#endif
