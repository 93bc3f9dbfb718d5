/* List the operands as capture does: paths in order, then the number made of them; or the error.
 * A first argument -r enters sub-folders.
 * run by: capture_image.bats */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "capture/listing.h"

int main(int argc, char **argv)
{
	struct listing list = { 0 };
	struct err why;
	uint64_t id = 0;
	int first = argc > 1 && strcmp(argv[1], "-r") == 0 ? 2 : 1, result = 0;

	for (int i = first; i < argc && result == 0; i++)
		result = listing_add(&list, argv[i], first == 2, &why);
	listing_sort(&list);
	if (result == 0)
		result = listing_id(&list, &id, &why);
	for (size_t i = 0; i < list.count && result == 0; i++)
		puts(list.item[i].path);
	if (result == 0)
		printf("id %" PRIu64 ", skipped %zu, folders %zu\n", id, list.skipped,
		       list.folders);
	else
		printf("error %d %s\n", why.code, why.text);
	listing_free(&list);
	return 0;
}
