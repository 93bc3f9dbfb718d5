/* Counters and a histogram of latency: 16 buckets to each doubling, so that percentiles are within
 * 4.4 % and cost nothing however long the line runs. */
#include "sink/stats.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define PER_DOUBLING 16
#define WORK_MAX_NS 86400000000000 /* a day */

static const char *const verdict_names[STATS_VERDICTS] = { "good", "ng", "uncertain", "error",
							   "no rule" };

static size_t bucket_of(int64_t ns)
{
	double us = (double)ns / 1000;

	if (us < 1)
		return 0;
	size_t bucket = (size_t)(log2(us) * PER_DOUBLING) + 1;
	return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

static enum stats_verdict verdict_of(const struct row *row)
{
	for (int i = 0; row->verdict && i < STATS_NONE; i++)
		if (strcmp(row->verdict, verdict_names[i]) == 0)
			return (enum stats_verdict)i;
	return STATS_NONE;
}

static void count_label(struct stats *s, const char *label)
{
	char name[STATS_LABEL_MAX];

	err_clean(name, sizeof name, label);
	for (size_t i = 0; i < s->labels; i++)
		if (strcmp(s->label[i].name, name) == 0) {
			s->label[i].count++;
			return;
		}
	if (s->labels == STATS_LABELS) {
		s->other_labels++;
		return;
	}
	memcpy(s->label[s->labels].name, name, sizeof name);
	s->label[s->labels++].count = 1;
}

static void add_work(struct stats *s, const struct frame_time *time)
{
	if (time->duration_ns < 0 || time->duration_ns > WORK_MAX_NS) /* a clock that jumped */
		return;
	for (size_t i = 0; i < s->works; i++)
		if (strcmp(s->work[i].name, time->stage) == 0) {
			s->work[i].ns += time->duration_ns;
			return;
		}
	if (s->works == FRAME_TIMES_MAX)
		return;
	memcpy(s->work[s->works].name, time->stage, sizeof time->stage);
	s->work[s->works++].ns = time->duration_ns;
}

static const char *file_name(const struct row *row)
{
	const char *slash = row->image ? strrchr(row->image, '/') : NULL;

	return slash ? slash + 1 : row->image ? row->image : row->tag ? row->tag : "";
}

void stats_add(struct stats *s, const struct row *row, const struct frame *f, int64_t mono_ns,
	       int64_t real_ns)
{
	enum stats_verdict verdict = verdict_of(row);

	s->done++;
	s->last_ns = mono_ns;
	s->duplicates += row->duplicate;
	s->verdict[verdict]++;
	if (row->label)
		count_label(s, row->label);
	if (verdict == STATS_NG)
		snprintf(s->last_ng, sizeof s->last_ng, "%.60s %.60s", row->label ? row->label : "",
			 file_name(row));
	for (int i = 0; i < f->time_count && i < FRAME_TIMES_MAX; i++)
		add_work(s, &f->time[i]);
	if (f->captured_ns > 0) {
		s->latency[bucket_of(real_ns - f->captured_ns)]++;
		s->latencies++;
	}
}

double stats_latency_ms(const struct stats *s, double part)
{
	uint64_t wanted = (uint64_t)ceil(part * (double)s->latencies), seen = 0;

	for (size_t i = 0; i < STATS_BUCKETS && s->latencies; i++) {
		seen += s->latency[i];
		if (seen >= wanted && seen > 0)
			return i == 0 ? 0.001 : exp2(((double)i - 0.5) / PER_DOUBLING) / 1000;
	}
	return NAN;
}

double stats_rate(const struct stats *s)
{
	int64_t ns = s->last_ns - s->started_ns;

	return s->done && ns > 0 ? (double)s->done * 1e9 / (double)ns : 0;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void add_count(struct text *to, const char *name, uint64_t count, const struct stats *s)
{
	char line[160];

	snprintf(line, sizeof line, "  %-20s %8llu  %5.1f %%\n", name, (unsigned long long)count,
		 100 * (double)count / (double)s->done);
	text_puts(to, line);
}

/* Processor time of this process, all threads, in seconds. */
static double own_cpu(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used) < 0)
		return 0;
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void add_cost(struct text *to, const struct stats *s, uint64_t bytes)
{
	char line[160];
	double all_ns = 0;

	for (size_t i = 0; i < s->works; i++)
		all_ns += (double)s->work[i].ns;
	snprintf(line, sizeof line, "cost of a part: %.3f ms of work",
		 all_ns / 1e6 / (double)s->done);
	text_puts(to, line);
	for (size_t i = 0; i < s->works; i++) {
		char name[FRAME_STAGE_MAX];
		snprintf(line, sizeof line, "%s%s %.3f", i ? ", " : " (",
			 err_clean(name, sizeof name, s->work[i].name),
			 (double)s->work[i].ns / 1e6 / (double)s->done);
		text_puts(to, line);
	}
	snprintf(line, sizeof line, "%s, sink %.3f ms of processor time, %llu bytes stored\n",
		 s->works ? ")" : "", own_cpu() * 1e3 / (double)s->done,
		 (unsigned long long)(bytes / s->done));
	text_puts(to, line);
}

void stats_summary(const struct stats *s, uint64_t bytes, struct text *to)
{
	char line[160];

	if (s->done == 0)
		return;
	text_puts(to, "verdicts:\n");
	for (int i = 0; i < STATS_VERDICTS; i++)
		if (s->verdict[i])
			add_count(to, verdict_names[i], s->verdict[i], s);
	if (s->labels)
		text_puts(to, "labels:\n");
	for (size_t i = 0; i < s->labels; i++)
		add_count(to, s->label[i].name, s->label[i].count, s);
	if (s->other_labels)
		add_count(to, "(others)", s->other_labels, s);
	if (s->latencies) {
		snprintf(line, sizeof line,
			 "latency, picture to durable row: p50 %.3g ms, p99 %.3g ms\n",
			 stats_latency_ms(s, 0.5), stats_latency_ms(s, 0.99));
		text_puts(to, line);
	}
	add_cost(to, s, bytes);
}
