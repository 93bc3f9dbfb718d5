/* capture: turn pictures into frames. */
#include "capture/source.h"
#include "capture/spool.h"
#include "common/log.h"
#include "common/stage.h"

static struct source_options options = { .loop = 1, .spool_size = SPOOL_SIZE };

static const struct option_row rows[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, &options.recursive,
	  "take the pictures of sub-folders too", 0, 0 },
	{ "watch", 'w', OPTION_FLAG, NULL, &options.watch,
	  "go on with the files that come into the folder, until told to stop", 0, 0 },
	{ "done", 0, OPTION_TEXT, "DIR", &options.done,
	  "with --watch: move each file there once its result is stored", 0, 0 },
	{ "loop", 0, OPTION_INT, "N", &options.loop, "go round N times, 0 for ever", 0, 1e15 },
	{ "rate", 0, OPTION_REAL, "FPS", &options.rate,
	  "pictures per second at most, 0 as fast as they are taken", 0, 1e6 },
	{ "count", 'n', OPTION_INT, "N", &options.count, "stop after N pictures, 0 never", 0,
	  1e15 },
	{ "run", 0, OPTION_TEXT, "N|new", &options.run,
	  "number of this run instead of the one made of the files; 'new' never came before", 0,
	  0 },
	{ "spool", 0, OPTION_TEXT, "DIR", &options.spool,
	  "with '-': keep there what is not yet stored, so that neither a stalled line nor a crash "
	  "loses a picture",
	  0, 0 },
	{ "spool-size", 0, OPTION_SIZE, "SIZE", &options.spool_size, "what may lie in it at most",
	  SPOOL_LEAST, 9e15 },
	{ "on-full", 0, OPTION_TEXT, "WORD", &options.on_full,
	  "when the spool or its disk is full: drop-oldest (the default), drop-newest, wait, stop",
	  0, 0 },
	{ "as-stored", 0, OPTION_FLAG, NULL, &options.decode.as_stored,
	  "leave pictures as they are stored: do not turn them as EXIF says", 0, 0 },
	{ "lenient", 0, OPTION_FLAG, NULL, &options.decode.lenient,
	  "take damaged JPEGs as far as they go, instead of an error row", 0, 0 },
	{ 0 },
};

static const struct stage_spec spec = {
	.manual = {
		.name = "capture",
		.summary = "turn pictures into frames",
		.operands = "SOURCE...",
		.description =
		"A SOURCE is a file, a folder, a pattern in quotes, or '-' for pictures one after "
		"the other on standard input. Read are PNG, JPEG, PNM/PAM and BMP, told apart by their "
		"content, and the frames of a --dead-letter folder; 8 or 16 bits; grey or colour, with alpha or without. Palettes become "
		"colour, greys under 8 bits become 8. Of a folder, the files count whose names end "
		"as pictures' do (.png, .jpg, .tif ...), except hidden ones.\n\n"
		"All files are listed first and taken in byte order of their paths. Nothing is "
		"sent if a file, folder or pattern on the command line does not exist. A picture "
		"that cannot be read, or is damaged anywhere, becomes a row with verdict error "
		"that names it; the others go on. Sides are at most 16384. A stream on standard "
		"input that breaks gives one such row, and the next whole picture is the next part; "
		"after 64 MiB without one, capture ends with code 65.\n\n"
		"Each picture's key is (source, run, seq). source is --name, or else the name of "
		"the first SOURCE. Of files, run is made of all the paths, sizes and times, and seq "
		"is the place in the list: the same files again are the same parts, and nothing is "
		"stored twice; a file that was added or changed makes another run. With '-' and "
		"--watch each start is a new run. --run decides otherwise.\n\n"
		"A camera does not wait. With --spool, '-' is read whatever the line does, and each "
		"picture is written to a file in DIR before it is sent, and stays until its row is "
		"durable: killing capture loses none, the next start finishes them under their old "
		"keys before the new run's. A picture that was not yet whole in the spool is an "
		"error row or a counted drop. The files are synced every tenth of a second; what a "
		"power cut takes is reported. When there is no room, --on-full decides; what is "
		"dropped is counted in the store by range and reason (drop-oldest drops a 64th of "
		"the spool at once). drop-newest keeps what came first; wait lets the pipe fill, so "
		"that whoever writes into it waits, or loses pictures unseen; stop finishes what "
		"the spool holds and ends with 75. Without --spool, what is read and not yet stored "
		"is lost with the process, and the writer waits for the line.\n\n"
		"--watch takes what is in the folder, then each file once it was closed after "
		"writing, or moved in. With --done, a file leaves the folder when its row is "
		"durable, and what was under way when capture died is sent again under the same "
		"key: a restart neither loses nor repeats a part. Without --done, a restart takes "
		"all files of the folder as new parts.",
		.examples =
		"# the pictures of a folder\n"
		"capture photos/ | preprocess | infer -m model.onnx | sink results.db\n"
		"# what a camera program drops into a folder\n"
		"capture --watch /srv/inbox --done /srv/inbox/done | ...\n"
		"# a video stream, at 5 pictures a second\n"
		"ffmpeg -i rtsp://cam/1 -vf fps=5 -f image2pipe -c:v ppm - |\n"
		"    capture - --name cam1 --spool /var/spool/andon/cam1 --spool-size 20G | ...",
	},
	.options = rows,
	.pushes = true,
	.operands_least = 1,
	.operands_most = -1,
};

/* Pixels go on as a frame, a picture without them as an error row. */
static int pass_on(struct stage *stage, struct picture *picture)
{
	struct err why;
	struct frame *f = picture->frame;
	int result = picture_decode(picture, &options.decode, &why);
	int64_t began_ns = picture->began_ns ? picture->began_ns : f->captured_ns;
	int64_t took_ns = clock_real_ns() - began_ns; /* reading counts too */

	frame_timed(f, "capture", began_ns, took_ns > 0 ? took_ns : 0);
	if (result == 0)
		return stage_send(stage, &picture->frame);
	log_info("%s", why.text);
	return stage_fail(stage, &picture->frame, &why);
}

static void acked(void *context, const char *name, uint64_t run, uint64_t seq)
{
	(void)name;
	source_acked(context, run, seq);
}

int main(int argc, char **argv)
{
	struct stage *stage = stage_open(&spec, argc, argv);
	struct source source;
	struct picture picture;
	struct err why;
	char **operand;
	int operands = stage_operands(stage, &operand), got, code = 0;

	got = source_open(&source, stage, &options, operands, operand, &why);
	if (got == 0) {
		stage_on_ack(stage, acked, &source);
		if (source.total > 0)
			stage_announce(stage, source.name, source.run, source.total);
		while ((got = source_next(&source, &picture, &why)) == 1)
			if (pass_on(stage, &picture) < 0)
				break;
	}
	if (got < 0) {
		log_error("%s", why.text);
		code = why.code;
	}
	code = stage_close(&stage, code);
	source_close(&source, code == 0);
	return code;
}
