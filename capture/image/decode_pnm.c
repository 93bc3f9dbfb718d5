/* The Netpbm family: P1 to P6 (PBM, PGM, PPM, plain and raw) and P7 (PAM).
 *
 * Samples are proportions of maxval, so they are stretched to 0..255, or to 0..65535 if maxval is
 * over 255. A bitmap's 1 is black. The raster must be whole and no sample above maxval. */
#include "capture/image/decode.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "capture/image/png_fast.h"

#define HEADER_MOST 4096 /* bytes, comments included */

struct header {
	char type;   /* '1'..'7' */
	bool plain;  /* numbers in ASCII */
	bool bitmap; /* a bit per sample, 1 is black */
	uint64_t width, height, maxval;
	int channels;
	size_t bytes; /* of the header itself */
};

/* What reading ran into, beside success (1). */
enum { SHORT = 0, BAD = -1 };

/* Bytes of text that is being read. */
struct text {
	const uint8_t *at, *end;
};

static bool pnm_begins(const uint8_t *bytes, size_t size)
{
	if (size < 3 || bytes[0] != 'P' || bytes[1] < '1' || bytes[1] > '7')
		return false;
	return bytes[1] == '7' ? bytes[2] == '\n' : isspace(bytes[2]) || bytes[2] == '#';
}

/* White space and comments, which run to the end of their line. */
static void skip_blank(struct text *t)
{
	while (t->at < t->end && (isspace(*t->at) || *t->at == '#')) {
		if (*t->at++ != '#')
			continue;
		while (t->at < t->end && *t->at != '\n')
			t->at++;
	}
}

/* A number that ends inside the text: one whose digits touch the end may go on. */
static int read_number(struct text *t, uint64_t *value)
{
	const uint8_t *start;

	skip_blank(t);
	*value = 0;
	for (start = t->at; t->at < t->end && isdigit(*t->at); t->at++) {
		*value = *value * 10 + (uint64_t)(*t->at - '0');
		if (*value > UINT32_MAX)
			return BAD;
	}
	if (t->at == t->end)
		return SHORT;
	return t->at > start ? 1 : BAD;
}

/* --- headers ----------------------------------------------------------------------------------- */

static int read_classic(struct header *h, struct text *t)
{
	uint64_t *fields[] = { &h->width, &h->height, &h->maxval };
	int count = h->bitmap ? 2 : 3;

	h->maxval = 1;
	h->channels = h->type == '3' || h->type == '6' ? 3 : 1;
	for (int i = 0; i < count; i++) {
		int got = read_number(t, fields[i]);
		if (got != 1)
			return got;
	}
	if (!isspace(*t->at)) /* exactly one before the raster */
		return BAD;
	t->at++;
	return 1;
}

static const struct tuple_type {
	const char *name;
	int channels;
} tuple_types[] = {
	{ "", 0 }, /* none named: the depth tells */
	{ "BLACKANDWHITE", 1 },
	{ "GRAYSCALE", 1 },
	{ "RGB", 3 },
	{ "BLACKANDWHITE_ALPHA", 2 },
	{ "GRAYSCALE_ALPHA", 2 },
	{ "RGB_ALPHA", 4 },
};

static bool knows_tuple(const char *name, uint64_t depth)
{
	for (size_t i = 0; i < sizeof tuple_types / sizeof tuple_types[0]; i++)
		if (strcmp(name, tuple_types[i].name) == 0)
			return i == 0 || (uint64_t)tuple_types[i].channels == depth;
	return false;
}

/* The next line of a PAM header, without its end, cut to fit. */
static bool read_line(struct text *t, char *line, size_t size)
{
	const uint8_t *end = memchr(t->at, '\n', (size_t)(t->end - t->at));
	size_t length;

	if (!end)
		return false;
	length = (size_t)(end - t->at);
	if (length >= size)
		length = size - 1;
	memcpy(line, t->at, length);
	line[length] = 0;
	t->at = end + 1;
	return true;
}

static int read_field(struct header *h, uint64_t *depth, char tuple[64], char *line)
{
	struct {
		const char *word;
		uint64_t *value;
	} fields[] = { { "WIDTH", &h->width },
		       { "HEIGHT", &h->height },
		       { "DEPTH", depth },
		       { "MAXVAL", &h->maxval } };
	char *rest, *word = strtok_r(line, " \t\r", &rest), *value, *end;

	if (!word || word[0] == '#')
		return 1;
	value = strtok_r(NULL, " \t\r", &rest);
	if (!value)
		return BAD;
	if (strcmp(word, "TUPLTYPE") == 0) {
		if (tuple[0]) /* several lines make one long name, which is none of ours */
			return BAD;
		strncpy(tuple, value, 63);
		return 1;
	}
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if (strcmp(word, fields[i].word) == 0) {
			*fields[i].value = strtoul(value, &end, 10);
			return isdigit((unsigned char)value[0]) && *end == 0 ? 1 : BAD;
		}
	return BAD;
}

