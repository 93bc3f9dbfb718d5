/* The seam between graph and operators: what an operator sees of a node, and what its row in the
 * table (ops.c) says of it.
 *
 * An operator is a file in ops/ with static functions and rows of struct op, and lines in ops.c.
 * Three functions, called in this order:
 *
 * shape(n, e)    checks inputs and attributes and sets every output's dtype and shape
 *                (node_output). Inputs' dtype, rank and dims are known, layouts are not yet. The
 *                value of in[i] may be read if in[i]->constant (always row-major here; shape
 *                computations arrive as constants, because they have been folded). What cannot be
 *                is refused with node_invalid (the model is wrong) or node_unsupported (we lack
 *                it); neither ever guesses. It may be called again after a pass changed the node.
 *                It may note parsed attributes in n->state (node_note).
 * plan(n, e)     may be NULL. Layouts are final, constants are known. Takes persistent memory
 *                (node_keep: packed weights, tables) and workspace (node_work), chooses the kernel
 *                by shape and by n->kernels, names it in n->kernel for --explain. May refuse.
 *                Constants it has packed and that run() no longer reads: n->unread |= 1u << i,
 *                their memory is then given back.
 * run(n)         computes. All data pointers are set. No allocation, no failure, no I/O, no state
 *                that outlives it; the same input gives the same bytes. Threads only through
 *                n->crew. It may be called at load, to fold a node whose inputs are all constants
 *                (then everything is row-major, and plan() was called before as ever).
 *
 * Nothing may depend on how many pictures are in a batch or where in it one lies: no reduction
 * across dim[0] of a picture, no kernel chosen by it. (What a model itself asks for is another
 * matter.)
 *
 * Optional inputs that are left out are NULL in in[], outputs that nobody wants are NULL in out[];
 * both may stand before others that are there. Rows with a larger `since` replace those before:
 * two meanings of an operator are two rows.
 *
 * Layouts, by `layout`:
 * OP_PLAIN   every input and output is row-major. The default, right for all; costs a copy
 *            where neighbours are channels last.
 * OP_FOLLOW  works on either. All inputs and outputs of the rank of out[0] have one layout, that
 *            of most of the neighbours, and no gaps; inputs of another rank are row-major.
 *            Elementwise work on equal shapes is a flat loop; broadcasting goes through
 *            stride[] (dim 1 has stride 1 when channels are last), axes are logical and must be
 *            looked up in stride[] too.
 * OP_LAST    in[0] and all outputs are channels last if in[0] has rank 3 to 5; other inputs are
 *            row-major, except the residual of the epilogue, which is as out[0].
 * While folding, everything is row-major whatever the row says: read t->layout or t->stride.
 * (OP_LAST rows whose in[0] has rank 3 to 5 are not folded.)
 *
 * Element types: f16 is held as f32 and never seen (a Cast to f16 rounds through it; use
 * tensor_held for types that attributes name). What an operator does not handle it refuses. */
#ifndef INFER_OP_H
#define INFER_OP_H

#include "infer/kernels/kernels.h"
#include "infer/tensor.h"

#define NODE_IN_MAX 1024 /* inputs of one node (Concat, Sum) */

/* May, or must, in[0] of an OP_LAST node be row-major all the same? It saves a copy. */
enum op_planes { PLANES_NO, PLANES_MAY, PLANES_MUST };

enum op_layout { OP_PLAIN, OP_FOLLOW, OP_LAST };

enum op_flags {
	OP_VIEW = 1, /* out[0] is in[0]'s bytes under another shape: run is NULL */
	OP_INPLACE =
	    2, /* out[0] may be in[0]'s memory if the sizes agree; others may not overlap */
	OP_DIMS_ONLY = 4, /* run() reads only the inputs' dims (Shape, Size): folds always */
	OP_NO_FOLD = 8,   /* never folded (random numbers) */
	OP_GAPS = 16,     /* honours strides with gaps between pixels (Concat and Split in place) */
	OP_EPILOGUE = 32, /* applies n->epilogue: an activation, a residual may be fused into it */
	OP_INPLACE_ANY = 64, /* OP_INPLACE, and any input of out[0]'s size may be overwritten */
	OP_FILL = 256,       /* costs no more than writing its output: constants, to be folded */
	OP_LATE = 1024,      /* folded only once the passes have seen it (graph_fold_late) */
	OP_ACTIVATION = 128, /* n->state is a struct epilogue that says all that the op does */
};

/* The domain of operators that only passes make. */
#define OP_OURS "andon"
/* ONNX Runtime's own, of which its quantiser writes some. */
#define OP_MICROSOFT "com.microsoft"

struct attr {
	const char *name;
	char type; /* as in op.attrs */
	int64_t i;
	float f;
	const char *s; /* NUL-terminated, no NUL inside */
	int count;     /* of ints or floats */
	int64_t *ints;
	float *floats;
	struct tensor *t; /* constant */
};

struct node {
	const char *name; /* "" if the model gives none */
	const char *type; /* op_type */
	const char *domain;
	int index; /* in the file, for words */
	int opset;
	const struct op *op;
	int in_count, out_count;
	struct tensor **in, **out;
	int attr_count;
	struct attr *attr;

