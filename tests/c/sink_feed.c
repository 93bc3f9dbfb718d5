/* A source of scores, for the tests of sink. run by: sink.bats
 *
 *   sink_feed [--count N] [--rate HZ] [--source NAME] [--run N] … | sink …
 *
 * Labels are ok, scratch, dent in turn; the score of the label rises from 0.4 to 1 within a run of 100. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/stage.h"

static int64_t count = 100, run = 7, rate, nan_at = -1, fail_at = -1, drop_at = -1, hide_at = -1;
static int64_t classes = 3, first;
static const char *source = "feed", *only;
static bool no_labels;

static const struct option_row options[] = {
	{ "count", 'c', OPTION_INT, "N", &count, "how many", 0, 1e9 },
	{ "rate", 'r', OPTION_INT, "HZ", &rate, "how many a second; 0: as they go", 0, 1e6 },
	{ "first", 0, OPTION_INT, "N", &first, "first number", 0, 1e9 },
	{ "run", 0, OPTION_INT, "N", &run, "run", 0, 1e18 },
	{ "source", 0, OPTION_TEXT, "NAME", &source, "source", 0, 0 },
	{ "classes", 0, OPTION_INT, "N", &classes, "scores in a frame", 1, 10000 },
	{ "only", 0, OPTION_TEXT, "LABEL", &only, "always this label", 0, 0 },
	{ "nan-at", 0, OPTION_INT, "N", &nan_at, "a score that is not a number", 0, 0 },
	{ "fail-at", 0, OPTION_INT, "N", &fail_at, "a picture that could not be read", 0, 0 },
	{ "drop-at", 0, OPTION_INT, "N", &drop_at, "a frame that is dropped and counted", 0, 0 },
	{ "hide-at", 0, OPTION_INT, "N", &hide_at, "a frame that says it is another one", 0, 0 },
	{ "no-labels", 0, OPTION_FLAG, NULL, &no_labels, "do not send the list of labels", 0, 0 },
	{ 0 },
};

static const struct stage_spec spec = {
	.manual = { .name = "sink_feed", .summary = "frames of scores" },
	.options = options,
	.pushes = true,
	.operands_most = 0,
};

static struct frame *make(int64_t seq)
{
	static const char *const labels[] = { "ok", "scratch", "dent" };
	struct frame *f = frame_new();
	float scores[10000] = { 0 };
	char path[64];
	struct err why;
	int id = (int)(seq % (classes < 3 ? classes : 3));

	for (int i = 0; only && i < 3; i++)
		if (strcmp(labels[i], only) == 0)
			id = i;
	if (!f)
		return NULL;
	snprintf(f->source, sizeof f->source, "%s", source);
	f->run = (uint64_t)run;
	f->seq = (uint64_t)(seq == hide_at ? seq - 1 : seq);
	f->captured_ns = clock_real_ns();
	scores[id] = 0.4f + 0.6f * (float)(seq % 100) / 99;
	frame_meta_int(f, "label_id", id);
	frame_meta_text(f, "label", labels[id]);
	frame_meta_real(f, "score", (double)scores[id]);
	if (seq == nan_at)
		scores[0] = NAN;
	if (frame_shape(f, FRAME_SCORES, DTYPE_F32, 1, &classes, &why) < 0)
		return NULL;
	memcpy(f->payload->data, scores, (size_t)classes * sizeof scores[0]);
	snprintf(path, sizeof path, "parts/%05lld.png", (long long)seq);
	frame_meta_text(f, "path", path);
	frame_meta_text(f, "model", "feed");
	frame_meta_text(f, "model_sha256", "ff");
	if (!no_labels)
		frame_meta_text(f, "labels", "ok|scratch|dent");
	frame_timed(f, "infer", f->captured_ns, 1500000);
	if (seq == fail_at) {
		err_set(&why, "parts/%05lld.png: not a picture", (long long)seq);
		frame_fail(f, &why);
	}
	return f;
}

int main(int argc, char **argv)
{
	struct stage *stage = stage_open(&spec, argc, argv);
	int code = 0;

	stage_announce(stage, source, (uint64_t)run, (uint64_t)count);
	for (int64_t seq = first; seq < first + count && !stage_stopping(stage); seq++) {
		if (rate && stage_wait(stage, -1, 1000 / rate) < 0)
			break;
		if (seq == drop_at) {
			stage_drop(stage, source, (uint64_t)run, (uint64_t)seq, (uint64_t)seq,
				   "spool full");
			continue;
		}
		struct frame *f = make(seq);
		if (!f || stage_send(stage, &f) < 0) {
			code = 75;
			break;
		}
	}
	return stage_close(&stage, code);
}
