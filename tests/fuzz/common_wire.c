/* Any bytes as a header: no crash, no leak, and what is accepted can be written again and then
 * reads the same. Seeds: build/test/common_wire --seeds DIR. */
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct message *m)
{
	uint8_t first[WIRE_HEADER_MAX], second[WIRE_HEADER_MAX];
	struct message back;
	struct err e;
	int n = wire_encode(m, first, sizeof first, &e);

	if (n < 0) {
		/* A number may take more bytes than its sender gave it (float 32 as float 64). */
		if (!strstr(e.text, "would take"))
			abort();
		return;
	}
	if (m->kind == MESSAGE_FRAME && wire_frame_bound(m->frame) < (size_t)n)
		abort();
	if (wire_decode(first, (size_t)n, &back, &e) < 0)
		abort();
	if (wire_encode(&back, second, sizeof second, &e) != n || memcmp(first, second, (size_t)n))
		abort();
	message_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m;
	struct err e;

	if (wire_decode(data, size, &m, &e) < 0)
		return 0;
	bool greeting = m.kind == MESSAGE_HELLO || m.kind == MESSAGE_WELCOME;
	if (m.kind != MESSAGE_UNKNOWN && !(greeting && m.as.hello.version != WIRE_VERSION))
		again(&m);
	message_clear(&m);
	return 0;
}
