/* Which of the instruction sets that kernels/isa was compiled for runs on this processor. */
#ifndef INFER_KERNELS_ISA_H
#define INFER_KERNELS_ISA_H

enum isa { ISA_BASE, ISA_AVX2, ISA_AVX512 };

/* The best one that the processor has, and at most what the environment's ANDON_ISA (base, avx2,
 * avx512) names. The same answer every time in a process. */
enum isa isa_best(void);
const char *isa_name(enum isa isa);

#endif
