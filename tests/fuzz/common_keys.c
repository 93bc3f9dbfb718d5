/* Any bytes as a key file: a key of 40 characters that libzmq takes too, or a refusal. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const kinds[] = { "public", "secret" };
	char key[KEY_SIZE];
	uint8_t raw[32];
	struct err e;

	for (int i = 0; i < 2; i++) {
		if (key_parse((const char *)data, size, kinds[i], key, &e) < 0) {
			if (*key || !*e.text || strlen(e.text) >= sizeof e.text)
				abort();
		} else if (strlen(key) != KEY_SIZE - 1 || !zmq_z85_decode(raw, key)) {
			abort();
		}
	}
	return 0;
}