static int read_pam(struct header *h, struct text *t)
{
	char line[128], tuple[64] = "";
	uint64_t depth = 0;

	for (;;) {
		if (!read_line(t, line, sizeof line))
			return SHORT;
		if (strcmp(line, "ENDHDR") == 0 || strcmp(line, "ENDHDR\r") == 0)
			break;
		if (read_field(h, &depth, tuple, line) != 1)
			return BAD;
	}
	if (depth < 1 || depth > 4 || !knows_tuple(tuple, depth))
		return BAD;
	h->channels = (int)depth;
	return 1;
}

/* 1, or SHORT, or BAD with *e. */
static int read_header(struct header *h, const uint8_t *bytes, size_t size, struct err *e)
{
	size_t most = size < HEADER_MOST ? size : HEADER_MOST;
	struct text t = { bytes + 2, bytes + most };
	int got;

	memset(h, 0, sizeof *h);
	h->type = (char)bytes[1];
	h->plain = h->type <= '3';
	h->bitmap = h->type == '1' || h->type == '4';
	got = h->type == '7' ? read_pam(h, (t.at++, &t)) : read_classic(h, &t);
	h->bytes = (size_t)(t.at - bytes);
	if (got == BAD)
		return err_set(e, "the header of this P%c picture is damaged or not supported",
			       h->type);
	if (got == SHORT)
		return size < HEADER_MOST ? SHORT
					  : err_set(e, "a header over %d bytes", HEADER_MOST);
	if (h->width < 1 || h->height < 1 || h->width > IMAGE_SIDE_MAX ||
	    h->height > IMAGE_SIDE_MAX)
		return err_set(e, "%llux%llu pixels: sides must be from 1 to %d",
			       (unsigned long long)h->width, (unsigned long long)h->height,
			       IMAGE_SIDE_MAX);
	if (h->maxval < 1 || h->maxval > 65535)
		return err_set(e, "maxval %llu is not in 1..65535", (unsigned long long)h->maxval);
	return 1;
}

static uint64_t samples_of(const struct header *h)
{
	return h->width * h->height * (uint64_t)h->channels; /* at most 2^30: sides were checked */
}

static size_t sample_bytes(const struct header *h)
{
	return h->maxval > 255 ? 2 : 1;
}

static size_t raster_bytes(const struct header *h)
{
	if (h->bitmap)
		return (size_t)((h->width + 7) / 8 * h->height);
	return (size_t)samples_of(h) * sample_bytes(h);
}

/* --- rasters ----------------------------------------------------------------------------------- */

static int over_maxval(const struct header *h, unsigned long long value, struct err *e)
{
	return err_set(e, "sample %llu is above maxval %llu", value, (unsigned long long)h->maxval);
}

/* What becomes of a sample: the arithmetic of Pillow, halves to the even number. */
static uint16_t stretch(const struct header *h, uint64_t value)
{
	double top = h->maxval > 255 ? 65535 : 255;

	return (uint16_t)lrint((double)value / (double)h->maxval * top);
}

