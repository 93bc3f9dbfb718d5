/* Is this one well-formed MessagePack value, no deeper than allowed? Answered before anybody
 * allocates for it: a container's head is five bytes and may claim four thousand million items. */
#ifndef COMMON_WIRE_SCAN_H
#define COMMON_WIRE_SCAN_H

#include <stddef.h>

#include "common/err.h"

/* One value that fills data[0..size) to its last byte, every length and count proven by the bytes
 * that are there. depth_most: how many containers may stand inside one another (a scalar is 0, a
 * map of numbers 1). 0, or -1 with *e. */
int wire_scan(const void *data, size_t size, int depth_most, struct err *e);

#endif
