/* A model from file to results: the order of the passes, and the edges where values come and go. */
#include "infer/model.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "infer/half.h"
#include "infer/kernels/isa.h"
#include "infer/model_parts.h"
#include "infer/onnx/onnx.h"

#define FILE_MAX ((size_t)4 << 30)
#define HASH_PIECE ((size_t)256 << 10)

/* Memory before the first run. While it is read, a model may take what its size explains (onnx/
 * takes five times it and 16 MB beside this: 16 times and 64 MB in all, with the file's own pages
 * and the program's). What is computed from its constants, of which a small file can make large
 * ones (ConstantOfShape, Expand, Tile), has a limit of its own; packed weights are at most four
 * times as large as weights (Winograd's). */
#define READ_MAX(size) (10 * (size) + ((size_t)32 << 20))
#define COMPUTED_MAX ((size_t)768 << 20)
#define RUNNING_MAX ((size_t)8 << 30)
#define PACKED_MAX(constants) (5 * (constants) + ((size_t)32 << 20))

static void name_kernels(struct model *m)
{
	static const char *const names[] = { "native-", "blis", "reference" };
	enum kernel_set set = m->graph->kernels;

	snprintf(m->kernels, sizeof m->kernels, "%s%s", names[set],
		 set == KERNELS_NATIVE ? isa_name(isa_best()) : "");
}

/* More threads than processors would only wait for each other. */
static int lanes_of(int threads)
{
	cpu_set_t set;
	int most = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : threads;

	return threads < most ? threads : most;
}

static struct model *read_model(const void *bytes, size_t size, bool mapped,
				const struct model_options *o, struct err *e)
{
	int lanes = lanes_of(o->threads);
	struct model *m = calloc(1, sizeof *m);
	size_t limit = o->memory_max ? o->memory_max : READ_MAX(size);

	if (!m) {
		err_code(e, EX_OSERR, "memory is short");
		return NULL;
	}
	m->graph = graph_new(limit, e);
	if (!m->graph)
		goto failed;
	m->limited = o->memory_max > 0;
	m->graph->kernels = o->kernels;
	m->graph->mapped = mapped;
	m->graph->file_bytes = size;
	m->graph->memory_most = o->memory_max ? o->memory_max : RUNNING_MAX;
	if (lanes > 1) {
		m->graph->crew = crew_new(lanes);
		if (!m->graph->crew) {
			err_code(e, EX_OSERR, "%d threads cannot be had", o->threads);
			goto failed;
		}
	}
	if (onnx_read(m->graph, bytes, size, e) < 0)
		goto failed;
	name_kernels(m);
	m->probabilities = ends_in_probabilities(m->graph);
	return m;
failed:
	model_free(&m);
	return NULL;
}

struct model *model_read(const void *bytes, size_t size, const struct model_options *o,
			 struct err *e)
{
	struct model *m = read_model(bytes, size, false, o, e);

	if (m)
		hash_bytes(bytes, size, m->sha256);
	return m;
}

/* The file's pages, and a descriptor that stays open; -1 with *e. */
static int map_file(const char *path, void **bytes, size_t *size, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	*bytes = NULL;
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_code(e, err_of_errno(errno, EX_NOINPUT), "cannot open '%s': %s", path,
			 strerror(errno));
		goto failed;
	}
	if (!S_ISREG(st.st_mode)) {
		err_code(e, EX_NOINPUT, "'%s' is no regular file", path);
		goto failed;
	}
	if (st.st_size == 0 || (uintmax_t)st.st_size > FILE_MAX) {
		err_set(e, "'%s' holds %jd bytes: no ONNX model", path, (intmax_t)st.st_size);
		goto failed;
	}
	*size = (size_t)st.st_size;
	*bytes = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (*bytes == MAP_FAILED) {
		err_code(e, EX_NOINPUT, "cannot read '%s': %s", path, strerror(errno));
		goto failed;
	}
	return fd;
