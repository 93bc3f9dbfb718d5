/* infer: a frame with a network's input goes in, the same frame with its scores goes out. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/stage.h"
#include "infer/beside.h"
#include "infer/classify.h"
#include "infer/input.h"
#include "infer/quantize/quantize.h"
#include "infer/tool.h"

#define BATCH_MAX 64

static struct options {
	const char *model, *labels, *recipe, *activation, *kernels, *shape;
	const char *check, *explain, *run, *bench, *quantize, *input, *output, *normalise;
	struct option_list calibrate;
	int64_t workers, threads, top, batch, batch_wait_ms, runs, calibrate_most;
	bool json, profile;
} o = { .activation = "auto",
	.kernels = "native",
	.normalise = "here",
	.workers = 1,
	.threads = 1,
	.top = 1,
	.batch = 1,
	.batch_wait_ms = 5,
	.runs = 20,
	.calibrate_most = 500 };

static const struct option_row rows[] = {
	{ "model", 'm', OPTION_TEXT, "FILE", &o.model, "the network, an ONNX file", 0, 0 },
	{ "labels", 'l', OPTION_TEXT, "FILE", &o.labels,
	  "names of its classes: one a line, or JSON", 0, 0 },
	{ "workers", 'j', OPTION_INT, "N", &o.workers, "processes that share the work", 1, 256 },
	{ "threads", 't', OPTION_INT, "N", &o.threads, "threads for one picture", 1, 64 },
	{ "top", 'k', OPTION_INT, "K", &o.top, "how many of the best classes to name", 1,
	  CLASSIFY_TOP_MAX },
	{ "batch", 'b', OPTION_INT, "N", &o.batch, "pictures computed at once", 1, BATCH_MAX },
	{ "batch-wait", 0, OPTION_TIME, "TIME", &o.batch_wait_ms,
	  "how long to wait for a batch to fill", 0, 60000 },
	{ "activation", 'a', OPTION_TEXT, "WORD", &o.activation,
	  "auto, softmax, sigmoid or none: what makes the outputs probabilities", 0, 0 },
	{ "kernels", 0, OPTION_TEXT, "SET", &o.kernels, "native, blis or reference", 0, 0 },
	{ "recipe", 0, OPTION_TEXT, "RECIPE", &o.recipe,
	  "what the network wants of a picture, instead of what stands beside or in the model", 0,
	  0 },
	{ "normalise", 0, OPTION_TEXT, "WHERE", &o.normalise,
	  "here: take 8-bit samples from preprocess where the recipe allows it, and do scale, mean "
	  "and std here, so that a quarter of the bytes travels; upstream: there; the values are "
	  "the same",
	  0, 0 },
	{ "shape", 0, OPTION_TEXT, "SIDES", &o.shape,
	  "shape of the input where the model leaves it open, as 1x3x224x224", 0, 0 },
	{ "check", 0, OPTION_TEXT, "FILE", &o.check,
	  "say whether this model would run, and all that stands against it", 0, 0 },
	{ "explain", 0, OPTION_TEXT, "FILE", &o.explain, "print the plan of this model", 0, 0 },
	{ "profile", 0, OPTION_FLAG, NULL, &o.profile, "with --explain: run, and add least times",
	  0, 0 },
	{ "run", 0, OPTION_TEXT, "FILE", &o.run, "run this model once on a raw input", 0, 0 },
	{ "input", 0, OPTION_TEXT, "FILE", &o.input, "with --run: little-endian values", 0, 0 },
	{ "output", 'o', OPTION_TEXT, "FILE", &o.output,
	  "with --run: receives the first output; with --quantize: the new model", 0, 0 },
	{ "bench", 0, OPTION_TEXT, "FILE", &o.bench, "measure this model", 0, 0 },
	{ "runs", 0, OPTION_INT, "N", &o.runs, "with --bench and --profile: how often", 1,
	  1000000 },
	{ "json", 0, OPTION_FLAG, NULL, &o.json, "with --bench: one JSON object", 0, 0 },
	{ "quantize", 0, OPTION_TEXT, "FILE", &o.quantize,
	  "make of this model one that computes in 8-bit integers", 0, 0 },
	{ "calibrate", 0, OPTION_LIST, "PICTURES", &o.calibrate,
	  "with --quantize: a folder, file or pattern that capture reads; may be given again; else "
	  "tensors come as in a pipeline",
	  0, 0 },
	{ "calibrate-most", 0, OPTION_INT, "N", &o.calibrate_most,
	  "how many of the pictures to use, spread over all", 1, 100000 },
	{ 0 }
};

static struct stage_spec spec = {
	.manual = {
	    .name = "infer",
	    .summary = "classify pictures with a neural network",
	    .description =
		"Reads frames that hold a network's input, runs the network, and passes each frame "
		"on with its scores, the name of the best class, and the SHA-256 of the model that "
		"said so.\n\n"
		"The model is an ONNX file, opset 7 to 21, as exporters write it. What it cannot "
		"run it refuses before the first picture, in words; --check tells all of it at "
		"once.\n\n"
		"What the network wants of a picture is told upstream, where preprocess does it. "
		"It comes from --recipe, else from MODEL.json, MODEL.onnx.json, preprocess.json, "
		"preprocessor_config.json or config.json beside the model, else from the key "
		"'recipe' of the model's metadata. Labels come from --labels, the same files, or "
		"the metadata's 'labels' or 'classes'.\n\n"
		"--quantize writes a model of 8-bit integers with the scales that pictures of the "
		"kind it will see ask for: standard ONNX with QuantizeLinear and DequantizeLinear, "
		"which other runtimes read too. It runs capture and preprocess itself, or takes "
		"tensors from the pipeline if there is no --calibrate, and says at the end for how "
		"many of the pictures both models name the same class.\n\n"
		"A picture's scores are the same bytes whatever the batch, the order, the number "
		"of workers or threads.",
	    .examples = "capture parts/ | preprocess | infer -m model.onnx -j 4 | sink parts.db\n"
			"# would this model run?\n"
			"infer --check model.onnx\n"
			"infer --bench model.onnx --runs 100 -t 2 --json\n"
			"# the same network in 8-bit integers\n"
			"infer --quantize model.onnx --calibrate parts/ -o model8.onnx",
	    .exits = "65\tthe model cannot run, or is none",
	},
	.options = rows,
	.pulls = true,
	.pushes = true,
};

static int kernel_set(const char *name, enum kernel_set *set, struct err *e)
{
	static const char *const names[] = { "native", "blis", "reference" };

	for (int i = 0; i < 3; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*set = (enum kernel_set)i;
		return 0;
	}
	return err_code(e, EX_USAGE, "no kernels '%s': native, blis or reference", name);
}

static bool asks_to_quantize(char **argv)
{
	for (; *argv && strcmp(*argv, "--") != 0; argv++)
		if (strcmp(*argv, "--quantize") == 0 || strncmp(*argv, "--quantize=", 11) == 0)
			return true;
	return false;
}

/* Exit code of the tool that was asked for; -1 if none was. */
static int as_tool(struct stage *s, const struct model_options *model)
{
	const struct quantize q = { .model = *model,
				    .path = o.quantize,
				    .output = o.output,
				    .shape = o.shape,
				    .recipe = o.recipe,
				    .pictures = &o.calibrate,
				    .most = o.calibrate_most };
	const struct tool t = { .model = *model,
				.shape = o.shape,
				.input = o.input,
				.output = o.output,
				.runs = o.runs,
				.json = o.json,
				.profile = o.profile };

	return o.check      ? tool_check(&t, o.check)
	       : o.explain  ? tool_explain(&t, o.explain)
	       : o.run      ? tool_run(&t, o.run)
	       : o.bench    ? tool_bench(&t, o.bench)
	       : o.quantize ? quantize(&q, s)
			    : -1;
}

