/* What went wrong, in words for the person at the line, and the exit code that it amounts to. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <sysexits.h>

#define ERR_TEXT_MAX 512

/* code: one of <sysexits.h>; EX_DATAERR unless told. text: one line, no control characters. */
struct err {
	int code;
	char text[ERR_TEXT_MAX];
};

/* Fill *e (which may be NULL) and return -1, so that a function can `return err_set(e, "…")`. */
int err_set(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
int err_code(struct err *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* There is no memory for these bytes of something: the system's trouble, EX_TEMPFAIL; from 64 MiB on
 * the fault of what asks for so much, EX_DATAERR. */
int err_memory(struct err *e, size_t bytes, const char *something);

/* The code for an errno: EX_OSERR if the whole system is short of files or memory, which says nothing
 * about what was to be opened or read; else otherwise. */
int err_of_errno(int number, int otherwise);

/* Is the system in trouble (EX_TEMPFAIL, EX_OSERR), rather than the data at fault? */
bool err_is_of_system(const struct err *e);

/* Put "where: " before the text that is already there; keeps the code; returns -1. */
int err_at(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copy text so that it is fit for one line of a terminal or a log: control characters and broken
 * UTF-8 become '?'. Always ends with NUL; returns out. */
char *err_clean(char *out, size_t size, const char *text);

#endif
