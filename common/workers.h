/* Several processes that do the work of one stage: for stage_fork_workers. */
#ifndef COMMON_WORKERS_H
#define COMMON_WORKERS_H

#include <stdbool.h>

/* Fork n workers and return in each: its number from 1, and *in_fd, from which it reads addresses
 * instead of this process's in_fd (-1: addresses are given, nothing is passed on). The parent never
 * returns. A worker that a signal ended is replaced, unless the stream is over or somebody asked to
 * stop. The parent's exit code is 0 when a worker reached the end of the stream and none failed for
 * a reason of its own. SIGHUP is passed on to the workers. When the parent is killed they get SIGTERM. */
int workers_fork(int n, int *in_fd);

/* In a worker: it has seen the end of the stream; is its parent dead? Elsewhere: nothing, and no. */
void workers_ended(void);
bool workers_orphaned(void);

#endif
