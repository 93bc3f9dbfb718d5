/* Scores: logits become probabilities where the model did not do it itself; then the best. */
#include "infer/classify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int classify_activation(enum score_activation *a, const char *name, struct err *e)
{
	static const char *const names[] = { "auto", "softmax", "sigmoid", "none" };

	for (int i = 0; i < 4; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*a = (enum score_activation)i;
		return 0;
	}
	return err_code(e, EX_USAGE, "no activation '%s': auto, softmax, sigmoid or none", name);
}

/* "a|b|c", '|' and '\' inside a name escaped; "" if it does not fit. */
static void join(const struct labels *l, char *out, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < l->count; i++) {
		for (const char *p = l->name[i]; *p; p++) {
			if (at + 4 > size)
				goto too_long;
			if (*p == '|' || *p == '\\')
				out[at++] = '\\';
			out[at++] = *p;
		}
		if (at + 2 > size)
			goto too_long;
		if (i + 1 < l->count)
			out[at++] = '|';
	}
	out[at] = 0;
	return;
too_long:
	out[0] = 0;
}

int classify_ready(struct classifier *c, const struct model *m, int batch, struct err *e)
{
	const struct tensor *y = model_output(m, 0);
	size_t count = tensor_count(y);
	char text[128];

	if (count == 0 || count % (size_t)batch || (batch > 1 && y->dim[0] != batch))
		return err_set(e, "its output '%.80s' is %s: no scores for %d pictures", y->name,
			       tensor_text(y, text, sizeof text), batch);
	c->classes = count / (size_t)batch;
	if (c->classes > LABELS_MAX)
		return err_set(e, "its output '%.80s' is %s: no scores of classes", y->name,
			       tensor_text(y, text, sizeof text));
	if (c->labels.count && c->labels.count != c->classes)
		return err_code(e, EX_DATAERR, "%zu labels for %zu classes", c->labels.count,
				c->classes);
	if (c->activation == SCORES_AUTO)
		c->activation = model_gives_probabilities(m) ? SCORES_NONE
				: c->classes == 1            ? SCORES_SIGMOID
							     : SCORES_SOFTMAX;
	join(&c->labels, c->joined, sizeof c->joined);
	return 0;
}

static void softmax(float *x, size_t count)
{
	float most = x[0], sum = 0;

	for (size_t i = 1; i < count; i++)
		most = x[i] > most ? x[i] : most;
	for (size_t i = 0; i < count; i++) {
		x[i] = kernel_exp(x[i] - most);
		sum += x[i];
	}
	for (size_t i = 0; i < count; i++)
		x[i] /= sum;
}

static int fill(const struct classifier *c, const struct tensor *y, int place, float *score,
		struct err *e)
{
	size_t first = (size_t)place * c->classes;

	for (size_t i = 0; i < c->classes; i++) {
		score[i] = (float)tensor_real(y, first + i);
		if (!isfinite(score[i]))
			return err_set(e, "the network's output %zu is not finite", i);
	}
	if (c->activation == SCORES_SOFTMAX)
		softmax(score, c->classes);
	else if (c->activation == SCORES_SIGMOID)
		activate(&(struct epilogue){ .act = ACT_SIGMOID }, score, score, c->classes);
	return 0;
}

/* The best that is behind `before` in the order of (score falling, number rising). */
static size_t next_best(const float *score, size_t count, size_t before)
{
	size_t best = count;

	for (size_t i = 0; i < count; i++) {
		if (before < count &&
		    (score[i] > score[before] || (score[i] == score[before] && i <= before)))
			continue;
		if (best == count || score[i] > score[best])
			best = i;
	}
	return best;
}

static void name_best(const struct classifier *c, const float *score, struct frame *f)
{
	size_t best = c->classes;
	char key[48], number[24];

	for (int k = 1; k <= c->top && (size_t)k <= c->classes; k++) {
		char tail[16] = "";

		if (k > 1)
			snprintf(tail, sizeof tail, "_%d", k);
		best = next_best(score, c->classes, best);
		snprintf(number, sizeof number, "%zu", best);
		snprintf(key, sizeof key, "label%s", tail);
		frame_meta_text(f, key, c->labels.count ? c->labels.name[best] : number);
		snprintf(key, sizeof key, "label_id%s", tail);
		frame_meta_int(f, key, (int64_t)best);
		snprintf(key, sizeof key, "score%s", tail);
		frame_meta_real(f, key, (double)score[best]);
	}
}

int classify(const struct classifier *c, const struct model *m, int place, struct frame *f,
	     struct err *e)
{
	int64_t shape[1] = { (int64_t)c->classes };

	if (frame_shape(f, FRAME_SCORES, DTYPE_F32, 1, shape, e) < 0 ||
	    fill(c, model_output(m, 0), place, (float *)f->payload->data, e) < 0)
		return -1;
	name_best(c, (const float *)f->payload->data, f);
	if (c->joined[0])
		frame_meta_text(f, "labels", c->joined);
	frame_meta_text(f, "model", c->model);
	frame_meta_text(f, "model_sha256", c->sha256);
	frame_meta_text(f, "kernels", c->kernels);
	frame_meta_text(f, "worker", c->worker);
	return 0;
}
