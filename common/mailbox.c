#include "common/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int ring_put(struct ring *r, const void *item)
{
	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? 2 * r->capacity : 16;
		char *data = malloc(capacity * r->item);
		if (!data)
			return -1;
		for (size_t i = 0; i < r->count; i++)
			memcpy(data + i * r->item, r->data + (r->head + i) % r->capacity * r->item,
			       r->item);
		free(r->data);
		r->data = data;
		r->head = 0;
		r->capacity = capacity;
	}
	memcpy(r->data + (r->head + r->count++) % r->capacity * r->item, item, r->item);
	return 0;
}

bool ring_get(struct ring *r, void *item)
{
	if (r->count == 0)
		return false;
	memcpy(item, r->data + r->head * r->item, r->item);
	r->head = (r->head + 1) % r->capacity;
	r->count--;
	return true;
}

void ring_free(struct ring *r)
{
	free(r->data);
	r->data = NULL;
	r->head = r->count = r->capacity = 0;
}

int mailbox_open(struct mailbox *m, struct err *e)
{
	*m = (struct mailbox){ .link_fd = -1, .stage_fd = -1 };
	m->commands.item = sizeof(struct command);
	m->frames.item = sizeof(struct frame *);
	m->acked.item = sizeof(struct acked);
	m->totals.item = sizeof(struct stage_total);
	m->drops.item = sizeof(struct stage_dropped);
	pthread_mutex_init(&m->lock, NULL);
	m->moved_at = clock_mono_ns();
	m->link_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->stage_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->link_fd >= 0 && m->stage_fd >= 0)
		return 0;
	err_code(e, EX_OSERR, "eventfd: %s", strerror(errno));
	mailbox_close(m);
	return -1;
}

void mailbox_close(struct mailbox *m)
{
	struct command command;
	struct frame *f;

	while (ring_get(&m->commands, &command)) {
		if (command.kind == COMMAND_SEND)
			frame_free(&command.as.frame);
		else if (command.kind >= COMMAND_ANNOUNCE)
			free(command.as.note);
	}
	while (ring_get(&m->frames, &f))
		frame_free(&f);
	ring_free(&m->commands);
	ring_free(&m->frames);
	ring_free(&m->acked);
	ring_free(&m->totals);
	ring_free(&m->drops);
	if (m->link_fd >= 0)
		close(m->link_fd);
	if (m->stage_fd >= 0)
		close(m->stage_fd);
	m->link_fd = m->stage_fd = -1;
	pthread_mutex_destroy(&m->lock);
}

void mailbox_ring_bell(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void mailbox_wake_stage(struct mailbox *m)
{
	if (!m->stage_waits)
		return;
	m->stage_waits = false;
	if (m->at_bell)
		mailbox_ring_bell(m->stage_fd);
}

void mailbox_broke(struct mailbox *m, int code, const char *text)
{
	if (!m->broken)
		err_code(&m->why, code, "%s", text);
	m->broken = true;
	mailbox_wake_stage(m);
}

int mailbox_command(struct mailbox *m, const struct command *command)
{
	if (ring_put(&m->commands, command) < 0)
		return -1;
	m->sends += command->kind == COMMAND_SEND;
	m->urgent = m->urgent || command->kind != COMMAND_TAKE;
	m->moved_at = clock_mono_ns();
	return 0;
}

void mailbox_ring(struct mailbox *m)
{
	if (m->rung)
		return;
	m->rung = true;
	mailbox_ring_bell(m->link_fd);
}
