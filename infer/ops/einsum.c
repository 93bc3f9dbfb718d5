/* Einsum: sums of products over named axes. Every name gets a stride in each operand and in the output;
 * names that the output lacks are summed over, in double, in the order of their first appearance. */
#include "infer/ops/ops.h"

#include <ctype.h>
#include <string.h>

#define NAMES TENSOR_RANK_MAX
#define OPERANDS 8

struct einsum {
	int names, operands;
	int64_t dim[NAMES];
	bool kept[NAMES];
	int64_t stride[OPERANDS][NAMES], out_stride[NAMES];
	int ellipsis; /* names that '...' stands for, the first of all */
};

/* One term's names: letters, and '.' for each axis that '...' stands for. Moves *text behind it. */
static int read_term(const char **text, int rank, char *names)
{
	int count = 0, dots = 0;
	const char *p = *text;

	for (const char *q = p; *q && *q != ',' && strncmp(q, "->", 2) != 0; q++)
		dots += isalpha((unsigned char)*q) ? 1 : 0;
	dots = rank - dots; /* axes that are left for '...' */
	for (; *p && *p != ',' && strncmp(p, "->", 2) != 0; p++) {
		if (isspace((unsigned char)*p))
			continue;
		if (strncmp(p, "...", 3) == 0) {
			for (int i = 0; i < dots && count < NAMES; i++)
				names[count++] = '.';
			p += 2;
		} else if (!isalpha((unsigned char)*p) || count == NAMES) {
			return -1;
		} else {
			names[count++] = *p;
		}
	}
	*text = p;
	return count;
}

/* Index of a name, added if it is new; -1 if there are too many. */
static int index_of(struct einsum *s, char *known, char name)
{
	for (int i = s->ellipsis; i < s->names; i++)
		if (known[i] == name)
			return i;
	if (s->names == NAMES)
		return -1;
	known[s->names] = name;
	s->dim[s->names] = 1;
	return s->names++;
}

static int add_operand(struct node *n, struct einsum *s, int o, const char *names, int count,
		       char *known, struct err *e)
{
	const struct tensor *t = n->in[o];
	int dots = 0, at = 0;

	for (int i = 0; i < count; i++)
		dots += names[i] == '.';
	for (int i = 0; i < count; i++) {
		int k = names[i] == '.' ? s->ellipsis - dots + at++ : index_of(s, known, names[i]);
		if (k < 0)
			return node_unsupported(n, e, "more than %d names", NAMES);
		if (s->dim[k] != 1 && t->dim[i] != 1 && s->dim[k] != t->dim[i])
			return node_invalid(n, e, "'%c' is %lld and %lld", names[i],
					    (long long)s->dim[k], (long long)t->dim[i]);
		s->dim[k] = t->dim[i] != 1 ? t->dim[i] : s->dim[k];
		s->stride[o][k] += t->dim[i] != 1 ? t->stride[i] : 0;
	}
	return 0;
}

/* Where the equation has no "->": '...', then the names that come once, in the alphabet's order. */
static int implied(const struct einsum *s, const char *equation, const char *known, char *names)
{
	int count = 0;

	for (int i = 0; i < s->ellipsis; i++)
		names[count++] = '.';
	for (int c = 'A'; c <= 'z'; c++) {
		const char *first = isalpha(c) ? strchr(equation, c) : NULL;
		if (first && !strchr(first + 1, c) && memchr(known, c, NAMES))
			names[count++] = (char)c;
	}
	return count;
}

static int set_output(struct node *n, struct einsum *s, const char *names, int count,
		      const char *known, struct err *e)
{
	int64_t dim[NAMES], step = 1;
	int at[NAMES], dots = 0;

	for (int i = 0; i < count; i++) {
		at[i] = names[i] == '.' ? dots++ : -1;
		for (int k = s->ellipsis; k < s->names && names[i] != '.'; k++)
			at[i] = known[k] == names[i] ? k : at[i];
		if (at[i] < 0 || at[i] >= s->names || s->kept[at[i]])
			return node_invalid(n, e, "'%c' in the output", names[i]);
		s->kept[at[i]] = true;
		dim[i] = s->dim[at[i]];
	}
	for (int i = count - 1; i >= 0; i--) {
		s->out_stride[at[i]] = step;
		step *= dim[i];
	}
	n->flops = s->operands;
	for (int k = 0; k < s->names; k++)
		n->flops *= (double)s->dim[k];
	if (node_output(n, 0, n->in[0]->dtype, count, dim, e) < 0)
		return -1;
	if (n->out[0])
		n->out[0]->half = n->in[0]->half;
	return 0;
}

