/* Recipes on raw pixels, for a script that knows what must come out. run by: preprocess.bats
 *
 * stdin, again and again: a line "WIDTH HEIGHT CHANNELS DEPTH KERNELS RECIPE", then the pixels
 * (KERNELS: plain, sse2, avx2 or best). stdout: "ok DTYPE N C H W" or "no REASON", then the tensor's
 * bytes. The same line twice in a row uses the same prep again, as the stage does. A line that ends
 * in " repeat=N" is measured: the pixels go through N times, the answer ends with the least and the
 * median time in microseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preprocess/prep.h"

static const struct kernels *kernels_named(const char *name)
{
	for (size_t i = 0; kernels_get(i); i++)
		if (strcmp(kernels_get(i)->name, name) == 0)
			return kernels_get(i);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int apply(struct prep *prep, struct buffer *pixels, const int64_t *shape, int depth,
		 struct frame **f, struct err *e)
{
	frame_free(f);
	*f = frame_new();
	if (!*f)
		return err_set(e, "no memory");
	(*f)->kind = FRAME_IMAGE;
	(*f)->dtype = depth == 16 ? DTYPE_U16 : DTYPE_U8;
	(*f)->rank = 3;
	memcpy((*f)->shape, shape, 3 * sizeof *shape);
	(*f)->payload = buffer_ref(pixels);
	return prep_apply(prep, *f, e);
}

static void answer(struct prep *prep, struct buffer *pixels, const int64_t *shape, int depth,
		   int repeat)
{
	struct frame *f = NULL;
	struct err e;
	int64_t *ns = calloc((size_t)repeat, sizeof *ns);
	int result = 0;

	for (int i = 0; ns && result == 0 && i < repeat; i++) {
		int64_t began = clock_mono_ns();
		result = apply(prep, pixels, shape, depth, &f, &e);
		ns[i] = clock_mono_ns() - began;
	}
	if (result < 0 || !ns) {
		printf("no %s\n", e.text);
	} else {
		qsort(ns, (size_t)repeat, sizeof *ns, compare);
		printf("ok %s %lld %lld %lld %lld %.1f %.1f\n", dtype_name(f->dtype),
		       (long long)f->shape[0], (long long)f->shape[1], (long long)f->shape[2],
		       (long long)f->shape[3], (double)ns[0] / 1e3, (double)ns[repeat / 2] / 1e3);
		fwrite(f->payload->data, 1, f->payload->size, stdout);
	}
	fflush(stdout);
	frame_free(&f);
	free(ns);
}

int main(void)
{
	char line[2048], last[2048] = "", kernels[16];
	struct prep *prep = NULL;
	long long width, height, channels;
	int depth, at;

	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%lld %lld %lld %d %15s %n", &width, &height, &channels, &depth,
			   kernels, &at) != 5)
			return 1;
		char *count = strstr(line, " repeat=");
		int repeat = count ? atoi(count + 8) : 1;
		if (count)
			*count = '\0';
		struct buffer *pixels =
		    buffer_new((size_t)(width * height * channels * (depth / 8)));
		if (!pixels || fread(pixels->data, 1, pixels->size, stdin) != pixels->size)
			return 1;
		struct recipe recipe;
		struct err e;
		if (strcmp(line + at, last) != 0 || strcmp(kernels, "best") != 0) {
			prep_free(&prep);
			if (recipe_parse(&recipe, line + at, &e) < 0) {
				printf("no %s\n", e.text);
				fflush(stdout);
				buffer_unref(&pixels);
				*last = '\0';
				continue;
			}
			prep = prep_new(&recipe, kernels_named(kernels));
			strcpy(last, line + at);
		}
		const int64_t shape[3] = { height, width, channels };
		answer(prep, pixels, shape, depth, repeat);
		buffer_unref(&pixels);
	}
	prep_free(&prep);
	buffer_pool_drain();
	return 0;
}
