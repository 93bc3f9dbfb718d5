/* Any bytes as a reference array: what is accepted can be read to its last element. */
#include <stdint.h>

#include "preprocess/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct npy a;
	struct err e;
	double sum = 0;

	if (npy_parse(&a, data, size, &e) == 0)
		for (size_t i = 0; i < a.count; i++)
			sum += npy_value(&a, i);
	__asm__ volatile("" : : "m"(sum)); /* the reads are not to be optimised away */
	return 0;
}
