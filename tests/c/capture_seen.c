/* The set of files of a hot folder beside a plain array: what was put in is there, what was taken out
 * is not, and a set that files pass through does not grow. */
#include <stdio.h>

#include "capture/seen.h"

#define FILES 1500

static uint32_t draw(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

static void describe(int number, char name[32], struct stat *status)
{
	snprintf(name, 32, "part-%d.png", number);
	*status = (struct stat){ .st_ino = 7, .st_size = number, .st_mtim = { 1790000000, 5 } };
}

int main(void)
{
	static bool there[FILES];
	struct seen seen = { 0 };
	struct stat status;
	char name[32];
	int failed = 0;

	for (int step = 0; step < 100000; step++) {
		int number = (int)(draw() % FILES);
		describe(number, name, &status);
		if (draw() % 2) {
			failed += seen_before(&seen, name, &status) != there[number];
			there[number] = true;
		} else {
			seen_forget(&seen, name, &status);
			there[number] = false;
		}
	}
	for (int number = 0; number < FILES; number++) {
		describe(number, name, &status);
		failed += seen_before(&seen, name, &status) != there[number];
		seen_forget(&seen, name, &status);
	}
	failed += seen.count != 0;
	for (int number = 0; number < 100000; number++) {
		describe(FILES + number, name, &status);
		failed += seen_before(&seen, name, &status);
		seen_forget(&seen, name, &status);
	}
	failed += seen.capacity > 4 * FILES;
	seen_free(&seen);
	printf("%d wrong answers\n", failed);
	return failed != 0;
}
