/* Cut standard input into pictures as capture does, and print a line for each: "picture LENGTH" or
 * "broken WHY", "hopeless WHY". An argument N hands the bytes over N at a time.
 * run by: capture_image.bats */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "capture/split.h"

static int print_all(struct split *s)
{
	const uint8_t *bytes;
	struct err why;
	size_t size;
	int got;

	while ((got = split_next(s, &bytes, &size, &why)) != SPLIT_MORE && got != SPLIT_END &&
	       got != SPLIT_HOPELESS)
		if (got == SPLIT_PICTURE)
			printf("picture %zu\n", size);
		else
			printf("broken %s\n", why.text);
	if (got == SPLIT_HOPELESS)
		printf("hopeless %s\n", why.text);
	return got;
}

int main(int argc, char **argv)
{
	struct split split = { 0 };
	struct err why;
	size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : SIZE_MAX, room;
	uint8_t *to;

	while (print_all(&split) == SPLIT_MORE) {
		if (split_room(&split, &to, &room, &why) < 0)
			return 1;
		ssize_t n = read(STDIN_FILENO, to, room < most ? room : most);
		split_put(&split, n > 0 ? (size_t)n : 0);
	}
	split_free(&split);
	return 0;
}
