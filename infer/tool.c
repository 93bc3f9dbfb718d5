/* --check, --explain, --run, --bench. */
#include "infer/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "infer/half.h"

#define INPUTS_MAX 64

static int refuse(const char *path, struct err *e)
{
	err_at(e, "'%s'", path);
	log_error("%s", e->text);
	return e->code;
}

int tool_shape(const struct model *m, const char *text, struct tensor *t, struct err *e)
{
	const char *p = text;

	if (model_inputs(m) < 1)
		return err_code(e, EX_USAGE, "--shape: the model has no input");
	*t = *model_input(m, 0);
	t->constant = false;
	for (t->rank = 0; *p; t->rank++) {
		char *end;
		long long side = strtoll(p, &end, 10);

		if (end == p || side < 1 || side > INT32_MAX || t->rank == TENSOR_RANK_MAX ||
		    (*end && *end != 'x'))
			return err_code(e, EX_USAGE,
					"--shape '%s': sides joined by x, as 1x3x224x224", text);
		t->dim[t->rank] = side;
		p = *end ? end + 1 : end;
	}
	return 0;
}

/* Opened, and planned unless only_open. */
static struct model *ready(const struct tool *t, const char *path, bool only_open,
			   struct tensor *shapes, struct err *e)
{
	struct model *m = model_open(path, &t->model, e);

	if (!m)
		return NULL;
	if (model_inputs(m) > INPUTS_MAX) {
		err_set(e, "not supported: %d inputs (at most %d)", model_inputs(m), INPUTS_MAX);
		goto failed;
	}
	if (t->shape && tool_shape(m, t->shape, &shapes[0], e) < 0)
		goto failed;
	if (!only_open && model_plan(m, shapes, e) < 0)
		goto failed;
	return m;
failed:
	model_free(&m);
	return NULL;
}

int tool_check(const struct tool *t, const char *path)
{
	struct tensor shapes[INPUTS_MAX] = { 0 };
	struct err why;
	struct model *m = ready(t, path, true, shapes, &why);
	int refused;

	if (!m)
		return refuse(path, &why);
	refused = model_check(m, shapes, stdout);
	if (refused)
		log_error("'%s': %d refusal%s", path, refused, refused > 1 ? "s" : "");
	else
		printf("%s: runs (%.1f MFLOP, arena %.2f MB)\n", path, model_flops(m) / 1e6,
		       (double)model_arena_bytes(m) / 1e6);
	model_free(&m);
	return refused ? EX_DATAERR : 0;
}

/* A ramp that every language can write: (i · 2654435761 mod 1000) / 500 − 1. */
static void ramp(struct tensor *t)
{
	for (size_t i = 0; i < tensor_count(t); i++) {
		double v = (double)(i * 2654435761u % 1000) / 500 - 1;

		if (t->dtype == DTYPE_F32)
			((float *)t->data)[i] = (float)v;
		else if (t->dtype == DTYPE_F64)
			((double *)t->data)[i] = v;
		else if (dtype_size(t->dtype) == 1 && t->dtype != DTYPE_BOOL)
			((uint8_t *)t->data)[i] = (uint8_t)(i * 2654435761u % 256);
	}
}

/* Memory for input i, zeroed; the caller frees. */
static void *input_memory(const struct model *m, int i, bool with_ramp, struct err *e)
{
	struct tensor t = *model_input(m, i);

	t.data = calloc(tensor_count(&t) + 1, dtype_size(t.dtype));
	if (!t.data)
		err_code(e, EX_OSERR, "memory is short");
	else if (with_ramp)
		ramp(&t);
	return t.data;
}

static int make_inputs(const struct model *m, void **input, struct err *e)
{
	for (int i = 0; i < model_inputs(m); i++) {
		input[i] = input_memory(m, i, true, e);
		if (!input[i])
			return -1;
	}
	return 0;
}

static void free_inputs(void **input)
{
	for (int i = 0; i < INPUTS_MAX; i++)
		free(input[i]);
}

int tool_explain(const struct tool *t, const char *path)
{
	struct tensor shapes[INPUTS_MAX] = { 0 };
	void *input[INPUTS_MAX] = { 0 };
	struct err why;
	struct model *m = ready(t, path, false, shapes, &why);
	int code = 0;

	if (!m)
		return refuse(path, &why);
	if (t->profile && make_inputs(m, input, &why) < 0) {
		code = refuse(path, &why);
	} else {
		model_profile(m, t->profile);
		for (int64_t i = 0; t->profile && i < t->runs; i++)
			model_run(m, (const void *const *)input);
		model_explain(m, stdout);
	}
	free_inputs(input);
	model_free(&m);
	return code;
}

