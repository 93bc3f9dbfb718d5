/* Run-time choice of the instruction set. */
#include "infer/kernels/isa.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = { "base", "avx2", "avx512" };

static enum isa of_processor(void)
{
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
		return ISA_AVX512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return ISA_AVX2;
#endif
	return ISA_BASE;
}

static enum isa allowed(void)
{
	enum isa best = of_processor();
	const char *most = getenv("ANDON_ISA");

	for (int i = 0; most && i < 3; i++)
		if (strcmp(most, names[i]) == 0 && (enum isa)i < best)
			best = (enum isa)i;
	return best;
}

enum isa isa_best(void)
{
	static int known; /* 1 + the answer; all threads would write the same */
	int k = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (k == 0) {
		k = 1 + (int)allowed();
		__atomic_store_n(&known, k, __ATOMIC_RELAXED);
	}
	return (enum isa)(k - 1);
}

/* The questions beyond the sets are asked of kernels that compute in whole numbers, whose results are the
 * same everywhere: they do not belong to a set's name. */
#ifdef __x86_64__
static bool beyond(void)
{
	const char *most = getenv("ANDON_ISA");

	return isa_best() == ISA_AVX512 && (!most || strcmp(most, names[ISA_AVX512]) != 0);
}
#endif

bool isa_vnni(void)
{
#ifdef __x86_64__
	return beyond() && __builtin_cpu_supports("avx512vnni");
#else
	return false;
#endif
}

bool isa_vbmi(void)
{
#ifdef __x86_64__
	return beyond() && __builtin_cpu_supports("avx512vbmi");
#else
	return false;
#endif
}

const char *isa_name(enum isa isa)
{
	return names[isa];
}
