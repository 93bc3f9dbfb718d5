/* A file of the spool that somebody else wrote: whatever is in it, opening, taking, dropping and closing
 * come to an end, and nothing is taken that is not in it. Checksums are made right where the first
 * byte asks for it, or no byte behind them would ever be looked at. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/segment.h"
#include "capture/spool.h"
#include "common/hash.h"
#include "common/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FACTS_CHECK 184

static char folder[] = "/dev/shm/andon-fuzz-spool-XXXXXX";

static void put64(uint8_t *to, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static void mend_record(uint8_t *at, size_t left)
{
	uint8_t all[ENVELOPE_MOST];
	struct envelope x;

	if (left < ENVELOPE_HEAD || !envelope_head(at, &x) || ENVELOPE_HEAD + x.header > left)
		return;
	if (x.payload <= left - ENVELOPE_HEAD - x.header)
		put64(at + 24, hash_quick(at + ENVELOPE_HEAD + x.header, x.payload));
	memcpy(all, at, 32);
	memset(all + ENVELOPE_MARK, 0, 4);
	memcpy(all + 32, at + ENVELOPE_HEAD, x.header);
	put64(at + 32, hash_quick(all, 32 + x.header));
}

static void mend(uint8_t *bytes, size_t size)
{
	if (size >= SEGMENT_BLOCK)
		put64(bytes + FACTS_CHECK, hash_quick(bytes, FACTS_CHECK));
	for (size_t at = SEGMENT_BLOCK; at < size; at += SEGMENT_BLOCK)
		mend_record(bytes + at, size - at);
}

static void write_file(const uint8_t *bytes, size_t size)
{
	char path[200];
	uint64_t run = 1, index = 0;

	if (size >= 128) {
		memcpy(&run, bytes + 112, 8);
		memcpy(&index, bytes + 120, 8);
	}
	snprintf(path, sizeof path, "%s/%020llu-%010llu.spool", folder, (unsigned long long)run,
		 (unsigned long long)index);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void clear(void)
{
	DIR *d = opendir(folder);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
}

static void use(uint8_t how)
{
	struct frame f = { .source = "camera" };
	struct spool_total total;
	struct spool_item item;
	struct err why;
	int taken = 0;
	struct spool *s = spool_open(folder, "camera", SPOOL_LEAST, &why);

	if (!s)
		return;
	f.run = spool_run(s);
	spool_put(s, &f, "P5 1 1 255\nx", 12, &why);
	if (how & 2)
		spool_drop_oldest(s, SPOOL_WHY_FULL);
	while (spool_take(s, &item, &why) == 1) {
		uint64_t run = item.frame ? item.frame->run : item.run;
		uint64_t seq = item.frame ? item.frame->seq : item.first;
		if (++taken > 10000)
			abort();
		if (how & 4)
			spool_acked(s, run, seq);
		frame_free(&item.frame);
		while (spool_total(s, &total) == 1)
			if (total.dropped > total.emitted)
				abort();
	}
	spool_close(&s, how & 8);
}

static void remove_folder(void)
{
	rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool opened;
	uint8_t bytes[8192];

	if (size < 1 || size > sizeof bytes)
		return 0;
	if (!opened && (!mkdtemp(folder) || atexit(remove_folder) != 0))
		abort();
	opened = true;
	log_open("fuzz", -1);
	memcpy(bytes, data + 1, size - 1);
	if (data[0] & 1)
		mend(bytes, size - 1);
	write_file(bytes, size - 1);
	use(data[0]);
	use(data[0] >> 4);
	clear();
	return 0;
}
