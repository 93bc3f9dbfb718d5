/* The kernels' own exp, log, tanh, sigmoid, erf against the C library in double: worst error in
 * units in the last place over floats spread evenly through all bit patterns, and the special
 * values. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "infer/kernels/math.h"

struct row {
	const char *name;
	float (*own)(float);
	double (*reference)(double);
	double limit; /* ulp */
};

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
	return x > 40 ? x : log1p(exp(x));
}

static const struct row rows[] = {
	{ "exp", math_exp, exp, 2 },       { "log", math_log, log, 2 },
	{ "tanh", math_tanh, tanh, 2 },    { "sigmoid", math_sigmoid, sigmoid, 3 },
	{ "erf", math_erf, erf, 2 },       { "softplus", math_softplus, softplus, 3 },
	{ "expm1", math_expm1, expm1, 3 },
};

static double ulp(double value)
{
	int e;

	frexp(value, &e);
	return ldexp(1.0, (e < -125 ? -125 : e) - 24);
}

static double error_at(const struct row *r, float x)
{
	double want = r->reference(x);
	float got = r->own(x);

	if (isnan(want) || isnan(got))
		return isnan(want) && isnan(got) ? 0 : INFINITY;
	if (isinf((float)want) || isinf(got))
		return (float)want == got || fabs(want) > FLT_MAX * 0.999999 ? 0 : INFINITY;
	return fabs(got - want) / ulp(want);
}

int main(void)
{
	static const float special[] = { 0,       -0.0f,    INFINITY, -INFINITY, NAN, FLT_MIN,
					 FLT_MAX, -FLT_MAX, 1.4e-45f, 1,         -1 };
	int bad = 0;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double worst = 0;
		float at = 0;

		for (uint64_t u = 0; u < (UINT64_C(1) << 32); u += 1531) {
			float x = math_float((uint32_t)u);
			double e = error_at(&rows[i], x);
			if (!(e <= worst)) {
				worst = e;
				at = x;
			}
		}
		for (size_t k = 0; k < sizeof special / sizeof *special; k++)
			if (!(error_at(&rows[i], special[k]) <= rows[i].limit))
				bad = printf("BAD %s(%g)\n", rows[i].name, special[k]) > 0;
		printf("%s %s: worst %.2f ulp at %g, limit %g\n",
		       worst <= rows[i].limit ? "ok" : "BAD", rows[i].name, worst, at,
		       rows[i].limit);
		bad |= !(worst <= rows[i].limit);
	}
	return bad;
}
