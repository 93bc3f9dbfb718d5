/* What downstreams want: the first decides what all get, since there is one stream. */
#include "common/link_core_private.h"

#include <stdio.h>
#include <string.h>

static void say_wants(const struct wants *w, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "'%s'", w->recipe);

	if (w->dtype != DTYPE_NONE && n < size)
		n += (size_t)snprintf(out + n, size - n, " %s", dtype_name(w->dtype));
	if (w->samples && n < size)
		n += (size_t)snprintf(out + n, size - n, " as u8 samples");
	for (int i = 0; i < w->rank && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%lld", i ? "x" : " ",
				      (long long)w->shape[i]);
}

static bool agree(const struct wants *a, const struct wants *b)
{
	if (a->recipe[0] && b->recipe[0] && strcmp(a->recipe, b->recipe) != 0)
		return false;
	if (a->dtype != DTYPE_NONE && b->dtype != DTYPE_NONE && a->dtype != b->dtype)
		return false;
	/* Who takes anything takes samples. */
	if (a->samples && !b->samples && (b->recipe[0] || b->dtype != DTYPE_NONE))
		return false;
	if (a->rank == 0 || b->rank == 0)
		return true;
	if (a->rank != b->rank)
		return false;
	for (int i = 0; i < a->rank; i++)
		if (a->shape[i] != b->shape[i] && a->shape[i] >= 0 && b->shape[i] >= 0)
			return false;
	return true;
}

/* The first downstream decides what all get. */
int wants_agree_on(struct link_core *c, const struct message_hello *hello, char *text, size_t size)
{
	char mine[WIRE_RECIPE_MAX + 128], theirs[WIRE_RECIPE_MAX + 128];

	if (c->wanted && !agree(&c->wants, &hello->wants)) {
		say_wants(&c->wants, mine, sizeof mine);
		say_wants(&hello->wants, theirs, sizeof theirs);
		snprintf(text, size,
			 "%s makes %s, which %s asked for first; %s (%s) wants %s: give it a %s of "
			 "its own%s",
			 c->config.self.stage, mine, c->wants_stage, hello->stage, hello->worker,
			 theirs, c->config.self.stage,
			 c->wants.samples && !hello->wants.samples
			     ? ", or say infer --normalise upstream"
			     : "");
		return -1;
	}
	if (!c->wanted) {
		c->wanted = true;
		c->wants = hello->wants;
		snprintf(c->wants_stage, sizeof c->wants_stage, "%s", hello->stage);
		c->do_->wanted(c->context, &c->wants);
	}
	return 0;
}
