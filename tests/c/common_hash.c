/* A hash at once, by the processor's instructions where there are such, against one in pieces by the
 * library, for every length around the ends of blocks. */
#include <stdio.h>
#include <string.h>

#include "common/hash.h"

#define MOST 5000

int main(void)
{
	static unsigned char data[MOST];
	char at_once[HASH_HEX], pieces[HASH_HEX];
	int count = 0, bad = 0;

	for (size_t i = 0; i < MOST; i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t n = 0; n < MOST; n += n < 300 ? 1 : 97, count++) {
		struct hash *h = hash_new();

		hash_bytes(data, n, at_once);
		hash_add(h, data, n / 3);
		hash_add(h, data + n / 3, n - n / 3);
		hash_end(&h, pieces);
		bad += strcmp(at_once, pieces) != 0;
	}
	printf("%d lengths, %d differ\n", count, bad);
	return bad != 0;
}
