/* Arrays as numpy writes them, and what is not one. */
#include <stdio.h>
#include <string.h>

#include "preprocess/npy.h"

static int failures, checks;

static size_t make(uint8_t *out, int version, const char *header, const void *data, size_t size)
{
	size_t n = strlen(header), at = version == 1 ? 10 : 12;

	memcpy(out, "\x93NUMPY", 6);
	out[6] = (uint8_t)version;
	out[7] = 0;
	out[8] = (uint8_t)n;
	out[9] = (uint8_t)(n >> 8);
	out[10] = out[11] = 0;
	memcpy(out + at, header, n);
	memcpy(out + at + n, data, size);
	return at + n + size;
}

static void expect(int good, const char *what, const char *got)
{
	checks++;
	failures += !good;
	if (!good)
		printf("FAIL %s: %s\n", what, got);
}

static void refuses(const char *header, size_t data_size, const char *because)
{
	uint8_t bytes[1024], data[64] = { 0 };
	struct npy a;
	struct err e = { 0 };
	size_t size = make(bytes, 1, header, data, data_size);

	expect(npy_parse(&a, bytes, size, &e) < 0 && strstr(e.text, because), header, e.text);
}

static void check_good(void)
{
	const float data[6] = { 0, 1, 2, 3, 4, -5.5f };
	uint8_t bytes[1024];
	struct npy a;
	struct err e = { 0 };

	for (int version = 1; version <= 3; version++) {
		size_t size =
		    make(bytes, version,
			 "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }  \n", data,
			 sizeof data);
		int result = npy_parse(&a, bytes, size, &e);
		expect(result == 0 && a.rank == 3 && a.shape[1] == 2 && a.shape[2] == 3 &&
			   a.count == 6 && npy_value(&a, 5) == -5.5,
		       "a float array", e.text);
		for (size_t cut = 0; cut < size; cut++)
			expect(npy_parse(&a, bytes, cut, &e) < 0, "a cut array", "was accepted");
	}
}

int main(void)
{
	check_good();
	refuses("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", 4, "Fortran");
	refuses("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4, "elements are not");
	refuses("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, "elements are not");
	refuses("{'descr': '<f4', 'fortran_order': False, }", 4, "no shape");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }", 4, "asks for 8");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, "not numbers");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (1", 4, "not numbers");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 4,
		"too large");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 4,
		"too large");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4,
		"not numbers");
	printf("%d checks of arrays, %d wrong\n", checks, failures);
	return failures > 0;
}