	struct epilogue epilogue; /* set by passes if OP_EPILOGUE */
	int residual;             /* index in in[] of what the epilogue adds, 0: nothing */
	int gate; /* index in in[] of the factors that in[0] is multiplied by, 0: none */
	enum kernel_set kernels;
	struct crew *crew;
	void *state;        /* what shape() and plan() note for run() */
	void *work;         /* workspace, only while running, TENSOR_ALIGN aligned, not cleared */
	uint32_t unread;    /* bit i: run() does not read in[i] */
	uint32_t alone;     /* bit i: nobody else reads in[i], so plan() may use up its values */
	const char *kernel; /* which one was chosen: for --explain */
	enum op_planes planes;
	double flops; /* multiplications and additions, for --explain and --bench; may be 0 */

	/* what follows belongs to graph.c and plan.c */
	struct graph *graph;
	int place; /* scratch of passes */
	size_t work_bytes, note_bytes;
	bool dead;
	struct node *prev, *next;
};

struct op {
	const char *name;   /* op_type */
	const char *domain; /* NULL: ai.onnx */
	int since;          /* first opset with this meaning */
	enum op_layout layout;
	unsigned flags;
	int in_least,
	    in_most;  /* inputs; the first in_least must be there; in_most 0: NODE_IN_MAX */
	int out_most; /* 0: 1 */
	/* Attributes it knows, "name:type name:type …" with type i int, f float, s text, t tensor,
	 * I ints, F floats; '!' before a name: it must be given. The graph has checked all this
	 * before shape() is called, and refuses attributes that are not listed. */
	const char *attrs;
	int (*shape)(struct node *n, struct err *e);
	int (*plan)(struct node *n, struct err *e);
	void (*run)(const struct node *n);
};

/* Row for op_type of domain ("" and "ai.onnx" are one) at this opset: NULL if there is none;
 * *known says whether the name stands in the table at all. */
const struct op *op_find(const char *domain, const char *type, int opset, bool *known);

/* --- attributes: fallback if it is not given; types have been checked
 * ----------------------------- */

const struct attr *node_attr(const struct node *n, const char *name); /* NULL: not given */
int64_t node_int(const struct node *n, const char *name, int64_t fallback);
float node_float(const struct node *n, const char *name, float fallback);
const char *node_text(const struct node *n, const char *name, const char *fallback);
int node_ints(const struct node *n, const char *name, const int64_t **ints); /* count; 0 */

/* --- inputs and outputs
 * --------------------------------------------------------------------------- */

/* in[i], or NULL if it was left out or the node has fewer inputs. */
struct tensor *node_in(const struct node *n, int i);
struct tensor *node_out(const struct node *n, int i);

/* Is in[i] there and its value known? */
bool node_known(const struct node *n, int i);

/* Set shape and dtype of output i (nothing to do if nobody wants it). */
int node_output(struct node *n, int i, enum dtype dtype, int rank, const int64_t *dim,
		struct err *e);
int node_output_like(struct node *n, int i, const struct tensor *t, struct err *e);

/* Make an axis of [-rank, rank) one of [0, rank); -1 with *e outside. */
int node_axis(const struct node *n, int64_t *axis, int rank, struct err *e);

/* Known integers of in[i] (i64 or i32) or, where older opsets have it so, of the attribute: at most
 * most of them are put into out; returns how many, 0 if neither is given, -1 with *e if the value
 * is not known at load or there are more. attr may be NULL. */
int node_list(const struct node *n, int i, const char *attr, int64_t *out, int most, struct err *e);

/* Dims of a and b broadcast against each other; -1 with *e if they cannot be. */
int node_broadcast(const struct node *n, const struct tensor *a, const struct tensor *b, int *rank,
		   int64_t *dim, struct err *e);

/* --- memory
 * --------------------------------------------------------------------------------------- */

/* Zeroed memory that lives as long as the graph: state, packed weights. NULL with *e if short. */
void *node_keep(struct node *n, size_t bytes, struct err *e);

/* n->state as size zeroed bytes (the same again if shape() is called again). NULL with *e. */
void *node_note(struct node *n, size_t bytes, struct err *e);

/* At least this many bytes in n->work while running. */
int node_work(struct node *n, size_t bytes, struct err *e);

/* --- refusals: return -1
 * -------------------------------------------------------------------------- */

/* The model breaks ONNX's rules. "node 12 (Conv 'stem')" is added by the graph. */
int node_invalid(const struct node *n, struct err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* It may be right, but we lack it. */
int node_unsupported(const struct node *n, struct err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Refuse unless in[i] (if there) has one of these types: bits 1u << DTYPE_F32 | … */
int node_types(const struct node *n, int i, unsigned types, struct err *e);
#define TYPE(t) (1u << DTYPE_##t)
#define TYPES_INT (TYPE(U8) | TYPE(I8) | TYPE(U16) | TYPE(I16) | TYPE(I32) | TYPE(I64))
#define TYPES_FLOAT (TYPE(F32) | TYPE(F64))
#define TYPES_ALL (TYPES_INT | TYPES_FLOAT | TYPE(BOOL))

#endif
