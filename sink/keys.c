/* Sets of keys as sorted ranges: a month of parts in order is one range of 16 bytes. */
#include "sink/keys.h"

#include <stdlib.h>
#include <string.h>

static struct key_run *find(struct keys *k, const char *source, uint64_t run)
{
	for (size_t n = 0; n < k->count; n++) {
		size_t i = (k->last + n) % k->count;
		if (k->run[i].run == run && strcmp(k->run[i].source, source) == 0) {
			k->last = i;
			return &k->run[i];
		}
	}
	return NULL;
}

const struct key_run *keys_run(struct keys *k, const char *source, uint64_t run)
{
	return find(k, source, run);
}

/* Index of the first range that ends at or after seq. */
static size_t position(const struct key_run *r, uint64_t seq)
{
	size_t low = 0, high = r->count;

	if (high && r->range[high - 1].last < seq)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (r->range[middle].last < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool keys_have(struct keys *k, const char *source, uint64_t run, uint64_t seq)
{
	const struct key_run *r = find(k, source, run);

	if (!r)
		return false;
	size_t i = position(r, seq);
	return i < r->count && r->range[i].first <= seq;
}

static int make_room(void **items, size_t *capacity, size_t count, size_t size)
{
	if (count < *capacity)
		return 0;
	size_t more = *capacity ? *capacity * 2 : 8;
	void *moved = reallocarray(*items, more, size);
	if (!moved)
		return -1;
	*items = moved;
	*capacity = more;
	return 0;
}

static struct key_run *find_or_make(struct keys *k, const char *source, uint64_t run)
{
	struct key_run *r = find(k, source, run);
	void *runs = k->run;

	if (r)
		return r;
	if (make_room(&runs, &k->capacity, k->count, sizeof *k->run) < 0)
		return NULL;
	k->run = runs;
	r = &k->run[k->count];
	*r = (struct key_run){ .source = strdup(source), .run = run };
	if (!r->source)
		return NULL;
	k->last = k->count++;
	return r;
}

int keys_add(struct keys *k, const char *source, uint64_t run, uint64_t first, uint64_t last)
{
	struct key_run *r = find_or_make(k, source, run);

	if (!r)
		return -1;
	if (last < first) /* a drop of nothing, from a stage that we do not know */
		return 0;
	/* Ranges from begin to before end touch the new one and melt into it. */
	size_t begin = position(r, first ? first - 1 : 0), end = begin;
	while (end < r->count && (last == UINT64_MAX || r->range[end].first <= last + 1)) {
		if (r->range[end].first < first)
			first = r->range[end].first;
		if (r->range[end].last > last)
			last = r->range[end].last;
		end++;
	}
	if (begin == end) {
		void *ranges = r->range;
		if (make_room(&ranges, &r->capacity, r->count, sizeof *r->range) < 0)
			return -1;
		r->range = ranges;
	}
	memmove(&r->range[begin + 1], &r->range[end], (r->count - end) * sizeof *r->range);
	r->range[begin] = (struct key_range){ first, last };
	r->count = r->count - (end - begin) + 1;
	return 0;
}

uint64_t keys_count(const struct key_run *r)
{
	uint64_t count = 0;

	for (size_t i = 0; r && i < r->count; i++)
		count += r->range[i].last - r->range[i].first + 1;
	return count;
}

uint64_t keys_missing(const struct key_run *r, uint64_t first, uint64_t last, struct key_range *out,
		      size_t max, size_t *ranges)
{
	uint64_t missing = 0, next = first;
	size_t found = 0;

	for (size_t i = r ? position(r, first) : 0; next <= last; i++) {
		bool gap_to_end = !r || i >= r->count || r->range[i].first > last;
		uint64_t gap_last = gap_to_end ? last : r->range[i].first - 1;
		if (gap_to_end || r->range[i].first > next) {
			if (found < max)
				out[found] = (struct key_range){ next, gap_last };
			found++;
			missing += gap_last - next + 1;
		}
		if (gap_to_end || r->range[i].last >= last)
			break;
		next = r->range[i].last + 1;
	}
	*ranges = found;
	return missing;
}

void keys_free(struct keys *k)
{
	for (size_t i = 0; i < k->count; i++) {
		free(k->run[i].source);
		free(k->run[i].range);
	}
	free(k->run);
	*k = (struct keys){ 0 };
}
