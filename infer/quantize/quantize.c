/* The order of the work: read, find the places, take pictures, observe, choose scales, write, load
 * what was written and compare. The file has its name only once all this went well. */
#include "infer/quantize/quantize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/log.h"
#include "infer/beside.h"
#include "infer/input.h"
#include "infer/onnx/onnx.h"
#include "infer/quantize/parts.h"

#define OPSET 13 /* the first whose DequantizeLinear knows channels */

struct job {
	const struct quantize *q;
	struct stage *stage;
	struct model *model;
	struct tensor shape; /* of its input, for one picture */
	struct places places;
	struct pictures pictures;
	struct observed observed;
	struct children children;
	struct output output;
	size_t bytes_before, bytes_after;
	size_t agreed;     /* pictures of the same best class */
	double difference; /* of the scores: root of the mean square, in parts of theirs */
};

/* --- the model ------------------------------------------------------------------------------------ */

static int read_model(struct job *j, struct err *e)
{
	const struct quantize *q = j->q;
	bool pictures = q->pictures->count > 0;
	struct recipe recipe;
	struct stat st;
	int known;

	j->model = model_open(q->path, &q->model, e);
	if (!j->model)
		return -1;
	j->bytes_before = stat(q->path, &st) == 0 ? (size_t)st.st_size : 0;
	known = beside_recipe(&recipe, q->recipe, q->path, j->model, e);
	if (known < 0)
		return -1;
	if (!known && pictures)
		return err_code(e, EX_USAGE,
				"nothing says what it wants of a picture: write its recipe beside "
				"it, or say --recipe");
	if (input_shape(j->model, q->shape, known ? &recipe : NULL, 1, &j->shape, e) < 0)
		return -1;
	input_want(j->stage, &j->shape, known ? &recipe : NULL, false);
	return 0;
}

static int count_quantized(const struct places *p)
{
	int count = 0;

	for (int i = 1; i <= p->count; i++)
		count += places_quantized(p, i);
	return count;
}

static int prepare(struct job *j, struct err *e)
{
	struct tensor declared = *model_input(j->model, 0);

	if (simplify(j->model, &j->shape, e) < 0 || opset_raise(j->model->graph, OPSET, e) < 0 ||
	    places_find(&j->places, j->model->graph, e) < 0)
		return -1;
	if (count_quantized(&j->places) == 0)
		return err_set(e, "there is nothing in it to quantise: no Conv, Gemm or MatMul "
				  "with known weights");
	j->shape.open = declared.open;
	return 0;
}

/* Sides that the model left open are open in what is written. */
static void open_sides(struct job *j, const struct tensor *declared)
{
	struct graph *g = j->model->graph;
	bool open = declared->rank > 0 && declared->dim[0] < 0;

	for (int i = 0; i < declared->rank; i++)
		g->input[0]->dim[i] =
		    declared->dim[i] < 0 && i > 0 ? j->shape.dim[i] : declared->dim[i];
	for (int i = 0; open && i < g->output_count; i++) {
		struct tensor *y = g->output[i];

		if (y->rank == 0 || y->dim[0] != 1)
			continue;
		y->dim[0] = -1;
		y->open = declared->open;
	}
}

/* --- scales --------------------------------------------------------------------------------------- */

static int rewrite(struct job *j, struct err *e)
{
	struct scale *scale = calloc((size_t)j->places.count + 1, sizeof *scale);
	int result;

	if (!scale)
		return err_code(e, EX_OSERR, "memory is short");
	result = scales_choose(scale, &j->places, &j->observed, j->model->graph, e) < 0
		     ? -1
		     : qdq_insert(j->model->graph, &j->places, scale, j->observed.mean, e);
	free(scale);
	return result;
}

/* --- the result ----------------------------------------------------------------------------------- */

/* How the scores of picture i compare with those of the model of floats. Means are taken off first:
 * what all classes have in common says nothing. */
static void compare(struct job *j, const struct tensor *y, size_t i, double *off, double *all)
{
	size_t classes = j->observed.classes, best = 0, was = 0;
	const double *x = j->observed.scores + i * classes;
	double mean_x = 0, mean_y = 0;

	for (size_t k = 0; k < classes; k++) {
		mean_x += x[k] / (double)classes;
		mean_y += tensor_real(y, k) / (double)classes;
		was = x[k] > x[was] ? k : was;
		best = tensor_real(y, k) > tensor_real(y, best) ? k : best;
	}
	for (size_t k = 0; k < classes; k++) {
		double d = (tensor_real(y, k) - mean_y) - (x[k] - mean_x);

		*off += d * d;
		*all += (x[k] - mean_x) * (x[k] - mean_x);
	}
	j->agreed += best == was;
}

