/* A small pool of threads. Work is cut into numbered tasks by the caller, whatever the number of
 * lanes; a lane takes the numbers of its own share first, for what it wrote a layer ago lies in its
 * cache, then what others have left. Layers are short (tens of microseconds), so idle lanes spin for
 * a while before they sleep. A job is done when its tasks are: a lane that has no processor just now
 * keeps nobody waiting. What it takes when it is back is of the job that then is, since a share's next
 * task and its end are one word, and task and context are written before it. */
#include "infer/kernels/kernels.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SPINS 20000 /* some hundred microseconds, */
#define WAITS 2000  /* and a tenth of them until others may have the processor */

struct lane {
	_Alignas(
	    64) uint64_t share; /* job in the upper half, next task of its share in the lower */
	struct crew *crew;
	pthread_t thread;
	int number;
};

struct crew {
	int lanes; /* with the caller's own, number 0 */
	int running; /* of them; threads begin with the first job, so that a process may fork before */
	struct lane *lane;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned job; /* grows by one with each job; read without the lock while spinning */
	bool ending;
	/* the present job */
	void (*task)(void *context, size_t i, int lane);
	void *context;
	size_t left; /* tasks that are not done */
};

/* Take the next task of this share, if there is one. What is taken keeps the job, and so task and context,
 * alive until it is done. */
static bool take(struct lane *l, size_t *task)
{
	uint64_t share = __atomic_load_n(&l->share, __ATOMIC_ACQUIRE);

	do {
		*task = share & UINT32_MAX;
		if (*task >= share >> 32)
			return false;
	} while (!__atomic_compare_exchange_n(&l->share, &share, share + 1, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return true;
}

static void work(struct crew *c, int lane)
{
	size_t task;

	for (int k = 0; k < c->lanes; k++) {
		struct lane *l = &c->lane[(lane + k) % c->lanes];
		size_t done = 0;

		for (; take(l, &task); done++)
			c->task(c->context, task, lane);
		if (done)
			__atomic_sub_fetch(&c->left, done, __ATOMIC_ACQ_REL);
	}
}

static unsigned wait_for_job(struct crew *c, unsigned seen)
{
	for (int i = 0; i < SPINS; i++) {
		unsigned job = __atomic_load_n(&c->job, __ATOMIC_ACQUIRE);
		if (job != seen)
			return job;
#ifdef __x86_64__
		__builtin_ia32_pause();
#endif
	}
	pthread_mutex_lock(&c->lock);
	while (c->job == seen)
		pthread_cond_wait(&c->wake, &c->lock);
	seen = c->job;
	pthread_mutex_unlock(&c->lock);
	return seen;
}

static void *lane_main(void *argument)
{
	struct lane *l = argument;
	struct crew *c = l->crew;

	for (unsigned seen = 0;;) {
		seen = wait_for_job(c, seen);
		if (__atomic_load_n(&c->ending, __ATOMIC_ACQUIRE))
			return NULL;
		work(c, l->number);
	}
}

static void post(struct crew *c)
{
	pthread_mutex_lock(&c->lock);
	__atomic_add_fetch(&c->job, 1, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

struct crew *crew_new(int lanes)
{
	struct crew *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->lanes = lanes > 1 ? lanes : 1;
	c->running = 1;
	c->lane = aligned_alloc(_Alignof(struct lane), (size_t)c->lanes * sizeof *c->lane);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wake, NULL);
	if (!c->lane) {
		crew_free(&c);
		return NULL;
	}
	memset(c->lane, 0, (size_t)c->lanes * sizeof *c->lane);
	return c;
}

/* Fewer lanes than asked for do the same work. */
static void start(struct crew *c)
{
	while (c->running < c->lanes) {
		struct lane *l = &c->lane[c->running];

		l->crew = c;
		l->number = c->running;
		if (pthread_create(&l->thread, NULL, lane_main, l) != 0) {
			c->lanes = c->running;
			return;
		}
		c->running++;
	}
}

void crew_free(struct crew **crew)
{
	struct crew *c = *crew;

	*crew = NULL;
	if (!c)
		return;
	__atomic_store_n(&c->ending, true, __ATOMIC_RELEASE);
	post(c);
	for (int i = 1; i < c->running; i++)
		pthread_join(c->lane[i].thread, NULL);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c->lane);
	free(c);
}

int crew_lanes(const struct crew *c)
{
	return c ? c->lanes : 1;
}

void crew_run(struct crew *c, void (*task)(void *context, size_t i, int lane), void *context,
	      size_t count)
{
	if (!c || c->lanes == 1 || count < 2 || count > UINT32_MAX) {
		for (size_t i = 0; i < count; i++)
			task(context, i, 0);
		return;
	}
	if (c->running < c->lanes)
		start(c);
	c->task = task;
	c->context = context;
	__atomic_store_n(&c->left, count, __ATOMIC_RELAXED);
	for (size_t i = 0, lanes = (size_t)c->lanes; i < lanes; i++)
		__atomic_store_n(&c->lane[i].share,
				 (uint64_t)(count * (i + 1) / lanes) << 32 | count * i / lanes,
				 __ATOMIC_RELEASE);
	post(c);
	work(c, 0);
	for (int i = 0; __atomic_load_n(&c->left, __ATOMIC_ACQUIRE) > 0;) {
		if (i < WAITS)
			i++;
		else
			sched_yield();
#ifdef __x86_64__
		__builtin_ia32_pause();
#endif
	}
}
