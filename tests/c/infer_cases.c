/* Runs ONNX backend cases: folders with model.onnx and test_data_set_N/{input,output}_K.pb, found
 * below the folders given; also ONNX's light models, NAME.onnx beside NAME_output_0.pb, whose one input
 * counts from 0 up to 1. run by: operators.bats; also build/bin/onnx-cases.
 *
 *   onnx-cases [options] FOLDER…
 *     --rtol X --atol X   tolerance, 1e-3 and 1e-7 unless the case's data.json or README.txt says
 *     --kernels SET       native, blis or reference
 *     --quiet             no line for what passed
 *     --bytes             lines of what passed end with a hash of all outputs' bytes, which other builds must give too
 *
 * A line each: "pass|fail|refused NAME detail"; at the end "N passed, N failed, N refused".
 * Exit 0 if nothing failed, 1 if something did, 66 if no case was found.
 *
 * A value is right if |got - want| <= atol + rtol |want|, NaN where NaN is wanted, and the shapes and
 * types are the same. Inputs are given as values at load only where planning asks for them: first
 * none, then integers and truth values, then all but the first, then all. */
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "infer/model.h"

#define INPUTS_MAX 256

struct tolerance {
	double rtol, atol;
	bool top1; /* the first largest must be the same too */
};

static struct tolerance standard = { 1e-3, 1e-7, false };
static struct model_options options;
static bool quiet, given, hashes;
static int passed, failed, refused;
static double worst_all;
static uint64_t outputs_hash;

static char *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	char *bytes = NULL;
	long length;

	if (!f)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (length = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
		bytes = malloc((size_t)length + 1);
		*size = bytes ? fread(bytes, 1, (size_t)length, f) : 0;
		if (hashes)
			bytes[*size] = 0;
	}
	fclose(f);
	return bytes;
}

/* The number behind word in text, or fallback. */
static double number_after(const char *text, const char *word, double fallback)
{
	const char *at = text ? strstr(text, word) : NULL;

	if (!at)
		return fallback;
	at += strlen(word);
	at += strspn(at, "\": ");
	return isdigit((unsigned char)*at) ? strtod(at, NULL) : fallback;
}

static struct tolerance tolerance_of(const char *folder)
{
	static const char *const files[] = { "data.json", "README.txt" };
	struct tolerance t = standard;
	char path[4096];

	for (int i = 0; i < 2 && !given; i++) {
		size_t size;
		snprintf(path, sizeof path, "%s/%s", folder, files[i]);
		char *text = read_file(path, &size),
		     *line = text ? strstr(text, "tolerance:") : NULL;
		if (line && strchr(line, '\n'))
			*strchr(line, '\n') = 0;
		t.rtol = number_after(line ? line : text, "rtol", t.rtol);
		t.atol = number_after(line ? line : text, "atol", t.atol);
		t.top1 |= line && strstr(line, "top-1");
		free(text);
	}
	return t;
}

static struct tensor *read_tensor(const char *folder, int set, const char *kind, int k,
				  struct err *e)
{
	char path[4096];
	size_t size;
	struct tensor *t;

	snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%d.pb", folder, set, kind, k);
	char *bytes = read_file(path, &size);
	e->code = 0;
	if (!bytes)
		return NULL;
	t = tensor_read(bytes, size, e);
	free(bytes);
	return t;
}

/* --- comparing ------------------------------------------------------------------------------------ */

static size_t largest(const struct tensor *t)
{
	size_t best = 0, count = tensor_count(t);

	for (size_t i = 1; i < count; i++)
		if (tensor_real(t, i) > tensor_real(t, best))
			best = i;
	return best;
}

/* How far |got - want| uses up what is allowed: right if at most 1. */
static double excess(double got, double want, const struct tolerance *t)
{
	if (isnan(want) || isnan(got))
		return isnan(want) && isnan(got) ? 0 : INFINITY;
	if (got == want)
		return 0;
	return fabs(got - want) / (t->atol + t->rtol * fabs(want));
}

/* FNV-1a over the outputs' bytes since the case began; every NaN is one. */
static uint64_t hash_of(const struct tensor *t)
{
	size_t each = dtype_size(t->dtype);

	for (size_t i = 0; i < tensor_count(t); i++) {
		const unsigned char *p = (const unsigned char *)t->data + i * each;
		bool nan = isnan(tensor_real(t, i));

		for (size_t k = 0; k < each; k++)
			outputs_hash = (outputs_hash ^ (nan ? 255 : p[k])) * 0x100000001b3u;
	}
	return outputs_hash;
}

