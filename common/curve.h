/* Who may be at the other end of tcp: CURVE, ZeroMQ's encryption, and the list of keys that are let
 * in. Who binds proves its key and asks for the other's; who connects expects one certain key.
 *
 * It must fail closed. libzmq lets every key in when nobody answers its questions, so they are
 * answered before the first bind, sockets are told that an answer must be there, and before any
 * address is bound a stranger tries the door (curve_listen). The answers come from the thread that
 * also reads the frames: if it stands still nobody is let in, and nothing is read either. */
#ifndef COMMON_CURVE_H
#define COMMON_CURVE_H

#include <stdbool.h>

#include "common/err.h"
#include "common/keys.h"

struct curve;

/* A new pair of keys, as text. -1: this libzmq was built without CURVE. */
int curve_pair(char public[KEY_SIZE], char secret[KEY_SIZE], struct err *e);

/* Read the folder of --keys. NULL with *e. curve_close leaves no secret in our memory (libzmq keeps
 * copies of its own in each socket until that is closed). */
struct curve *curve_open(const char *directory, struct err *e);
void curve_close(struct curve **c);

/* The options --keys and --insecure: *c is NULL without keys. 0, or -1 with *e. */
int curve_options(const char *directory, bool insecure, struct curve **c, struct err *e);

/* Answer questions of this ZeroMQ context from now on, and see that strangers are refused and that
 * our own key is not. To be called before anything is bound. curve_deafen closes it again: after
 * all sockets, before the context is ended. */
int curve_listen(struct curve *c, void *context, struct err *e);
void curve_deafen(struct curve *c);

/* Where questions arrive, for zmq_poll (NULL: not listening), and answering all that wait there.
 * -1: it is broken and nobody is let in any more. */
void *curve_socket(const struct curve *c);
int curve_answer(struct curve *c, struct err *e);

/* Keys of a socket, before it binds; or before it connects to where server is the expected key. */
int curve_serve(const struct curve *c, void *socket, struct err *e);
int curve_call(const struct curve *c, void *socket, const char *server, struct err *e);

/* The key to expect at a tcp address: of the peer that is so named; on this machine, our own. */
int curve_expects(const struct curve *c, const char *url, char key[KEY_SIZE], struct err *e);

/* May this key be here (still)? */
bool curve_admits(const struct curve *c, const char *key);

/* Read the list of peers again. -1: the old one stays. */
int curve_reload(struct curve *c, struct err *e);

const char *curve_public(const struct curve *c);    /* our key, for messages */
const char *curve_directory(const struct curve *c); /* where they lie */

#endif