/* Where any number of pictures goes in at once, the same number of scores must come out. */
static int verify_batch(const struct job *j, struct err *e)
{
	struct tensor shape = j->shape;
	struct model *m = model_open(j->output.path, &j->q->model, e);
	bool fine;

	shape.dim[0] = 2;
	fine = m && model_plan(m, &shape, e) == 0 &&
	       tensor_count(model_output(m, 0)) == 2 * j->observed.classes;
	model_free(&m);
	return fine ? 0
		    : err_set(e, "not supported: shapes in it that are computed from the number of "
				 "pictures; fix that number in the model");
}

/* It loads, and what does it say of the pictures? */
static int verify(struct job *j, struct err *e)
{
	struct tensor shape = j->shape;
	struct model *m = model_open(j->output.path, &j->q->model, e);
	bool open = m && model_inputs(m) > 0 && model_input(m, 0)->dim[0] < 0;
	int result = m ? model_plan(m, &shape, e) : -1;
	double off = 0, all = 0;

	if (result == 0 && tensor_count(model_output(m, 0)) != j->observed.classes)
		result = err_code(e, EX_SOFTWARE, "its output has another shape");
	for (size_t i = 0; result == 0 && i < j->pictures.count; i++) {
		const void *input[1] = { j->pictures.picture[i].values->data };

		model_run(m, input);
		compare(j, model_output(m, 0), i, &off, &all);
	}
	j->difference = all > 0 ? sqrt(off / all) : 0;
	model_free(&m);
	if (result < 0)
		return err_at(e, "what was made of it is not right");
	return open ? verify_batch(j, e) : 0;
}

static void tell(const struct job *j)
{
	printf("%s: %zu pictures, %d tensors, %.2f MB -> %.2f MB, the best class agrees for "
	       "%.2f %%, scores differ by %.2f %%\n",
	       j->q->output, j->pictures.count, count_quantized(&j->places),
	       (double)j->bytes_before / 1e6, (double)j->bytes_after / 1e6,
	       100.0 * (double)j->agreed / (double)j->pictures.count, 100 * j->difference);
}

static int write_model(struct job *j, struct err *e)
{
	uint8_t *bytes = NULL;
	int result = onnx_write(j->model->graph, &bytes, &j->bytes_after, e);

	if (result == 0)
		result = output_write(&j->output, bytes, j->bytes_after, e);
	free(bytes);
	return result;
}

static int take_pictures(struct job *j, struct err *e)
{
	const struct option_list *what = j->q->pictures;
	struct err why;
	int result = 0;

	j->pictures.most = (size_t)j->q->most;
	if (what->count > 0)
		result = children_start(&j->children, what->item, what->count, e);
	stage_window(j->stage, 4);
	if (result == 0)
		result = pictures_collect(&j->pictures, j->stage, &j->shape, e);
	if (children_end(&j->children, result < 0, &why) < 0) {
		*e = why;
		result = -1;
	}
	return result;
}

static int work(struct job *j, struct err *e)
{
	struct tensor declared;

	if (!j->q->output)
		return err_code(e, EX_USAGE, "where to? -o FILE");
	if (j->q->pictures->count > 0 && stage_addressed(j->stage))
		return err_code(e, EX_USAGE, "--calibrate and --in: from which of them?");
	if (read_model(j, e) < 0)
		return -1;
	declared = *model_input(j->model, 0);
	if (prepare(j, e) < 0 || output_open(&j->output, j->q->output, e) < 0 ||
	    take_pictures(j, e) < 0 ||
	    observe(&j->observed, &j->q->model, j->q->path, &j->shape, &j->places, &j->pictures,
		    e) < 0 ||
	    rewrite(j, e) < 0)
		return -1;
	open_sides(j, &declared);
	if (write_model(j, e) < 0 || verify(j, e) < 0 || output_finish(&j->output, e) < 0)
		return -1;
	tell(j);
	return 0;
}

int quantize(const struct quantize *q, struct stage *s)
{
	struct job j = { .q = q, .stage = s, .output.fd = -1 };
	struct err why;
	int code = 0;

	if (work(&j, &why) < 0) {
		if (why.text[0])
			log_error("cannot quantise '%s': %s", q->path, why.text);
		code = why.code;
	}
	output_close(&j.output);
	observed_free(&j.observed, &j.places);
	pictures_free(&j.pictures);
	model_free(&j.model);
	return code;
}