/* Take what has come, at most a batch; waits for the first. How many; 0 at the end, -1 broken. */
static int gather(struct stage *s, struct frame **f, bool *more)
{
	int64_t until = 0;
	int n = 0;

	while (n < o.batch) {
		int64_t left = n ? (until - clock_mono_ns()) / 1000000 : 0;
		int got = n == 0     ? stage_next(s, &f[0])
			  : left > 0 ? stage_poll(s, &f[n], left)
				     : stage_poll(s, &f[n], 0);

		if (got == 2)
			break;
		if (got != 1) {
			*more = false;
			return got < 0 ? -1 : n;
		}
		if (n++ == 0)
			until = clock_mono_ns() + o.batch_wait_ms * 1000000;
	}
	return n;
}

static int answer(struct stage *s, const struct classifier *c, struct model *m,
		  const struct input *input, struct frame **f, int count, unsigned char *values)
{
	const void *in[1] = { values };
	struct err why[BATCH_MAX];
	bool bad[BATCH_MAX];
	int result = 0;

	for (int i = 0; i < count; i++)
		bad[i] = input_accept(input, f[i], values, i, &in[0], &why[i]) < 0;
	model_run(m, in);
	for (int i = 0; i < count && result == 0; i++) {
		bad[i] = bad[i] || classify(c, m, i, f[i], &why[i]) < 0;
		result = bad[i] ? stage_fail(s, &f[i], &why[i]) : stage_send(s, &f[i]);
	}
	return result;
}