static int shape(struct node *n, struct err *e)
{
	struct einsum *s = node_note(n, sizeof *s, e);
	const char *equation = node_text(n, "equation", ""), *p = equation;
	char names[OPERANDS][NAMES], known[NAMES] = "", out[NAMES * 8];
	int count[OPERANDS];

	if (!s)
		return -1;
	*s = (struct einsum){ .operands = n->in_count };
	if (n->in_count > OPERANDS)
		return node_unsupported(n, e, "%d operands", n->in_count);
	for (int o = 0; o < n->in_count; o++, p += *p == ',') {
		int dots = 0;
		if (node_types(n, o, TYPES_FLOAT, e) < 0)
			return -1;
		if (n->in[o]->dtype != n->in[0]->dtype)
			return node_invalid(n, e, "operands of different types");
		count[o] = read_term(&p, n->in[o]->rank, names[o]);
		if (count[o] != n->in[o]->rank || (o + 1 < n->in_count) != (*p == ','))
			return node_invalid(n, e, "equation '%s'", equation);
		for (int i = 0; i < count[o]; i++)
			dots += names[o][i] == '.';
		s->ellipsis = dots > s->ellipsis ? dots : s->ellipsis;
	}
	for (s->names = 0; s->names < s->ellipsis; s->names++)
		s->dim[s->names] = 1;
	for (int o = 0; o < n->in_count; o++)
		if (add_operand(n, s, o, names[o], count[o], known, e) < 0)
			return -1;
	if (*p == 0) {
		int outs = implied(s, equation, known, out);
		return set_output(n, s, out, outs, known, e);
	}
	p += 2;
	/* '...' stands for all of its axes; a rank that makes it so is told to read_term. */
	int letters = 0, outs;
	for (const char *q = p; *q; q++)
		letters += isalpha((unsigned char)*q) ? 1 : 0;
	outs = read_term(&p, letters + s->ellipsis, out);
	if (outs < 0 || *p)
		return node_invalid(n, e, "equation '%s'", equation);
	return set_output(n, s, out, outs, known, e);
}

/* Sum over the names from k on that are not kept. */
static double sum(const struct node *n, const struct einsum *s, int k, const int64_t *offset)
{
	int64_t at[OPERANDS];
	double total = 0, factor = 1;

	while (k < s->names && s->kept[k])
		k++;
	if (k == s->names) {
		for (int o = 0; o < s->operands; o++)
			factor *= tensor_real(n->in[o], (size_t)offset[o]);
		return factor;
	}
	for (int o = 0; o < s->operands; o++)
		at[o] = offset[o];
	for (int64_t i = 0; i < s->dim[k]; i++) {
		total += sum(n, s, k + 1, at);
		for (int o = 0; o < s->operands; o++)
			at[o] += s->stride[o][k];
	}
	return total;
}

/* All positions of the names from k on that are kept. */
static void fill(const struct node *n, const struct einsum *s, int k, const int64_t *offset,
		 int64_t out)
{
	int64_t at[OPERANDS];

	while (k < s->names && !s->kept[k])
		k++;
	if (k == s->names) {
		double total = sum(n, s, 0, offset);
		if (n->out[0]->dtype == DTYPE_F32)
			((float *)n->out[0]->data)[out] = (float)total;
		else
			((double *)n->out[0]->data)[out] = total;
		return;
	}
	for (int o = 0; o < s->operands; o++)
		at[o] = offset[o];
	for (int64_t i = 0; i < s->dim[k]; i++) {
		fill(n, s, k + 1, at, out + i * s->out_stride[k]);
		for (int o = 0; o < s->operands; o++)
			at[o] += s->stride[o][k];
	}
}

static void run(const struct node *n)
{
	int64_t offset[OPERANDS] = { 0 };

	if (tensor_count(n->out[0]))
		fill(n, n->state, 0, offset, 0);
}

/* --- Trilu: one triangle of the last two axes, zeros elsewhere -------------------------------------- */

static int trilu_shape(struct node *n, struct err *e)
{
	int64_t *k = node_note(n, sizeof *k, e), value = 0;

	if (!k)
		return -1;
	if (n->in[0]->rank < 2)
		return node_invalid(n, e, "rank %d", n->in[0]->rank);
	if (node_list(n, 1, NULL, &value, 1, e) < 0)
		return -1;
	*k = value < -(INT64_C(1) << 40) ? -(INT64_C(1) << 40) : value;
	*k = *k > INT64_C(1) << 40 ? INT64_C(1) << 40 : *k;
	return node_output_like(n, 0, n->in[0], e);
}

static void trilu_run(const struct node *n)
{
	const struct tensor *x = n->in[0];
	int64_t rows = x->dim[x->rank - 2], columns = x->dim[x->rank - 1], k = *(int64_t *)n->state;
	size_t each = dtype_size(x->dtype), count = tensor_count(x);
	bool upper = node_int(n, "upper", 1) != 0;

	for (size_t i = 0; i < count; i++) {
		int64_t r = (int64_t)i / columns % rows, c = (int64_t)i % columns;
		bool in = upper ? c >= r + k : c <= r + k;
		char *to = (char *)n->out[0]->data + i * each;
		if (in)
			memcpy(to, (const char *)x->data + i * each, each);
		else
			memset(to, 0, each);
	}
}

const struct op *const ops_einsum[] = {
	&(const struct op){ .name = "Einsum",
			    .since = 12,
			    .in_least = 1,
			    .attrs = "!equation:s",
			    .shape = shape,
			    .run = run },
	&(const struct op){ .name = "Trilu",
			    .since = 14,
			    .in_least = 1,
			    .in_most = 2,
			    .attrs = "upper:i",
			    .shape = trilu_shape,
			    .run = trilu_run },
	NULL,
};
