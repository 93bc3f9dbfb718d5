/* The pipe form: addresses of upstreams, one a line, connected to as they arrive. */
#include "common/link_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

static void connect_line(struct link *l)
{
	struct address *a = malloc(sizeof *a);
	struct err e;

	if (!a) {
		link_act_broken(l, EX_TEMPFAIL, "no memory for an address");
		return;
	}
	l->line[l->line_used] = '\0';
	if (l->line_too_long || strlen(l->line) != l->line_used) {
		log_error("a line on stdin is no address");
	} else if (l->line_used == 0) {
		/* an empty line says nothing */
	} else if (address_parse(a, l->line, false, &e) < 0 || a->bind) {
		log_error("on stdin: %s", a->bind ? "bind: belongs to --in" : e.text);
	} else if (link_port_open(l, a, true, true, &e) < 0) {
		/* An address that is good and cannot be had: whoever is there would wait for ever. */
		if (e.code == EX_TEMPFAIL || e.code == EX_OSERR)
			link_act_broken(l, e.code, e.text);
		else
			log_error("on stdin: %s", e.text);
	} else {
		return;
	}
	free(a);
}

void link_read_lines(struct link *l, int64_t now)
{
	char bytes[512];
	ssize_t n = read(l->setup.in_fd, bytes, sizeof bytes);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] != '\n') {
			if (l->line_used < sizeof l->line - 1)
				l->line[l->line_used++] = bytes[i];
			else
				l->line_too_long = true;
			continue;
		}
		connect_line(l);
		l->line_used = 0;
		l->line_too_long = false;
	}
	if (n > 0)
		return;
	if (l->line_used)
		connect_line(l);
	l->setup.in_fd = -1;
	link_core_no_more(l->core, now);
}
