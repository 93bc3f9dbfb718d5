#include "common/tap/save.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MOST (FRAME_SOURCE_MAX + 64)
#define NPY_ALIGN 64 /* the format's: magic, length and header are a multiple of it */
#define PART ".tap-part"

/* A source is anybody's text: what may mean something in a file name becomes '_'. */
static void name_of(const struct frame *f, const char *extension, char name[NAME_MOST])
{
	char source[FRAME_SOURCE_MAX];
	size_t i = 0;

	for (; f->source[i] && i < sizeof source - 1; i++) {
		unsigned char c = (unsigned char)f->source[i];
		bool plain = isalnum(c) || c == '-' || c == '_' || (c == '.' && i > 0);
		source[i] = plain ? (char)c : '_';
	}
	source[i] = '\0';
	snprintf(name, NAME_MOST, "%s-%" PRIu64 "-%" PRIu64 ".%s", source, f->run, f->seq,
		 extension);
}

static const char *npy_type(enum dtype t)
{
	switch (t) {
	case DTYPE_F32:
		return "<f4";
	case DTYPE_U8:
		return "|u1";
	case DTYPE_I8:
		return "|i1";
	case DTYPE_U16:
		return "<u2";
	case DTYPE_I16:
		return "<i2";
	case DTYPE_I32:
		return "<i4";
	case DTYPE_I64:
		return "<i8";
	case DTYPE_BOOL:
		return "|b1";
	case DTYPE_F16:
		return "<f2";
	case DTYPE_F64:
		return "<f8";
	case DTYPE_NONE:
		break;
	}
	return NULL;
}

static void npy_header(FILE *out, const struct frame *f)
{
	char text[256];
	int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
			 npy_type(f->dtype));

	for (int i = 0; i < f->rank; i++)
		n += snprintf(text + n, sizeof text - (size_t)n, "%" PRId64 ",", f->shape[i]);
	n += snprintf(text + n, sizeof text - (size_t)n, "), }");
	int padding = NPY_ALIGN - (10 + n + 1) % NPY_ALIGN, length = n + padding + 1;
	fwrite("\x93NUMPY\x01\x00", 1, 8, out);
	putc(length & 255, out);
	putc(length >> 8, out);
	fprintf(out, "%s%*s\n", text, padding, "");
}

static void image_header(FILE *out, const struct frame *f)
{
	int64_t height = f->shape[0], width = f->shape[1], channels = f->shape[2];
	int most = f->dtype == DTYPE_U16 ? 65535 : 255;

	if (channels == 1 || channels == 3)
		fprintf(out, "P%d\n%" PRId64 " %" PRId64 "\n%d\n", channels == 1 ? 5 : 6, width,
			height, most);
	else
		fprintf(out,
			"P7\nWIDTH %" PRId64 "\nHEIGHT %" PRId64 "\nDEPTH %" PRId64
			"\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n",
			width, height, channels, most,
			channels == 2 ? "GRAYSCALE_ALPHA" : "RGB_ALPHA");
}

/* Samples of 16 bits are little-endian in a frame and big-endian in these files. */
static void image_samples(FILE *out, const struct frame *f)
{
	const uint8_t *data = f->payload->data;

	if (f->dtype == DTYPE_U8) {
		fwrite(data, 1, f->payload->size, out);
		return;
	}
	for (size_t i = 0; i + 1 < f->payload->size; i += 2) {
		putc_unlocked(data[i + 1], out);
		putc_unlocked(data[i], out);
	}
}

static bool is_image(const struct frame *f)
{
	return f->kind == FRAME_IMAGE && f->rank == 3 && f->shape[2] >= 1 && f->shape[2] <= 4 &&
	       (f->dtype == DTYPE_U8 || f->dtype == DTYPE_U16);
}

static int put(FILE *out, const struct frame *f)
{
	if (is_image(f)) {
		image_header(out, f);
		image_samples(out, f);
	} else {
		npy_header(out, f);
		fwrite(f->payload->data, 1, f->payload->size, out);
	}
	return fflush(out) != 0 || ferror(out) ? -1 : 0;
}

int save_frame(int directory, const struct frame *f, struct err *e)
{
	char name[NAME_MOST];
	bool image = is_image(f);
	size_t bytes;

	/* What does not agree with its shape (only an error row may) would be a broken file. */
	if (!f->payload || !npy_type(f->dtype) || frame_bytes(f, &bytes, NULL) < 0 ||
	    bytes != f->payload->size)
		return 0;
	name_of(f,
		!image             ? "npy"
		: f->shape[2] == 1 ? "pgm"
		: f->shape[2] == 3 ? "ppm"
				   : "pam",
		name);
	int fd =
	    openat(directory, PART, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	FILE *out = fd >= 0 ? fdopen(fd, "wb") : NULL;
	if (!out) {
		if (fd >= 0)
			close(fd);
		return err_code(e, EX_CANTCREAT, "--save: cannot write '%s': %s", PART,
				strerror(errno));
	}
	int result = put(out, f);
	int error = errno;
	if (fclose(out) != 0 && result == 0) {
		result = -1;
		error = errno;
	}
	if (result == 0 && renameat(directory, PART, directory, name) == 0)
		return 0;
	error = result == 0 ? errno : error;
	unlinkat(directory, PART, 0);
	return err_code(e, EX_IOERR, "--save: cannot write '%s': %s", name, strerror(error));
}
