/* A crew does every task of every job once, in time: many short jobs, one behind the other, with more lanes
 * than there are processors, so that lanes are late for jobs that are over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "infer/kernels/kernels.h"

#define JOBS 400000
#define TASKS 40

struct job {
	unsigned number;
	int done[TASKS]; /* how often */
	unsigned seen[TASKS];
	int lane[8]; /* at work now: no lane is two threads */
	int clash;
};

static void task(void *context, size_t i, int lane)
{
	struct job *j = context;

	if (__atomic_add_fetch(&j->lane[lane], 1, __ATOMIC_RELAXED) != 1)
		j->clash = 1;
	__atomic_add_fetch(&j->done[i], 1, __ATOMIC_RELAXED);
	j->seen[i] = j->number;
	__atomic_sub_fetch(&j->lane[lane], 1, __ATOMIC_RELAXED);
}

static int check(int lanes)
{
	struct crew *crew = crew_new(lanes);
	static struct job jobs[2]; /* in turn, so that who is late writes where it shows */
	int bad = 0;

	for (unsigned n = 0; crew && n < JOBS && !bad; n++) {
		struct job *j = &jobs[n % 2];
		size_t count = 1 + n * 7 % TASKS;

		memset(j, 0, sizeof *j);
		j->number = n + 1;
		crew_run(crew, task, j, count);
		for (size_t i = 0; i < TASKS; i++)
			bad |= j->done[i] != (i < count) || j->seen[i] != (i < count ? n + 1 : 0);
		bad |= j->clash;
		if (bad)
			printf("%d lanes: job %u of %zu tasks is wrong\n", lanes, n, count);
	}
	crew_free(&crew);
	return bad;
}

int main(void)
{
	int bad = 0;

	alarm(200); /* a crew that waits for ever ends this */
	for (int lanes = 1; lanes <= 6; lanes++)
		bad += check(lanes);
	printf("6 crews, %d jobs each: %d wrong\n", JOBS, bad);
	return bad != 0;
}
