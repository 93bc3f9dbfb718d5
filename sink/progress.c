/* The live line. It is one write, begins with a carriage return and never wraps. */
#include "sink/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EVERY_NS 200000000

void progress_open(struct progress *p, bool quiet)
{
	*p = (struct progress){ .on = !quiet && isatty(STDERR_FILENO) };
}

struct line {
	char *out;
	size_t size, used;
};

static void __attribute__((format(printf, 2, 3))) add(struct line *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(l->out + l->used, l->size - l->used, format, args);
	va_end(args);
	if (n > 0)
		l->used += (size_t)n < l->size - l->used ? (size_t)n : l->size - l->used - 1;
}

static void add_eta(struct line *l, const struct stats *s, uint64_t expected)
{
	double rate = stats_rate(s);

	if (expected <= s->done || rate <= 0)
		return;
	double left = (double)(expected - s->done) / rate;
	if (left < 3600)
		add(l, "  %d:%02d left", (int)left / 60, (int)left % 60);
	else
		add(l, "  %.1f h left", left / 3600);
}

char *progress_text(char *out, size_t size, const struct stats *s, uint64_t expected,
		    const char *waiting)
{
	struct line l = { out, size, 0 };
	uint64_t judged = s->done - s->verdict[STATS_NONE];

	add(&l, "%llu", (unsigned long long)s->done);
	if (expected)
		add(&l, "/%llu", (unsigned long long)expected);
	if (waiting) {
		add(&l, "  waiting: %s", waiting);
		return out;
	}
	add(&l, "  %.1f/s", stats_rate(s));
	add_eta(&l, s, expected);
	if (s->verdict[STATS_GOOD])
		add(&l, "  good %.1f %%", 100 * (double)s->verdict[STATS_GOOD] / (double)judged);
	if (s->verdict[STATS_NG])
		add(&l, "  ng %llu", (unsigned long long)s->verdict[STATS_NG]);
	if (s->latencies)
		add(&l, "  p50 %.3g p99 %.3g ms", stats_latency_ms(s, 0.5),
		    stats_latency_ms(s, 0.99));
	if (s->verdict[STATS_ERROR])
		add(&l, "  errors %llu", (unsigned long long)s->verdict[STATS_ERROR]);
	if (s->last_ng[0])
		add(&l, "  last ng: %s", s->last_ng);
	return out;
}

static void write_line(const char *begin, const char *text, const char *end)
{
	char line[640];
	int n = snprintf(line, sizeof line, "%s%s%s", begin, text, end);

	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* A terminal that has gone shows nothing: the work goes on. */
	}
}

void progress_show(struct progress *p, const struct stats *s, uint64_t expected,
		   const char *waiting)
{
	int64_t now = clock_mono_ns();
	char raw[512], clean[512];
	struct winsize window;
	size_t width = 80;

	if (!p->on || (p->visible && !waiting && now - p->shown_ns < EVERY_NS))
		return;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
		width = window.ws_col;
	progress_text(raw, sizeof raw, s, expected, waiting);
	/* err_clean cuts at whole characters; bytes are never fewer than columns, but for a few. */
	err_clean(clean, width < sizeof clean ? width : sizeof clean, raw);
	write_line("\r", clean, "\033[K");
	p->shown_ns = now;
	p->visible = true;
}

void progress_hide(struct progress *p)
{
	if (p->visible)
		write_line("\r", "", "\033[K");
	p->visible = false;
}
