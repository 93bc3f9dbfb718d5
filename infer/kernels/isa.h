/* Which of the instruction sets that kernels/isa was compiled for runs on this processor. */
#ifndef INFER_KERNELS_ISA_H
#define INFER_KERNELS_ISA_H

#include <stdbool.h>

enum isa { ISA_BASE, ISA_AVX2, ISA_AVX512 };

/* The best one that the processor has, and at most what the environment's ANDON_ISA (base, avx2,
 * avx512) names (vnni: all that there is). The same answer every time in a process. */
enum isa isa_best(void);

/* Has it AVX-512 and VNNI (avx512vnni), and VBMI (byte permutations) too? Where ANDON_ISA names a set, it
 * must be vnni. */
bool isa_vnni(void);
bool isa_vbmi(void);

const char *isa_name(enum isa isa);

#endif
