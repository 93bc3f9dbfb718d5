/* The pictures come through the link from a capture of our own, because decoding is capture's trade:
 * what is compared is what the line would see. The reference may have a batch dimension or none, the
 * recipe's layout or the other, and any element type that numpy.save writes for pictures. */
#include "preprocess/check.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preprocess/prep.h"

extern char **environ;

/* `capture` in the folder of this program. */
static int capture_path(char *path, size_t size, struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	if (n < 0)
		return err_code(e, EX_OSERR, "/proc/self/exe: %s", strerror(errno));
	path[n] = '\0';
	char *name = strrchr(path, '/');
	if (!name || (size_t)(name - path) + sizeof "/capture" > size)
		return err_code(e, EX_OSERR, "'%s' is not a path", path);
	strcpy(name, "/capture");
	return 0;
}

static int spawn(const char *path, char **images, int out, int *pid, struct err *e)
{
	posix_spawn_file_actions_t actions;
	size_t count = 0;
	pid_t child;
	int why;

	while (images[count])
		count++;
	char **argv = calloc(count + 3, sizeof *argv);
	if (!argv)
		return err_code(e, EX_TEMPFAIL, "no memory");
	argv[0] = "capture";
	argv[1] = "--";
	memcpy(argv + 2, images, count * sizeof *argv);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	why = posix_spawn(&child, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	free(argv);
	if (why)
		return err_code(e, EX_OSERR, "cannot start '%s': %s", path, strerror(why));
	*pid = child;
	return 0;
}

int check_source(char **images, int *pid, struct err *e)
{
	char path[4096];
	int ends[2];

	if (capture_path(path, sizeof path, e) < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_code(e, EX_OSERR, "pipe: %s", strerror(errno));
	int result = spawn(path, images, ends[1], pid, e);
	close(ends[1]);
	if (result == 0 && dup2(ends[0], 0) < 0)
		result = err_code(e, EX_OSERR, "dup2: %s", strerror(errno));
	close(ends[0]);
	return result;
}

int check_source_end(int pid, struct err *e)
{
	int status;

	close(0); /* if we never connected, it must not wait for us */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_code(e, EX_OSERR, "capture: %s", strerror(errno));
	if (!WIFEXITED(status))
		return err_code(e, EX_SOFTWARE, "capture: ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		return err_code(e, WEXITSTATUS(status), "capture: exit status %d",
				WEXITSTATUS(status));
	return 0;
}

/* --- comparing -------------------------------------------------------------------------------- */

/* How the reference's elements stand for one picture of sides[3] = channels, height, width. */
struct view {
	size_t parts;   /* pictures in the reference */
	size_t step[3]; /* from one channel, row, column to the next */
};

static bool is_shape(const int64_t *shape, int64_t a, int64_t b, int64_t c)
{
	return shape[0] == a && shape[1] == b && shape[2] == c;
}

static int view_of(struct view *v, const struct npy *ref, const int64_t sides[3],
		   enum recipe_layout layout, struct err *e)
{
	int64_t shape[3] = { 1, 1, 1 };
	int drop = ref->rank == 4 ? 1 : 0;
	size_t c = (size_t)sides[0], h = (size_t)sides[1], w = (size_t)sides[2];

	if (ref->rank < 2 || ref->rank > 4)
		return err_set(e, "the reference has %d dimensions, not 2, 3 or 4", ref->rank);
	for (int i = 0; i < ref->rank - drop; i++)
		shape[ref->rank == 2 ? i + 1 : i] = ref->shape[i + drop];
	bool planar = is_shape(shape, sides[0], sides[1], sides[2]);
	bool mixed = is_shape(shape, sides[1], sides[2], sides[0]);
	if (!planar && !mixed)
		return err_set(e,
			       "the reference is %lldx%lldx%lld, the recipe makes %zux%zux%zu "
			       "(channels, height, width)",
			       (long long)shape[0], (long long)shape[1], (long long)shape[2], c, h,
			       w);
	if (planar && mixed)
		planar = layout == LAYOUT_NCHW;
	v->parts = drop ? (size_t)ref->shape[0] : 1;
	v->step[0] = planar ? h * w : 1;
	v->step[1] = planar ? w : w * c;
	v->step[2] = planar ? 1 : c;
	return 0;
}

struct differences {
	double most, sum;
	size_t count, unequal;
	int64_t at[3]; /* channel, row, column of the largest */
};

static double tensor_value(const struct frame *f, size_t i)
{
	float value;

	if (f->dtype == DTYPE_U8)
		return f->payload->data[i];
	memcpy(&value, f->payload->data + i * sizeof value, sizeof value);
	return value;
}

static void compare_value(struct differences *d, double ours, double theirs, const int64_t at[3])
{
	double difference = fabs(ours - theirs);

	if (isnan(difference)) /* a NaN on either side is as wrong as can be */
		difference = INFINITY;
	d->count++;
	d->sum += difference;
	d->unequal += difference != 0;
	if (difference > d->most) {
		d->most = difference;
		memcpy(d->at, at, sizeof d->at);
	}
}

static void compare(struct differences *d, const struct frame *f, enum recipe_layout layout,
		    const struct npy *ref, const struct view *v, size_t first,
		    const int64_t sides[3])
{
	int64_t at[3];
	bool planar = layout == LAYOUT_NCHW;

	for (at[0] = 0; at[0] < sides[0]; at[0]++)
		for (at[1] = 0; at[1] < sides[1]; at[1]++)
			for (at[2] = 0; at[2] < sides[2]; at[2]++) {
				size_t ours =
				    planar
					? (size_t)((at[0] * sides[1] + at[1]) * sides[2] + at[2])
					: (size_t)((at[1] * sides[2] + at[2]) * sides[0] + at[0]);
				size_t theirs = first + (size_t)at[0] * v->step[0] +
						(size_t)at[1] * v->step[1] +
						(size_t)at[2] * v->step[2];
				compare_value(d, tensor_value(f, ours), npy_value(ref, theirs), at);
			}
}

static const char *name_of(const struct frame *f)
{
	const char *path = frame_text(f, "path");

	return path ? path : f->source;
}

static void tell(const struct frame *f, const struct differences *d, double tolerance)
{
	printf("%s: maximal difference %.9g, mean difference %.9g, %zu of %zu values differ",
	       name_of(f), d->most, d->sum / (double)d->count, d->unequal, d->count);
	if (d->unequal)
		printf(", most at channel %lld, row %lld, column %lld", (long long)d->at[0],
		       (long long)d->at[1], (long long)d->at[2]);
	printf(d->most > tolerance ? ": above %g\n" : "\n", tolerance);
}

/* One picture: 0 within the tolerance, 1 not, -1 with *e. */
static int check_frame(struct prep *prep, const struct recipe *r, const struct npy *ref,
		       struct frame *f, size_t part, double tolerance, struct err *e)
{
	struct differences d = { 0 };
	struct view v = { 0 };

	if (f->status != FRAME_OK)
		return err_set(e, "%s", f->reason);
	if (prep_apply(prep, f, e) < 0)
		return err_at(e, "%s", name_of(f));
	bool planar = r->layout == LAYOUT_NCHW;
	const int64_t sides[3] = { f->shape[planar ? 1 : 3], f->shape[planar ? 2 : 1],
				   f->shape[planar ? 3 : 2] };
	if (view_of(&v, ref, sides, r->layout, e) < 0)
		return err_at(e, "%s", name_of(f));
	if (part >= v.parts)
		return err_set(e, "%s: the reference holds %zu picture%s, this is one more",
			       name_of(f), v.parts, v.parts == 1 ? "" : "s");
	compare(&d, f, r->layout, ref, &v, part * (ref->count / v.parts), sides);
	tell(f, &d, tolerance);
	return d.most > tolerance;
}

int check_run(struct stage *s, const struct recipe *r, const struct npy *ref, double tolerance,
	      struct err *e)
{
	struct prep *prep = prep_new(r, NULL);
	struct frame *f;
	struct err more; /* the first mistake is the one that is told */
	size_t part = 0;
	int got, worst = 0;

	if (!prep)
		return err_code(e, EX_TEMPFAIL, "no memory");
	while ((got = stage_next(s, &f)) == 1) {
		int result = check_frame(prep, r, ref, f, part++, tolerance, worst < 0 ? &more : e);
		stage_done(s, &f);
		if (result != 0)
			worst = worst < 0 ? worst : result;
	}
	prep_free(&prep);
	if (got < 0)
		return err_code(e, EX_TEMPFAIL, "the stream broke off");
	if (worst == 0 && part == 0)
		return err_set(e, "no picture came");
	if (worst == 0 && ref->rank == 4 && part < (size_t)ref->shape[0])
		return err_set(e, "the reference holds %lld pictures, %zu came",
			       (long long)ref->shape[0], part);
	return worst;
}
