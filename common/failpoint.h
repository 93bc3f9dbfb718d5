/* Named places at which a test ends or stops a program, to the instruction. Only `make failpoints` builds them in
 * (-DFAILPOINTS); in every other program there is nothing of them.
 *
 *   FAILPOINT=NAME:COUNT:ACTION    the COUNT-th time that NAME is passed:
 *       kill    SIGKILL
 *       exit    exit code 70, without a word and without cleaning up
 *       pause   SIGSTOP, until somebody sends SIGCONT
 *       error   what stands there behaves as though it had failed, errno EIO
 */
#ifndef COMMON_FAILPOINT_H
#define COMMON_FAILPOINT_H

#include <stdbool.h>

#ifdef FAILPOINTS
bool failpoint(const char *name); /* true: fail */
#else
#define failpoint(name) false
#endif

#endif