failed:
	if (fd >= 0)
		close(fd);
	return -1;
}

struct hash_job {
	int fd;
	size_t size;
	bool done, starved;
	char hex[HASH_HEX];
};

/* Through a small buffer, not through the mapping: pages that this touches would count as ours. */
static void *hash_main(void *argument)
{
	struct hash_job *j = argument;
	struct hash *h = hash_new();
	unsigned char *piece = malloc(HASH_PIECE);
	size_t at = 0;

	while (h && piece && at < j->size) {
		ssize_t got = pread(j->fd, piece, HASH_PIECE, (off_t)at);

		if (got <= 0)
			break;
		hash_add(h, piece, (size_t)got);
		at += (size_t)got;
	}
	j->starved = !h || !piece;
	j->done = at == j->size && !j->starved;
	if (h)
		hash_end(&h, j->hex);
	free(piece);
	return NULL;
}

/* Hashing takes as long as reading: beside it, on a thread that is gone when this returns. */
struct model *model_open(const char *path, const struct model_options *o, struct err *e)
{
	struct hash_job job = { .size = 0 };
	struct model *m;
	pthread_t thread;
	void *bytes;
	bool beside;

	job.fd = map_file(path, &bytes, &job.size, e);
	if (job.fd < 0)
		return NULL;
	beside = pthread_create(&thread, NULL, hash_main, &job) == 0;
	m = read_model(bytes, job.size, true, o, e);
	if (beside)
		pthread_join(thread, NULL);
	else
		hash_main(&job);
	munmap(bytes, job.size);
	close(job.fd);
	if (m && !job.done) {
		model_free(&m);
		if (job.starved)
			err_code(e, EX_OSERR, "memory is short");
		else
			err_code(e, EX_NOINPUT, "cannot read '%s'", path);
	}
	if (m)
		memcpy(m->sha256, job.hex, sizeof m->sha256);
	return m;
}

void model_free(struct model **m)
{
	if (!*m)
		return;
	graph_free(&(*m)->graph);
	free(*m);
	*m = NULL;
}

int model_inputs(const struct model *m)
{
	return m->graph->input_count;
}

const struct tensor *model_input(const struct model *m, int i)
{
	return m->graph->input[i];
}

int model_outputs(const struct model *m)
{
	return m->graph->output_count;
}

const struct tensor *model_output(const struct model *m, int i)
{
	return m->graph->output[i];
}

/* The shape that input t is planned for: what is given, against what is declared. */
static int bind_shape(struct tensor *t, const struct tensor *given, struct err *e)
{
	int64_t dim[TENSOR_RANK_MAX];
	char a[128], b[128];

	if (given && given->dtype != t->dtype)
		return err_set(e, "input '%.80s' is of type %s, not %s", t->name,
			       t->half ? "f16" : dtype_name(t->dtype), dtype_name(given->dtype));
	if (given && given->rank != t->rank)
		return err_set(e, "input '%.80s' is %s, not %s", t->name,
			       tensor_text(t, a, sizeof a), tensor_text(given, b, sizeof b));
	for (int i = 0; i < t->rank; i++) {
		dim[i] = given ? given->dim[i] : t->dim[i];
		if (given && t->dim[i] >= 0 && t->dim[i] != given->dim[i])
			return err_set(e, "input '%.80s' is %s, not %s", t->name,
				       tensor_text(t, a, sizeof a),
				       tensor_text(given, b, sizeof b));
		if (dim[i] < 0 && i == 0)
			dim[i] = 1;
		if (dim[i] < 0)
			return err_set(e,
				       "input '%.80s' is %s: give a shape for what it leaves open",
				       t->name, tensor_text(t, a, sizeof a));
		if (dim[i] == 0 && !given)
			return err_set(e, "invalid: dimension %d of input '%.80s' is 0", i,
				       t->name);
	}
	return tensor_shape(t, t->dtype, t->rank, dim, e);
}

