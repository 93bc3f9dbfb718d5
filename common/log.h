/* One line on stderr: "stage: level: text". No colour, no time stamp: the supervisor adds it.
 * Safe from any thread; control characters in the text are replaced. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

/* How much to say: -1 errors only (--quiet), 0 also warnings, 1 info (-v), 2 debug (-vv). */
void log_open(const char *stage, int verbosity);
int log_verbosity(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
