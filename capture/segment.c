#include "capture/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/hash.h"

#define MAGIC "ANDON S\n"
#define SETTLED_MARK "done" /* not one bit: damage must not look like it */
#define NUMBERS 9
#define AT_SOURCE 8
#define AT_BOOT (AT_SOURCE + FRAME_SOURCE_MAX)
#define AT_NUMBERS (AT_BOOT + SEGMENT_BOOT)
#define AT_CHECK (AT_NUMBERS + 8 * NUMBERS)

/* The numbers of the facts, in the order in which they stand in the file. */
static void numbers(struct segment_facts *f, uint64_t *number[NUMBERS])
{
	uint64_t *all[NUMBERS] = { &f->run,      &f->index,      &f->begin,
				   &f->gone,     &f->gone_index, &f->lost_first,
				   &f->lost_end, &f->lost_why,   &f->state };

	memcpy(number, all, sizeof all);
}

static uint64_t get64(const uint8_t *from)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t)from[i] << 8 * i;
	return value;
}

static void put64(uint8_t *to, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

/* All of it, or -1 and errno. */
static int write_all(int fd, struct iovec *part, int parts, uint64_t offset)
{
	while (parts > 0) {
		ssize_t n = pwritev(fd, part, parts, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : ENOSPC;
			return -1;
		}
		offset += (uint64_t)n;
		while (parts > 0 && (size_t)n >= part->iov_len) {
			n -= (ssize_t)part->iov_len;
			part++;
			parts--;
		}
		if (parts > 0) {
			part->iov_base = (char *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int read_all(int fd, void *to, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)to + done, size - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/* --- facts -------------------------------------------------------------------------------------- */

int segment_note(int fd, const struct segment_facts *facts)
{
	uint8_t block[SEGMENT_BLOCK] = { 0 };
	struct segment_facts copy = *facts;
	struct iovec part = { block, sizeof block };
	uint64_t *number[NUMBERS];

	memcpy(block, MAGIC, 8);
	memcpy(block + AT_SOURCE, copy.source, sizeof copy.source);
	memcpy(block + AT_BOOT, copy.boot, sizeof copy.boot);
	numbers(&copy, number);
	for (int i = 0; i < NUMBERS; i++)
		put64(block + AT_NUMBERS + 8 * i, *number[i]);
	put64(block + AT_CHECK, hash_quick(block, AT_CHECK));
	return write_all(fd, &part, 1, 0);
}

int segment_create(int dir, const char *name, const struct segment_facts *facts)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666), saved;

	if (fd < 0 || segment_note(fd, facts) == 0)
		return fd;
	saved = errno;
	close(fd);
	unlinkat(dir, name, 0);
	errno = saved;
	return -1;
}

int segment_facts(int fd, struct segment_facts *facts, struct err *e)
{
	uint8_t block[SEGMENT_BLOCK];
	uint64_t *number[NUMBERS];

	memset(facts, 0, sizeof *facts);
	if (read_all(fd, block, sizeof block, 0) < 0)
		return err_set(e, "it is shorter than %d bytes", SEGMENT_BLOCK);
	if (memcmp(block, MAGIC, 8) != 0)
		return err_set(e, "it is no file of a spool");
	if (get64(block + AT_CHECK) != hash_quick(block, AT_CHECK))
		return err_set(e, "the checksum of its first block is wrong");
	block[AT_BOOT - 1] = block[AT_NUMBERS - 1] = 0;
	err_clean(facts->source, sizeof facts->source, (const char *)block + AT_SOURCE);
	err_clean(facts->boot, sizeof facts->boot, (const char *)block + AT_BOOT);
	numbers(facts, number);
	for (int i = 0; i < NUMBERS; i++) {
		*number[i] = get64(block + AT_NUMBERS + 8 * i);
		if (*number[i] > INT64_MAX)
			return err_set(e, "a number in its first block is out of range");
	}
	return facts->source[0] ? 0 : err_set(e, "its source has no name");
}

/* --- records ------------------------------------------------------------------------------------ */

uint64_t segment_bytes(size_t n, size_t payload)
{
	return ((uint64_t)n + payload + SEGMENT_BLOCK - 1) / SEGMENT_BLOCK * SEGMENT_BLOCK;
}

static int read_head(int fd, uint64_t offset, uint64_t end, struct record *r)
{
	if (end < offset || end - offset < SEGMENT_BLOCK ||
	    read_all(fd, r->head, SEGMENT_BLOCK, offset) < 0 || !envelope_head(r->head, &r->size))
		return -1;
	r->bytes = segment_bytes(ENVELOPE_HEAD + r->size.header, r->size.payload);
	if (r->bytes > end - offset)
		return -1;
	size_t head = ENVELOPE_HEAD + r->size.header;
	return head <= SEGMENT_BLOCK ? 0
				     : read_all(fd, r->head + SEGMENT_BLOCK, head - SEGMENT_BLOCK,
						offset + SEGMENT_BLOCK);
}

int segment_look(int fd, uint64_t offset, uint64_t end, struct record *r)
{
	struct message m;

	r->frame = NULL;
	if (read_head(fd, offset, end, r) < 0 || envelope_header(r->head, &r->size, &m, NULL) < 0)
		return -1;
	r->dropped = m.dropped;
	r->settled = memcmp(r->head + ENVELOPE_MARK, SETTLED_MARK, 4) == 0;
	r->seq = m.frame->seq;
	r->last = m.dropped ? m.last : m.frame->seq;
	r->frame = m.frame;
	return 0;
}

/* The block from which on there is anything: a file that damage made large is mostly a hole, and looking
 * at each of its blocks would take hours. */
static uint64_t skip_hole(int fd, uint64_t offset, uint64_t end)
{
	off_t at = lseek(fd, (off_t)offset, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? end : offset;
	return (uint64_t)at / SEGMENT_BLOCK * SEGMENT_BLOCK;
}

uint64_t segment_seek(int fd, uint64_t offset, uint64_t end)
{
	struct record r;

	for (offset += SEGMENT_BLOCK; offset < end; offset += SEGMENT_BLOCK) {
		offset = skip_hole(fd, offset, end);
		if (segment_look(fd, offset, end, &r) == 0) {
			frame_free(&r.frame);
			return offset;
		}
	}
	return end;
}

int segment_payload(int fd, uint64_t offset, const struct record *r, uint8_t *to)
{
	uint64_t at = offset + ENVELOPE_HEAD + r->size.header;

	if (read_all(fd, to, r->size.payload, at) < 0)
		return -1;
	return envelope_payload(r->head, to, r->size.payload) ? 0 : -1;
}

int segment_write(int fd, uint64_t offset, const uint8_t *head, size_t n, const void *payload,
		  size_t size)
{
	static const uint8_t zeroes[SEGMENT_BLOCK];
	struct iovec part[] = {
		{ (void *)head, n },
		{ (void *)payload, size },
		{ (void *)zeroes, (size_t)(segment_bytes(n, size) - n - size) },
	};

	return write_all(fd, part, 3, offset);
}

int segment_write_drop(int fd, uint64_t offset, const char *source, uint64_t run, uint64_t first,
		       uint64_t last, const char *reason)
{
	struct frame f = { .run = run, .seq = first, .status = FRAME_ERROR };
	uint8_t head[ENVELOPE_MOST];
	int n;

	snprintf(f.source, sizeof f.source, "%s", source);
	snprintf(f.reason, sizeof f.reason, "%s", reason);
	n = envelope_write(&f, NULL, 0, true, last, head, NULL);
	if (n < 0 || n > SEGMENT_BLOCK) {
		errno = EINVAL;
		return -1;
	}
	return segment_write(fd, offset, head, (size_t)n, NULL, 0);
}

void segment_settle(int fd, uint64_t offset)
{
	/* If it cannot be written the picture is sent again after a restart, and known. */
	if (pwrite(fd, SETTLED_MARK, 4, (off_t)(offset + ENVELOPE_MARK)) != 4)
		return;
}
