/* Chance, time and complaint. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t draw(struct world *w, uint64_t below)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return below ? (z ^ (z >> 31)) % below : 0;
}

bool chance(struct world *w, int per_thousand)
{
	return (int)draw(w, 1000) < per_thousand;
}

static bool sooner(const struct event *a, const struct event *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void schedule(struct world *w, int64_t at, enum event_kind kind, int node, int life, int a, int b)
{
	struct event e = { at < w->now ? w->now : at, ++w->order, kind, node, life, a, b };
	int i = w->heap_count++;

	if (w->heap_count > w->heap_capacity) {
		w->heap_capacity = w->heap_capacity ? 2 * w->heap_capacity : 256;
		w->heap = realloc(w->heap, (size_t)w->heap_capacity * sizeof *w->heap);
		if (!w->heap)
			abort();
	}
	for (; i > 0 && sooner(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = e;
}

bool next_event(struct world *w, struct event *e)
{
	if (w->heap_count == 0)
		return false;
	*e = w->heap[0];
	struct event last = w->heap[--w->heap_count];
	int i = 0;
	for (;;) {
		int child = 2 * i + 1;
		if (child >= w->heap_count)
			break;
		if (child + 1 < w->heap_count && sooner(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!sooner(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return true;
}

void say(struct world *w, const char *format, ...)
{
	va_list args;

	if (!w->verbose)
		return;
	va_start(args, format);
	printf("%9.3f ms  ", (double)w->now / 1e6);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

void fail(struct world *w, const char *format, ...)
{
	va_list args;

	if (w->failed)
		return;
	w->failed = true;
	va_start(args, format);
	printf("seed %llu at %.3f ms: ", (unsigned long long)w->seed, (double)w->now / 1e6);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}
