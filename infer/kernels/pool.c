/* Which instruction set pools. */
#include "infer/kernels/pool.h"

#include "infer/kernels/isa.h"

void pool_max(const struct pool_pixel *p)
{
	switch (isa_best()) {
#ifdef __x86_64__
	case ISA_AVX512:
		pool_max__avx512(p);
		break;
	case ISA_AVX2:
		pool_max__avx2(p);
		break;
#endif
	default:
		pool_max__base(p);
	}
}

void pool_mean(const struct pool_pixel *p)
{
	switch (isa_best()) {
#ifdef __x86_64__
	case ISA_AVX512:
		pool_mean__avx512(p);
		break;
	case ISA_AVX2:
		pool_mean__avx2(p);
		break;
#endif
	default:
		pool_mean__base(p);
	}
}

void pool_max_row(const struct pool_row *p)
{
	switch (isa_best()) {
#ifdef __x86_64__
	case ISA_AVX512:
		pool_max_row__avx512(p);
		break;
	case ISA_AVX2:
		pool_max_row__avx2(p);
		break;
#endif
	default:
		pool_max_row__base(p);
	}
}
