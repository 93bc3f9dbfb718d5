/* The one file that knows BLIS. Its SONAME stayed the same from 0.9 to 2.1 while cntx_t, which the
 * header's inline queries read, changed its layout twice: so the version found at run time must be
 * of the series that we were built against before the context is read at all. */
#include "infer/kernels/blis.h"

#include <blis.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* The series whose header has bli_cntx_get_l3_vir_ukr_dt, with which the queries below compile. */
#define SERIES "0.9."

static struct blis_shape shape;
static cntx_t *context;
static sgemm_ukr_ft kernel;
static bool rows; /* the micro-kernel stores rows of C: V is its n side */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void query(void)
{
	const char *version = bli_info_get_version_str();

	bli_init();
	bli_thread_set_num_threads(1);
	if (strncmp(version, SERIES, strlen(SERIES)) != 0) {
		snprintf(shape.name, sizeof shape.name, "blis-%s-sgemm", version);
		return;
	}
	context = bli_gks_query_cntx();
	kernel = (sgemm_ukr_ft)bli_cntx_get_l3_vir_ukr_dt(BLIS_FLOAT, BLIS_GEMM_UKR, context);
	rows = bli_cntx_l3_vir_ukr_prefers_rows_dt(BLIS_FLOAT, BLIS_GEMM_UKR, context);
	size_t mr = (size_t)bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_MR, context);
	size_t nr = (size_t)bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_NR, context);
	shape.v = rows ? nr : mr;
	shape.u = rows ? mr : nr;
	shape.kc = 256;
	/* Panels are packed without gaps: a kernel that wants some is served by bli_sgemm. */
	shape.micro = mr == (size_t)bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_MR, context) &&
		      nr == (size_t)bli_cntx_get_blksz_max_dt(BLIS_FLOAT, BLIS_NR, context) &&
		      shape.u <= BLIS_TILE_MAX && shape.v <= BLIS_TILE_MAX;
	snprintf(shape.name, sizeof shape.name, "blis-%s-%s", version,
		 shape.micro ? bli_arch_string(bli_arch_query_id()) : "sgemm");
}

const struct blis_shape *blis_shape(void)
{
	pthread_once(&once, query);
	return &shape;
}

void blis_tile(size_t depth, const float *pixels, const float *weights, bool add, float *y,
	       size_t y_pitch)
{
	float one = 1, beta = add ? 1 : 0;
	auxinfo_t next;
	float *p = (float *)(uintptr_t)pixels, *w = (float *)(uintptr_t)weights;

	memset(&next, 0, sizeof next);
	next.a_next = rows ? p : w; /* prefetch hints */
	next.b_next = rows ? w : p;
	if (rows)
		kernel((dim_t)shape.u, (dim_t)shape.v, (dim_t)depth, &one, p, w, &beta, y,
		       (inc_t)y_pitch, 1, &next, context);
	else
		kernel((dim_t)shape.v, (dim_t)shape.u, (dim_t)depth, &one, w, p, &beta, y, 1,
		       (inc_t)y_pitch, &next, context);
}

void blis_product(size_t m, size_t n, size_t k, const float *x, const float *w, float *y,
		  size_t y_pitch)
{
	float one = 1, zero = 0;

	pthread_once(&once, query);
	bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, (dim_t)m, (dim_t)n, (dim_t)k, &one,
		  (float *)(uintptr_t)x, (inc_t)k, 1, (float *)(uintptr_t)w, (inc_t)n, 1, &zero, y,
		  (inc_t)y_pitch, 1);
}