static int compare(const struct tensor *got, const struct tensor *want, const struct tolerance *t,
		   char *detail, size_t size)
{
	char a[128], b[128];
	double worst = 0;
	size_t at = 0, count = tensor_count(want);

	if (got->dtype != want->dtype || got->half != want->half) {
		snprintf(detail, size, "type %s%s, not %s%s", dtype_name(got->dtype),
			 got->half ? " (half)" : "", dtype_name(want->dtype),
			 want->half ? " (half)" : "");
		return -1;
	}
	if (!tensor_same_shape(got, want)) {
		snprintf(detail, size, "shape %s, not %s", tensor_text(got, a, sizeof a),
			 tensor_text(want, b, sizeof b));
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		double x = want->dtype == DTYPE_I64 && tensor_int(got, i) != tensor_int(want, i) &&
				   tensor_real(got, i) == tensor_real(want, i)
			       ? INFINITY
			       : excess(tensor_real(got, i), tensor_real(want, i), t);
		if (!(x <= worst)) {
			worst = x;
			at = i;
		}
	}
	worst_all = worst > worst_all ? worst : worst_all;
	snprintf(detail, size, "%.3g of the tolerance", worst);
	if (hashes)
		snprintf(detail, size, "%016llx", (unsigned long long)hash_of(got));
	if (!(worst <= 1)) {
		snprintf(detail, size, "%.3g of the tolerance at %zu of %zu: %.9g, not %.9g", worst,
			 at, count, tensor_real(got, at), tensor_real(want, at));
		return -1;
	}
	if (t->top1 && count && largest(got) != largest(want)) {
		snprintf(detail, size, "top-1 is %zu, not %zu", largest(got), largest(want));
		return -1;
	}
	return 0;
}

/* --- one data set ----------------------------------------------------------------------------------- */

struct set {
	struct tensor *input[INPUTS_MAX];
	int inputs;
};

static void set_free(struct set *s)
{
	for (int i = 0; i < s->inputs; i++)
		tensor_free(&s->input[i]);
}

/* Which inputs are given as values: 0 none, 1 integers and truth values, 2 all but the first,
 * 3 all. */
static bool as_value(const struct tensor *t, int i, int level)
{
	bool real = t->dtype == DTYPE_F32 || t->dtype == DTYPE_F64;

	return level == 3 || (level == 2 ? i > 0 : level == 1 && !real);
}

static struct model *open_planned(const char *path, const struct set *s, struct err *e)
{
	struct tensor shape[INPUTS_MAX];
	struct model *m = NULL;

	for (int level = 0; level < 4; level++) {
		m = model_open(path, &options, e);
		if (!m)
			return NULL;
		if (model_inputs(m) != s->inputs) {
			err_set(e, "%d inputs, the data has %d", model_inputs(m), s->inputs);
			break;
		}
		for (int i = 0; i < s->inputs; i++) {
			shape[i] = *s->input[i];
			shape[i].constant = as_value(s->input[i], i, level);
			if (!shape[i].constant)
				shape[i].data = NULL;
		}
		if (model_plan(m, shape, e) == 0)
			return m;
		model_free(&m);
		if (!strstr(e->text, "known at load"))
			break;
	}
	model_free(&m);
	return NULL;
}

static void run(struct model *m, const struct set *s)
{
	const void *raw[INPUTS_MAX];

	for (int i = 0; i < s->inputs; i++)
		raw[i] = s->input[i]->data;
	model_run(m, raw);
}

/* 1 right, 0 wrong, -1 refused, -2 there is no such set. */
static int run_set(const char *folder, int number, const char *path, char *detail, size_t size)
{
	struct tolerance t = tolerance_of(folder);
	struct set s = { .inputs = 0 };
	struct model *m = NULL;
	struct tensor *want;
	struct err e = { 0 };
	int result = 1, outputs = 0;

	while (s.inputs < INPUTS_MAX &&
	       (s.input[s.inputs] = read_tensor(folder, number, "input", s.inputs, &e)))
		s.inputs++;
	if (e.code) {
		snprintf(detail, size, "%s", e.text);
		set_free(&s);
		return strncmp(e.text, "not", 3) == 0 || strstr(e.text, "not supported") ? -1 : 0;
	}
	want = read_tensor(folder, number, "output", 0, &e);
	if (!want) {
		set_free(&s);
		return -2;
	}
	m = open_planned(path, &s, &e);
	if (!m) {
		snprintf(detail, size, "%s", e.text);
		result = -1;
		goto out;
	}
	run(m, &s);
	for (outputs = 0; result == 1 && want; outputs++) {
		if (outputs >= model_outputs(m)) {
			snprintf(detail, size, "%d outputs, not more", outputs);
			result = 0;
		} else if (compare(model_output(m, outputs), want, &t, detail, size) < 0) {
			result = 0;
		}
		tensor_free(&want);
		want = read_tensor(folder, number, "output", outputs + 1, &e);
	}
out:
	tensor_free(&want);
	model_free(&m);
	set_free(&s);
	return result;
}