static int loop(struct stage *s, const struct classifier *c, struct model *m,
		const struct input *input)
{
	struct buffer *values = buffer_new(tensor_bytes(input->x));
	struct frame *f[BATCH_MAX];
	bool more = true;
	int result = 0;

	if (!values)
		return EX_OSERR;
	memset(values->data, 0, values->size);
	while (more && result == 0) {
		int count = gather(s, f, &more);

		if (count > 0)
			result = answer(s, c, m, input, f, count, values->data);
		else if (count < 0)
			result = -1;
	}
	buffer_unref(&values);
	return 0; /* what broke the stage has said and keeps */
}

static void name_model(struct classifier *c, const struct model *m)
{
	const char *slash = strrchr(o.model, '/'), *name = slash ? slash + 1 : o.model;
	size_t length = strlen(name);

	if (length > 5 && strcmp(name + length - 5, ".onnx") == 0)
		length -= 5;
	snprintf(c->model, sizeof c->model, "%.*s", (int)length, name);
	snprintf(c->sha256, sizeof c->sha256, "%s", model_sha256(m));
	c->kernels = model_kernels(m);
}

static int open_model(struct stage *s, const struct model_options *options, struct model **m,
		      struct classifier *c, struct input *input, struct err *e)
{
	bool here = strcmp(o.normalise, "here") == 0;
	struct recipe recipe;
	struct tensor x;
	int known;

	if (!here && strcmp(o.normalise, "upstream") != 0)
		return err_code(e, EX_USAGE, "--normalise '%s': here or upstream", o.normalise);
	if (!o.model)
		return err_code(e, EX_USAGE, "which model? -m FILE");
	*m = model_open(o.model, options, e);
	if (!*m)
		return err_at(e, "cannot load '%s'", o.model);
	known = beside_recipe(&recipe, o.recipe, o.model, *m, e);
	if (known < 0 || classify_activation(&c->activation, o.activation, e) < 0 ||
	    beside_labels(&c->labels, o.labels, o.model, *m, e) < 0)
		return -1;
	if (input_shape(*m, o.shape, known ? &recipe : NULL, o.batch, &x, e) < 0 ||
	    model_plan(*m, &x, e) < 0 || classify_ready(c, *m, (int)o.batch, e) < 0)
		return err_at(e, "cannot load '%s'", o.model);
	name_model(c, *m);
	input_init(input, model_input(*m, 0), o.batch, known ? &recipe : NULL);
	input_want(s, model_input(*m, 0), known ? &recipe : NULL, here);
	if (!known)
		log_info("nothing says what '%s' wants of a picture beside its shape", o.model);
	return 0;
}

/* Large pieces are mapped, always: weights that have been packed go back to the system, and not into
 * holes of the heap. (Left alone, malloc stops mapping pieces like those that were freed.) */
#define MAPPED_LEAST (128 << 10)

int main(int argc, char **argv)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED_LEAST);
	spec.pushes = !asks_to_quantize(argv); /* it keeps what comes */
	struct stage *stage = stage_open(&spec, argc, argv);
	struct model_options options = { .threads = (int)o.threads };
	struct classifier c = { .top = (int)o.top };
	struct model *m = NULL;
	struct input input;
	struct err why;
	int code;

	if (kernel_set(o.kernels, &options.kernels, &why) < 0) {
		log_error("%s", why.text);
		code = why.code;
		goto out;
	}
	code = as_tool(stage, &options);
	if (code >= 0)
		goto out;
	if (open_model(stage, &options, &m, &c, &input, &why) < 0 ||
	    stage_fork_workers(stage, (int)o.workers, &why) < 0) {
		log_error("%s", why.text);
		code = why.code;
		goto out;
	}
	c.worker = stage_worker(stage);
	stage_window(stage, o.batch > 1 ? 2 * (int)o.batch : 4);
	code = loop(stage, &c, m, &input);
out:
	labels_free(&c.labels);
	model_free(&m);
	option_free(rows);
	return stage_close(&stage, code);
}
