/* Where stages meet: the URLs of --in, --out and of lines on stdin, and the files behind ipc. */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define ADDRESS_MAX 257 /* bytes with the NUL */

struct address {
	char url[ADDRESS_MAX];
	bool bind;
	bool allowed; /* address_allow has said so */
	bool fresh;   /* in a directory of its own, made for this process alone */
	int lock;     /* descriptor of the lock file, -1: none */
};

/* "[bind:|connect:]tcp://… | ipc://…"; binds says what a URL without a prefix does. */
int address_parse(struct address *a, const char *text, bool binds, struct err *e);

/* The address of the number-th of several processes, from 1, that each bind one: PATH.NUMBER, or the
 * ports from there. 0, or -1 with *e: too long, or no such port. */
int address_number(struct address *a, int number, struct err *e);

/* A fresh ipc address, in a directory that only this user can enter, under $XDG_RUNTIME_DIR,
 * $TMPDIR or /tmp; locked. */
int address_fresh(struct address *a, struct err *e);

/* Is this a fresh address of some process (by its form)? */
bool address_is_fresh(const char *url);

bool address_is_ipc(const char *url);

/* The host of a tcp URL, without brackets. */
void address_host(const char *url, char host[ADDRESS_MAX]);

/* Can a tcp URL be reached from this machine alone? Names are looked up; one that is unknown, an
 * interface, and "any" are not loopback. */
bool address_is_loopback(const char *url);

/* Plain tcp beyond this machine is for those who ask for it: 0, or -1 with *e. Looks a name up the
 * first time only, so ask before there is a thread that must not wait for that. */
int address_allow(struct address *a, bool keys, bool insecure, struct err *e);

/* Can other users put a socket of theirs in an ipc address's place? */
bool address_is_exposed(const char *url);

/* Before binding: libzmq would silently take an ipc path away from whoever holds it, and remove a file
 * that lies there. 0, or -1 with *e if another process holds it or something lies there that is no
 * socket. Nothing to do for tcp. */
int address_lock(struct address *a, struct err *e);

/* After the socket is closed: remove the files, let the lock go. */
void address_release(struct address *a);

/* Remove what a process that was killed has left of a fresh address; of all that can be found. */
void address_sweep_one(const char *url);
void address_sweep(void);

/* Is nobody listening at this ipc path any more (refused, or no such file)? False for tcp. */
bool address_is_dead(const char *url);

#endif