static int bind(struct model *m, const struct tensor *shape, struct err *e)
{
	if (!m->limited)
		arena_allow(m->graph->arena, COMPUTED_MAX);
	for (int i = 0; i < m->graph->input_count; i++) {
		struct tensor *t = m->graph->input[i];
		const struct tensor *given = shape && shape[i].dtype ? &shape[i] : NULL;

		if (bind_shape(t, given, e) < 0)
			return -1;
		if (!given || !given->constant || !given->data)
			continue;
		if (graph_fill(m->graph, t, e) < 0)
			return -1;
		memcpy(t->data, given->data, tensor_bytes(t));
		t->constant = true;
	}
	return 0;
}

int model_infer(struct model *m, const struct tensor *shape, struct err *e)
{
	if (bind(m, shape, e) < 0)
		return -1;
	graph_sweep(m->graph);
	return graph_infer(m->graph, NULL, NULL, e);
}

int model_finish(struct model *m, struct err *e)
{
	struct graph *g = m->graph;

	if (!m->limited)
		arena_allow(g->arena, PACKED_MAX(arena_used(g->arena)));
	if (graph_fuse(g, e) < 0 || graph_layout(g, e) < 0 || graph_slice(g, e) < 0 ||
	    graph_plan(g, e) < 0)
		return -1;
	m->planned = true;
	return 0;
}

int model_plan(struct model *m, const struct tensor *shape, struct err *e)
{
	if (model_infer(m, shape, e) < 0 || model_finish(m, e) < 0)
		return -1;
	malloc_trim(0); /* what reading took goes back to the system */
	return 0;
}

int model_check(struct model *m, const struct tensor *shape, FILE *out)
{
	struct err why;
	int refused = 0;

	if (bind(m, shape, &why) < 0) {
		fprintf(out, "%s\n", why.text);
		return 1;
	}
	if (graph_infer(m->graph, out, &refused, NULL) < 0)
		return refused;
	if (model_finish(m, &why) < 0) {
		fprintf(out, "%s\n", why.text);
		return 1;
	}
	return 0;
}

void model_run(struct model *m, const void *const *input)
{
	struct graph *g = m->graph;

	for (int i = 0; i < g->input_count; i++) {
		struct tensor *t = g->input[i];

		if (t->constant || !t->data)
			continue;
		memcpy(t->data, input[i], tensor_bytes(t));
	}
	if (m->profile)
		graph_run_timed(g);
	else
		graph_run(g);
	for (int i = 0; i < g->output_count; i++)
		if (g->output[i]->half && !g->output[i]->constant)
			float_round_half(g->output[i]->data, tensor_count(g->output[i]));
}

const char *model_metadata(const struct model *m, const char *key)
{
	for (const struct graph_property *p = m->graph->properties; p; p = p->next)
		if (strcmp(p->key, key) == 0)
			return p->value;
	return NULL;
}

const char *model_sha256(const struct model *m)
{
	return m->sha256;
}

bool model_gives_probabilities(const struct model *m)
{
	return m->probabilities;
}

struct tensor *tensor_read(const void *bytes, size_t size, struct err *e)
{
	struct graph *g = graph_new(8 * size + ((size_t)1 << 20), e);
	struct tensor *t = g ? graph_tensor(g, "tensor", e) : NULL, *copy = NULL;

	if (t && onnx_read_tensor(g, t, bytes, size, e) == 0) {
		copy = malloc(sizeof *copy);
		if (copy) {
			*copy = *t;
			copy->name = "";
			copy->next = NULL;
			t->owned = false;
		} else {
			err_code(e, EX_OSERR, "memory is short");
		}
	}
	graph_free(&g);
	return copy;
}

void tensor_free(struct tensor **t)
{
	if (!*t)
		return;
	if ((*t)->owned)
		free((*t)->data);
	free(*t);
	*t = NULL;
}
