/* Arrays as numpy.save writes them. */
#ifndef PREPROCESS_NPY_H
#define PREPROCESS_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/frame.h"

#define NPY_RANK_MAX 8

struct npy {
	enum dtype dtype; /* u8, u16, f32 or f64, native endian */
	int rank;
	int64_t shape[NPY_RANK_MAX];
	size_t count;        /* elements */
	const uint8_t *data; /* borrowed from file; may be unaligned */
	uint8_t *file;       /* whole file, owned if npy_open read it */
};

/* 0, or -1 with *e (EX_NOINPUT: no such file). npy_free afterwards. */
int npy_open(struct npy *a, const char *path, struct err *e);
void npy_free(struct npy *a);

/* The same from bytes, which must outlive *a. */
int npy_parse(struct npy *a, const uint8_t *bytes, size_t size, struct err *e);

double npy_value(const struct npy *a, size_t i);

#endif