static void tell(const char *name, int result, const char *detail)
{
	*(result == 1 ? &passed : result == 0 ? &failed : &refused) += 1;
	if (result != 1 || !quiet)
		printf("%s %s %s\n",
		       result == 1   ? "pass"
		       : result == 0 ? "fail"
				     : "refused",
		       name, detail);
	fflush(stdout);
}

static void run_light(const char *folder, const char *name, const char *output)
{
	struct model *m = NULL;
	struct tensor *want = NULL;
	struct err e = { .code = 0 };
	char path[8192], detail[ERR_TEXT_MAX + 64];
	size_t size, count;
	float *x = NULL;
	int result = -1;

	snprintf(path, sizeof path, "%s/%s", folder, output);
	char *bytes = read_file(path, &size);
	want = bytes ? tensor_read(bytes, size, &e) : NULL;
	snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
	m = want ? model_open(path, &options, &e) : NULL;
	if (!m || model_inputs(m) != 1 || model_plan(m, NULL, &e) < 0)
		goto out;
	count = tensor_count(model_input(m, 0));
	x = malloc(count * sizeof *x);
	for (size_t i = 0; x && i < count; i++)
		x[i] = (float)((double)i / (double)count);
	if (!x)
		goto out;
	model_run(m, (const void *const[]){ x });
	result = compare(model_output(m, 0), want, &standard, detail, sizeof detail) == 0;
out:
	tell(name, result, result < 0 ? e.text : detail);
	free(x);
	free(bytes);
	tensor_free(&want);
	model_free(&m);
}

static void run_case(const char *folder)
{
	const char *name = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
	char path[4096], detail[ERR_TEXT_MAX + 64] = "";
	int result = 1, sets = 0;

	outputs_hash = 0xcbf29ce484222325u;
	snprintf(path, sizeof path, "%s/model.onnx", folder);
	for (; result == 1; sets += result == 1)
		result = run_set(folder, sets, path, detail, sizeof detail);
	if (result == -2 && sets > 0)
		result = 1;
	if (result == -2) {
		snprintf(detail, sizeof detail, "no test_data_set_0");
		result = 0;
	}
	tell(name, result, detail);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void visit(const char *folder, int depth)
{
	struct dirent **list;
	struct stat st;
	char path[4096], name[256];
	int count;

	snprintf(path, sizeof path, "%s/model.onnx", folder);
	if (stat(path, &st) == 0) {
		run_case(folder);
		return;
	}
	count = depth < 16 ? scandir(folder, &list, NULL, by_name) : 0;
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
		if (list[i]->d_name[0] != '.' && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			visit(path, depth + 1);
		char *end = strstr(list[i]->d_name, "_output_0.pb");
		if (end) {
			snprintf(name, sizeof name, "%.*s", (int)(end - list[i]->d_name),
				 list[i]->d_name);
			run_light(folder, name, list[i]->d_name);
		}
		free(list[i]);
	}
	if (count > 0)
		free(list);
}

static int kernels(const char *name)
{
	static const char *const names[] = { [KERNELS_NATIVE] = "native",
					     [KERNELS_BLIS] = "blis",
					     [KERNELS_REFERENCE] = "reference" };

	for (int i = 0; i < 3; i++)
		if (strcmp(names[i], name) == 0) {
			options.kernels = (enum kernel_set)i;
			return 0;
		}
	fprintf(stderr, "onnx-cases: no kernels '%s'\n", name);
	return -1;
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--quiet") == 0) {
			quiet = true;
		} else if (strcmp(argv[i], "--bytes") == 0) {
			hashes = true;
		} else if (i + 1 < argc && strcmp(argv[i], "--rtol") == 0) {
			standard.rtol = strtod(argv[++i], NULL);
			given = true;
		} else if (i + 1 < argc && strcmp(argv[i], "--atol") == 0) {
			standard.atol = strtod(argv[++i], NULL);
			given = true;
		} else if (i + 1 < argc && strcmp(argv[i], "--kernels") == 0) {
			if (kernels(argv[++i]) < 0)
				return 64;
		} else {
			fprintf(stderr, "onnx-cases: unknown option '%s'\n", argv[i]);
			return 64;
		}
	}
	for (; i < argc; i++) {
		size_t length = strlen(argv[i]);
		while (length > 1 && argv[i][length - 1] == '/')
			argv[i][--length] = 0;
		visit(argv[i], 0);
	}
	printf("%d passed, %d failed, %d refused\n", passed, failed, refused);
	if (passed + failed + refused == 0)
		return 66;
	return failed ? 1 : 0;
}
