/* SHA-256 in pieces of all sizes against one at once, for every length around the ends of blocks; and the
 * examples of FIPS 180-4 and of its test vectors. */
#include <stdio.h>
#include <string.h>

#include "common/hash.h"

#define MOST 5000

static unsigned char data[1000000];

static int check(const char *what, size_t n, const char *wanted)
{
	char hex[HASH_HEX];

	hash_bytes(what, n, hex);
	if (strcmp(hex, wanted) == 0)
		return 0;
	printf("%zu bytes: %s\n", n, hex);
	return 1;
}

static int examples(void)
{
	static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	int bad = 0;

	bad += check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	bad += check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	bad += check(two, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(data, 'a', sizeof data);
	bad += check((const char *)data, sizeof data,
		     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	return bad;
}

int main(void)
{
	char at_once[HASH_HEX], pieces[HASH_HEX];
	int count = 4, bad = examples();

	for (size_t i = 0; i < MOST; i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t n = 0; n < MOST; n += n < 300 ? 1 : 97, count++) {
		struct hash *h = hash_new();

		hash_bytes(data, n, at_once);
		for (size_t at = 0, step = 1 + n % 5; at < n;
		     at += step, step = step * 3 % 200 + 1) {
			step = step < n - at ? step : n - at;
			hash_add(h, data + at, step);
		}
		hash_end(&h, pieces);
		bad += strcmp(at_once, pieces) != 0;
	}
	printf("%d lengths, %d differ\n", count, bad);
	return bad != 0;
}
