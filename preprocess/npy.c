/* The .npy format, versions 1 to 3 (numpy.lib.format): a magic, the header's length, a Python
 * dictionary as text with exactly the keys descr, fortran_order and shape, and the elements. */
#include "preprocess/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MAX 4096
#define FILE_MAX (FRAME_PAYLOAD_MAX + HEADER_MAX)

/* The text after 'key': in the dictionary, blanks skipped; NULL if the key is not there. */
static const char *after_key(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	if (!at)
		return NULL;
	at += strlen(key);
	at += strspn(at, " ");
	if (*at++ != ':')
		return NULL;
	return at + strspn(at, " ");
}

static int parse_descr(struct npy *a, const char *text, struct err *e)
{
	static const struct {
		const char *descr;
		enum dtype dtype;
	} known[] = { { "'|u1'", DTYPE_U8 },
		      { "'<u2'", DTYPE_U16 },
		      { "'<f4'", DTYPE_F32 },
		      { "'<f8'", DTYPE_F64 } };
	const char *at = after_key(text, "'descr'");

	for (size_t i = 0; at && i < sizeof known / sizeof *known; i++)
		if (strncmp(at, known[i].descr, strlen(known[i].descr)) == 0) {
			a->dtype = known[i].dtype;
			return 0;
		}
	return err_set(e, "its elements are not u1, <u2, <f4 or <f8");
}

/* "(1, 3, 224, 224)", "(5,)", "()" */
static int parse_shape(struct npy *a, const char *text, struct err *e)
{
	const char *at = after_key(text, "'shape'");

	if (!at || *at++ != '(')
		return err_set(e, "its header has no shape");
	for (a->rank = 0, a->count = 1;; a->rank++) {
		char *end;
		at += strspn(at, " ");
		if (*at == ')')
			return 0;
		if (a->rank == NPY_RANK_MAX || *at < '0' || *at > '9')
			return err_set(e, "its shape is not numbers");
		errno = 0;
		long long side = strtoll(at, &end, 10);
		if (errno || __builtin_mul_overflow(a->count, (size_t)side, &a->count) ||
		    a->count > FRAME_PAYLOAD_MAX)
			return err_set(e, "its shape is too large");
		a->shape[a->rank] = side;
		at = end + strspn(end, " ");
		if (*at == ',')
			at++;
		else if (*at != ')')
			return err_set(e, "its shape is not numbers");
	}
}

static int parse_header(struct npy *a, const char *text, struct err *e)
{
	const char *order = after_key(text, "'fortran_order'");

	if (parse_descr(a, text, e) < 0 || parse_shape(a, text, e) < 0)
		return -1;
	if (!order || strncmp(order, "False", 5) != 0)
		return err_set(e, "it is in Fortran order; save numpy.ascontiguousarray(a)");
	return 0;
}

int npy_parse(struct npy *a, const uint8_t *bytes, size_t size, struct err *e)
{
	char text[HEADER_MAX + 1];
	size_t length, at;

	*a = (struct npy){ 0 };
	if (size < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0)
		return err_set(e, "it is not an .npy file");
	if (bytes[6] < 1 || bytes[6] > 3)
		return err_set(e, "version %d of .npy is not supported", bytes[6]);
	at = bytes[6] == 1 ? 10 : 12;
	length = bytes[8] | (size_t)bytes[9] << 8;
	if (at == 12)
		length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
	if (length > HEADER_MAX || length > size - at)
		return err_set(e, "its header is too long");
	memcpy(text, bytes + at, length);
	text[length] = '\0';
	if (parse_header(a, text, e) < 0)
		return -1;
	at += length;
	if (a->count * dtype_size(a->dtype) != size - at)
		return err_set(e, "it has %zu bytes of elements, its shape asks for %zu", size - at,
			       a->count * dtype_size(a->dtype));
	a->data = bytes + at;
	return 0;
}

static int read_file(int fd, uint8_t **bytes, size_t *size, struct err *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_code(e, EX_NOINPUT, "it is not a regular file");
	if ((uint64_t)st.st_size > FILE_MAX)
		return err_set(e, "it is larger than %zu bytes", FILE_MAX);
	*bytes = malloc((size_t)st.st_size + 1);
	if (!*bytes)
		return err_code(e, EX_TEMPFAIL, "no memory for %lld bytes", (long long)st.st_size);
	for (*size = 0; *size < (size_t)st.st_size; *size += (size_t)n) {
		n = read(fd, *bytes + *size, (size_t)st.st_size - *size);
		if (n < 0)
			return err_code(e, EX_IOERR, "%s", strerror(errno));
		if (n == 0)
			break;
	}
	return 0;
}

int npy_open(struct npy *a, const char *path, struct err *e)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*a = (struct npy){ 0 };
	if (fd < 0)
		return err_code(e, EX_NOINPUT, "%s: %s", path, strerror(errno));
	if (read_file(fd, &bytes, &size, e) < 0 || npy_parse(a, bytes, size, e) < 0) {
		err_at(e, "%s", path);
		free(bytes);
		close(fd);
		return -1;
	}
	a->file = bytes;
	close(fd);
	return 0;
}

void npy_free(struct npy *a)
{
	free(a->file);
	*a = (struct npy){ 0 };
}

double npy_value(const struct npy *a, size_t i)
{
	const uint8_t *at = a->data + i * dtype_size(a->dtype);
	union {
		uint16_t u16;
		float f32;
		double f64;
	} value;

	if (a->dtype == DTYPE_U8)
		return *at;
	memcpy(&value, at, dtype_size(a->dtype));
	return a->dtype == DTYPE_U16 ? value.u16 : a->dtype == DTYPE_F32 ? value.f32 : value.f64;
}