/* The raw values of input 0 from a file; a half input is converted. */
static int read_input(const struct model *m, const char *path, void *to, struct err *e)
{
	const struct tensor *x = model_input(m, 0);
	size_t count = tensor_count(x), bytes = x->half ? 2 * count : tensor_bytes(x), got;
	void *raw = malloc(bytes + 1);
	FILE *f = raw ? fopen(path, "rb") : NULL;
	int result = -1;

	if (!f) {
		err_code(e, EX_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
		goto out;
	}
	got = fread(raw, 1, bytes + 1, f);
	if (got != bytes) {
		err_set(e, "'%s' holds %s%zu bytes, the input takes %zu", path,
			got > bytes ? "more than " : "", got > bytes ? bytes : got, bytes);
		goto out;
	}
	if (x->half)
		half_to_float(raw, to, count);
	else
		memcpy(to, raw, bytes);
	result = 0;
out:
	if (f)
		fclose(f);
	free(raw);
	return result;
}

static int write_output(const struct tensor *y, const char *path, struct err *e)
{
	FILE *f = fopen(path, "wb");
	size_t count = tensor_count(y);
	bool fine;

	if (!f)
		return err_code(e, EX_CANTCREAT, "cannot write '%s': %s", path, strerror(errno));
	if (y->half) {
		fine = true;
		for (size_t i = 0; i < count && fine; i++) {
			uint16_t h = half_of(((const float *)y->data)[i]);

			fine = fwrite(&h, 2, 1, f) == 1;
		}
	} else {
		fine = fwrite(y->data, dtype_size(y->dtype), count, f) == count;
	}
	if (fclose(f) != 0 || !fine)
		return err_code(e, EX_IOERR, "cannot write '%s'", path);
	return 0;
}

int tool_run(const struct tool *t, const char *path)
{
	struct tensor shapes[INPUTS_MAX] = { 0 };
	void *input[INPUTS_MAX] = { 0 };
	struct err why;
	struct model *m;
	int code = 0;

	if (!t->input || !t->output) {
		log_error("--run wants --input and --output");
		return EX_USAGE;
	}
	m = ready(t, path, false, shapes, &why);
	if (!m)
		return refuse(path, &why);
	if (model_inputs(m) != 1) {
		err_set(&why, "--run: the model has %d inputs", model_inputs(m));
		code = refuse(path, &why);
	} else if (make_inputs(m, input, &why) < 0 || read_input(m, t->input, input[0], &why) < 0) {
		code = refuse(path, &why);
	} else {
		model_run(m, (const void *const *)input);
		if (write_output(model_output(m, 0), t->output, &why) < 0)
			code = refuse(path, &why);
	}
	free_inputs(input);
	model_free(&m);
	return code;
}

/* --- --bench ------------------------------------------------------------------------------------ */

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Since the process was started, by the kernel's count of ticks. */
static double process_age_ms(void)
{
	unsigned long long start = 0;
	struct timespec now;
	FILE *f = fopen("/proc/self/stat", "r");

	clock_gettime(CLOCK_BOOTTIME, &now);
	if (f) {
		if (fscanf(f,
			   "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
			   "%*d %*d %*d %*d %*d %*d %llu",
			   &start) != 1)
			start = 0;
		fclose(f);
	}
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6 -
	       (double)start * 1e3 / (double)sysconf(_SC_CLK_TCK);
}

/* The largest resident set. Not of getrusage: Linux counts there what stood in this process before exec. */
static long peak_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kb = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmHWM: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_bench(const struct tool *t, const struct model *m, double *ms, double cpu,
			double ready_ms)
{
	double median, gflops, mean = 0;

	for (int64_t i = 0; i < t->runs; i++)
		mean += ms[i] / (double)t->runs;
	qsort(ms, (size_t)t->runs, sizeof *ms, rising);
	median = ms[t->runs / 2];
	gflops = model_flops(m) / ms[0] / 1e6;
	const struct tensor *x =
	    model_inputs(m) ? model_input(m, 0) : NULL; /* none: all constants */
	if (t->json)
		printf("{\"input\": [");
	for (int i = 0; t->json && x && i < x->rank; i++)
		printf("%s%lld", i ? ", " : "", (long long)x->dim[i]);
	printf(t->json ? "], \"median_ms\": %.4f, \"min_ms\": %.4f, \"mean_ms\": %.4f, \"cpu_ms\": "
			 "%.4f, \"gflops\": "
			 "%.2f, \"peak_rss_kb\": %ld, \"ready_ms\": %.1f, \"arena_bytes\": %zu, "
			 "\"weight_bytes\": %zu, \"threads\": %d, \"kernels\": \"%s\"}\n"
		       : "median %.4f ms, minimum %.4f ms, mean %.4f ms, processor %.4f ms, %.2f "
			 "GFLOP/s, peak "
			 "%ld kB, ready after %.1f ms, arena %zu bytes, weights %zu bytes, %d "
			 "thread(s), kernels %s\n",
	       median, ms[0], mean, cpu / (double)t->runs, gflops, peak_kb(), ready_ms,
	       model_arena_bytes(m), model_weight_bytes(m),
	       t->model.threads > 0 ? t->model.threads : 1, model_kernels(m));
}

int tool_bench(const struct tool *t, const char *path)
{
	struct tensor shapes[INPUTS_MAX] = { 0 };
	void *input[INPUTS_MAX] = { 0 };
	double *ms = calloc((size_t)t->runs, sizeof *ms), ready_ms, cpu;
	struct err why;
	struct model *m = ready(t, path, false, shapes, &why);
	int code = 0;

	if (!m || !ms || make_inputs(m, input, &why) < 0) {
		code = refuse(path, &why);
		goto out;
	}
	model_run(m, (const void *const *)input);
	ready_ms = process_age_ms();
	for (int i = 0; i < 3; i++)
		model_run(m, (const void *const *)input);
	cpu = cpu_ms();
	for (int64_t i = 0; i < t->runs; i++) {
		int64_t start = clock_mono_ns();

		model_run(m, (const void *const *)input);
		ms[i] = (double)(clock_mono_ns() - start) / 1e6;
	}
	print_bench(t, m, ms, cpu_ms() - cpu, ready_ms);
out:
	free_inputs(input);
	model_free(&m);
	free(ms);
	return code;
}