static int raw_bits(struct frame *f, const struct header *h, const uint8_t *from)
{
	uint8_t *to = f->payload->data;

	for (uint64_t y = 0; y < h->height; y++, from += (h->width + 7) / 8)
		for (uint64_t x = 0; x < h->width; x++)
			*to++ = from[x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
	return 0;
}

static int raw_u8(struct frame *f, const struct header *h, const uint8_t *from, struct err *e)
{
	size_t n = (size_t)samples_of(h);
	uint8_t *to = f->payload->data, table[256];

	if (h->maxval == 255) {
		memcpy(to, from, n);
		return 0;
	}
	for (unsigned v = 0; v <= h->maxval; v++)
		table[v] = (uint8_t)stretch(h, v);
	for (size_t i = 0; i < n; i++) {
		if (from[i] > h->maxval)
			return over_maxval(h, from[i], e);
		to[i] = table[from[i]];
	}
	return 0;
}

static int raw_u16(struct frame *f, const struct header *h, const uint8_t *from, struct err *e)
{
	size_t n = (size_t)samples_of(h);
	uint16_t *to = (uint16_t *)(void *)f->payload->data, *table;

	memcpy(to, from, n * 2);
	samples_to_native(f->payload->data, n);
	if (h->maxval == 65535)
		return 0;
	table = malloc((h->maxval + 1) * sizeof *table);
	if (!table)
		return err_code(e, EX_TEMPFAIL, "no memory");
	for (unsigned v = 0; v <= h->maxval; v++)
		table[v] = stretch(h, v);
	size_t i = 0;
	for (; i < n && to[i] <= h->maxval; i++)
		to[i] = table[to[i]];
	free(table);
	return i == n ? 0 : over_maxval(h, to[i], e);
}

static void put(struct frame *f, size_t i, uint16_t value)
{
	if (f->dtype == DTYPE_U16)
		memcpy(f->payload->data + 2 * i, &value, 2);
	else
		f->payload->data[i] = (uint8_t)value;
}

/* P1's digits may touch one another. */
static int read_bit(struct text *t, uint64_t *value)
{
	skip_blank(t);
	if (t->at == t->end)
		return SHORT;
	*value = (uint64_t)(*t->at - '0');
	return *t->at == '0' || *t->at == '1' ? (t->at++, 1) : BAD;
}

static int read_plain(struct frame *f, const struct header *h, struct text *t, struct err *e)
{
	uint64_t n = samples_of(h), value;

	for (uint64_t i = 0; i < n; i++) {
		int got = h->bitmap ? read_bit(t, &value) : read_number(t, &value);
		/* The last number of a file may end with it. */
		if (got == SHORT && !(i + 1 == n && t->at[-1] >= '0' && t->at[-1] <= '9'))
			return err_set(e, "the file ends %llu samples too early",
				       (unsigned long long)(n - i));
		if (got == BAD)
			return err_set(e, "what should be a number is none, at sample %llu",
				       (unsigned long long)i);
		if (value > h->maxval)
			return over_maxval(h, value, e);
		put(f, (size_t)i, h->bitmap ? (value ? 0 : 255) : stretch(h, value));
	}
	return 0;
}

/* A file with several pictures holds several parts, of which none may go without a verdict. */
static int nothing_follows(const uint8_t *after, const uint8_t *end, struct err *e)
{
	while (after < end && isspace(*after))
		after++;
	if (pnm_begins(after, (size_t)(end - after)))
		return err_set(e, "the file holds more than one picture: pass it to 'capture -'");
	return 0;
}

static int pnm_decode(struct frame *f, const uint8_t *bytes, size_t size,
		      const struct decode_options *options, struct err *e)
{
	struct header h;
	struct text t = { bytes, bytes + size };
	int got = read_header(&h, bytes, size, e);

	(void)options;
	if (got != 1)
		return got == SHORT ? err_set(e, "the file ends inside the header") : -1;
	/* Before memory is taken: every sample needs a byte, two when there are blanks between. */
	uint64_t least = h.plain ? samples_of(&h) * (h.bitmap ? 1 : 2) - 1 : raster_bytes(&h);
	t.at += h.bytes;
	if ((uint64_t)(t.end - t.at) < least)
		return err_set(e, "the file ends too early: %llu bytes of pixels of %llu",
			       (unsigned long long)(t.end - t.at), (unsigned long long)least);
	if (image_shape(f, h.width, h.height, h.channels, h.maxval > 255 ? DTYPE_U16 : DTYPE_U8,
			e) < 0)
		return -1;
	if (h.plain) {
		if (read_plain(f, &h, &t, e) < 0)
			return -1;
		return nothing_follows(t.at, t.end, e);
	}
	if (h.bitmap)
		raw_bits(f, &h, t.at);
	else if ((h.maxval > 255 ? raw_u16 : raw_u8)(f, &h, t.at, e) < 0)
		return -1;
	return nothing_follows(t.at + raster_bytes(&h), t.end, e);
}

/* --- where one ends in a stream ---------------------------------------------------------------- */

/* Plain pictures are counted number by number; x->left tells how many are still to come. */
static int plain_extent(struct extent *x, const struct header *h, const uint8_t *bytes, size_t size,
			struct err *e)
{
	uint64_t value;

	while (x->left > 0) {
		struct text t = { bytes + x->at, bytes + size };
		int got = h->bitmap ? read_bit(&t, &value) : read_number(&t, &value);
		if (got == BAD)
			return err_set(e, "PNM: what should be a number is none");
		if (got == SHORT)
			return 0;
		x->at = (size_t)(t.at - bytes);
		x->left--;
	}
	return 1;
}

static int pnm_extent(struct extent *x, const uint8_t *bytes, size_t size, struct err *e)
{
	struct header h;
	int got = read_header(&h, bytes, size, e);

	if (got == BAD)
		return err_at(e, "PNM");
	if (got == SHORT)
		return 0;
	if (!h.plain) {
		x->at = h.bytes + raster_bytes(&h);
		return x->at <= size;
	}
	if (x->at == 0) {
		x->at = h.bytes;
		x->left = samples_of(&h);
	}
	return plain_extent(x, &h, bytes, size, e);
}

const struct decoder decoder_pnm = {
	.name = "PNM",
	.suffixes = ".pnm .pbm .pgm .ppm .pam",
	.begins = pnm_begins,
	.extent = pnm_extent,
	.decode = pnm_decode,
};
