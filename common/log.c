/* The log: each line is one write(2), so that lines of several processes do not mix. */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/err.h"

static const char *stage_name = "andon";
static int level;

void log_open(const char *stage, int verbosity)
{
	stage_name = stage;
	level = verbosity;
}

int log_verbosity(void)
{
	return level;
}

static void say(const char *severity, const char *format, va_list args)
{
	char raw[1024], clean[1024], line[1200];

	vsnprintf(raw, sizeof raw, format, args);
	int n = snprintf(line, sizeof line, "%s: %s: %s\n", stage_name, severity,
			 err_clean(clean, sizeof clean, raw));
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* Nobody is listening: there is nowhere left to say so. */
	}
}

#define LOG_FUNCTION(name, severity, least)      \
	void log_##name(const char *format, ...) \
	{                                        \
		va_list args;                    \
		if (level < (least))             \
			return;                  \
		va_start(args, format);          \
		say(severity, format, args);     \
		va_end(args);                    \
	}

LOG_FUNCTION(error, "error", -1)
LOG_FUNCTION(warn, "warning", 0)
LOG_FUNCTION(info, "info", 1)
LOG_FUNCTION(debug, "debug", 2)
