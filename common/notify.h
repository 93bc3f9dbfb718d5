/* The service manager's ear: sd_notify(3). Its protocol is one datagram of KEY=VALUE lines to the
 * socket that NOTIFY_SOCKET names (a path, or @name of the abstract kind), promised to stay as it
 * is; so these few lines need no library. Without that variable nothing here does anything. */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Take what the service manager asks for out of the environment, so that no child takes it for its
 * own. A value that makes no sense is said, and left aside. */
void notify_open(void);

/* Does anybody listen? */
bool notify_wanted(void);

/* How long it waits for WATCHDOG=1 before it takes us for hung; 0: it does not. */
int64_t notify_watchdog_ns(void);

/* Say this: lines KEY=VALUE. False if it could not be said; it never waits for long. */
bool notify_say(const char *lines);

#endif
