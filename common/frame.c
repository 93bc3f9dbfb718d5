#include "common/frame.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Idle frames are kept: they are larger than what malloc has at hand, and come and go with each picture. Not
 * where AddressSanitizer looks: one that is used after it was freed shall be seen. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
#define POOL_KEEPS false
#else
#define POOL_KEEPS true
#endif
#define POOL_COUNT 64
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct frame *pool[POOL_COUNT];
static int pool_count;

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
	[DTYPE_F32] = { "f32", 4 }, [DTYPE_U8] = { "u8", 1 },     [DTYPE_I8] = { "i8", 1 },
	[DTYPE_U16] = { "u16", 2 }, [DTYPE_I16] = { "i16", 2 },   [DTYPE_I32] = { "i32", 4 },
	[DTYPE_I64] = { "i64", 8 }, [DTYPE_BOOL] = { "bool", 1 }, [DTYPE_F16] = { "f16", 2 },
	[DTYPE_F64] = { "f64", 8 },
};
#define DTYPES (sizeof dtypes / sizeof dtypes[0])

size_t dtype_size(enum dtype t)
{
	return (size_t)t < DTYPES ? dtypes[t].size : 0;
}

const char *dtype_name(enum dtype t)
{
	return dtype_size(t) ? dtypes[t].name : "?";
}

int dtype_parse(enum dtype *t, const char *name)
{
	for (size_t i = 0; i < DTYPES; i++)
		if (dtypes[i].name && strcmp(dtypes[i].name, name) == 0) {
			*t = (enum dtype)i;
			return 0;
		}
	return -1;
}

struct frame *frame_new(void)
{
	struct frame *f = NULL;

	pthread_mutex_lock(&pool_lock);
	if (pool_count > 0)
		f = pool[--pool_count];
	pthread_mutex_unlock(&pool_lock);
	if (!f)
		f = malloc(sizeof *f);
	if (!f)
		return NULL;
	memset(f, 0, offsetof(struct frame, meta));
	f->origin = NULL;
	return f;
}

void frame_free(struct frame **f)
{
	struct frame *gone = *f;

	*f = NULL;
	if (!gone)
		return;
	buffer_unref(&gone->payload);
	pthread_mutex_lock(&pool_lock);
	if (POOL_KEEPS && pool_count < POOL_COUNT) {
		pool[pool_count++] = gone;
		gone = NULL;
	}
	pthread_mutex_unlock(&pool_lock);
	free(gone);
}

int frame_bytes(const struct frame *f, size_t *bytes, struct err *e)
{
	size_t n = dtype_size(f->dtype);

	if (n == 0)
		return err_set(e, "element type %d is not known", (int)f->dtype);
	if (f->rank < 0 || f->rank > FRAME_RANK_MAX)
		return err_set(e, "rank %d is not in 0..%d", f->rank, FRAME_RANK_MAX);
	for (int i = 0; i < f->rank; i++) {
		if (f->shape[i] < 0)
			return err_set(e, "side %d is negative (%lld)", i, (long long)f->shape[i]);
		if (__builtin_mul_overflow(n, (size_t)f->shape[i], &n) || n > FRAME_PAYLOAD_MAX)
			return err_set(e, "a frame is at most %zu bytes", FRAME_PAYLOAD_MAX);
	}
	*bytes = n;
	return 0;
}

int frame_shape(struct frame *f, enum frame_kind kind, enum dtype dtype, int rank,
		const int64_t *shape, struct err *e)
{
	size_t bytes;

	buffer_unref(&f->payload);
	if (rank < 0 || rank > FRAME_RANK_MAX)
		return err_set(e, "rank %d is not in 0..%d", rank, FRAME_RANK_MAX);
	f->kind = kind;
	f->dtype = dtype;
	f->rank = rank;
	memset(f->shape, 0, sizeof f->shape);
	memcpy(f->shape, shape, (size_t)rank * sizeof *shape);
	if (frame_bytes(f, &bytes, e) < 0)
		return -1;
	f->payload = buffer_new(bytes);
	if (!f->payload)
		return err_memory(e, bytes, "pixels");
	return 0;
}

void frame_fail(struct frame *f, const struct err *why)
{
	buffer_unref(&f->payload);
	f->status = FRAME_ERROR;
	err_clean(f->reason, sizeof f->reason, why->text);
}

static struct meta_item *meta_slot(struct frame *f, const char *key)
{
	if (strlen(key) >= FRAME_META_KEY_MAX)
		return NULL;
	for (int i = 0; i < f->meta_count; i++)
		if (strcmp(f->meta[i].key, key) == 0)
			return &f->meta[i];
	if (f->meta_count == FRAME_META_MAX)
		return NULL;
	struct meta_item *item = &f->meta[f->meta_count++];
	snprintf(item->key, sizeof item->key, "%s", key);
	return item;
}

int frame_meta_text(struct frame *f, const char *key, const char *text)
{
	struct meta_item *item = meta_slot(f, key);

	if (!item)
		return -1;
	item->kind = META_TEXT;
	err_clean(item->as.text, sizeof item->as.text, text);
	return 0;
}

int frame_meta_int(struct frame *f, const char *key, int64_t value)
{
	struct meta_item *item = meta_slot(f, key);

	if (!item)
		return -1;
	item->kind = META_INT;
	item->as.integer = value;
	return 0;
}

int frame_meta_real(struct frame *f, const char *key, double value)
{
	struct meta_item *item = meta_slot(f, key);

	if (!item)
		return -1;
	item->kind = META_REAL;
	item->as.real = value;
	return 0;
}

const struct meta_item *frame_meta(const struct frame *f, const char *key)
{
	for (int i = 0; i < f->meta_count; i++)
		if (strcmp(f->meta[i].key, key) == 0)
			return &f->meta[i];
	return NULL;
}

const char *frame_text(const struct frame *f, const char *key)
{
	const struct meta_item *item = frame_meta(f, key);

	return item && item->kind == META_TEXT ? item->as.text : NULL;
}

void frame_timed(struct frame *f, const char *stage, int64_t start_ns, int64_t duration_ns)
{
	if (f->time_count == FRAME_TIMES_MAX)
		return;
	struct frame_time *t = &f->time[f->time_count++];
	size_t n = strnlen(stage, sizeof t->stage - 1);
	memcpy(t->stage, stage, n);
	t->stage[n] = '\0';
	t->start_ns = start_ns;
	t->duration_ns = duration_ns;
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}
