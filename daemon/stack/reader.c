/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "stack/aside.h"

#define READER_MS 500

/* Adds NAME to the text of the thread ARG, and a newline. Returns 1 when there is no room. */
static int add_name(void *arg, const char *name)
{
	struct reader_thread *thread = arg;
	size_t len = (size_t)thread->len, room = sizeof(thread->text) - len;
	int added = snprintf(thread->text + len, room, "%s\n", name);

	if (added < 0 || (size_t)added >= room) {
		thread->text[len] = '\0';
		return 1;
	}
	thread->len += added;
	return 0;
}

static ssize_t read_names(struct reader_thread *thread)
{
	int r;

	thread->len = 0;
	thread->text[0] = '\0';
	r = system_names(&thread->reader->system, thread->path.text, add_name, thread);
	return r < 0 ? r : thread->len;
}

/* Does what THREAD is asked for. */
static ssize_t do_op(struct reader_thread *thread)
{
	const struct system *system = &thread->reader->system;
	const char *path = thread->path.text;

	switch (thread->op) {
	case READER_READ:
		return system_read_at(system, path, thread->off, thread->text,
				      sizeof(thread->text));
	case READER_LINK:
		return system_link(system, path, thread->text, sizeof(thread->text));
	case READER_READ_OPEN:
		return system_read_open(thread->fd, thread->text, sizeof(thread->text));
	case READER_NAMES:
		return read_names(thread);
	case READER_OPEN:
		return system_openat(system, path, O_RDONLY);
	}
	return -EINVAL;
}

/* Nobody waits for RESULT, which may be a descriptor. */
static void drop_result(const struct reader_thread *thread, ssize_t result)
{
	int fd = (int)result;

	if (thread->op == READER_OPEN)
		close_fd(&fd);
}

static void *run(void *arg)
{
	struct reader_thread *thread = arg;
	struct reader *reader = thread->reader;

	(void)pthread_mutex_lock(&reader->mutex);
	for (;;) {
		ssize_t len;

		while (thread->state != READER_ASKED && !reader->is_ending)
			(void)pthread_cond_wait(&reader->changed, &reader->mutex);
		if (reader->is_ending)
			break;
		(void)pthread_mutex_unlock(&reader->mutex);
		len = do_op(thread);
		(void)pthread_mutex_lock(&reader->mutex);
		if (thread->is_lost)
			drop_result(thread, len);
		thread->len = len;
		thread->state = thread->is_lost ? READER_IDLE : READER_DONE;
		thread->is_lost = false;
		(void)pthread_cond_broadcast(&reader->changed);
	}
	(void)pthread_mutex_unlock(&reader->mutex);
	return NULL;
}

int reader_start(struct reader *reader, const struct system *system)
{
	int r;

	memset(reader, 0, sizeof(*reader));
	reader->system = *system;
	r = aside_init(&reader->mutex, &reader->changed);
	if (r < 0)
		return r;
	for (; r == 0 && reader->threads < READER_THREADS; reader->threads += r == 0) {
		struct reader_thread *thread = &reader->thread[reader->threads];

		thread->reader = reader;
		r = aside_start(&thread->thread, run, thread);
	}
	if (r < 0)
		(void)reader_stop(reader);
	return r;
}

bool reader_stop(struct reader *reader)
{
	bool is_lost = false;

	(void)pthread_mutex_lock(&reader->mutex);
	reader->is_ending = true;
	(void)pthread_cond_broadcast(&reader->changed);
	for (uint32_t i = 0; i < reader->threads; i++)
		is_lost |= reader->thread[i].is_lost;
	(void)pthread_mutex_unlock(&reader->mutex);
	if (is_lost)
		return false;
	for (uint32_t i = 0; i < reader->threads; i++)
		(void)pthread_join(reader->thread[i].thread, NULL);
	(void)pthread_cond_destroy(&reader->changed);
	(void)pthread_mutex_destroy(&reader->mutex);
	return true;
}

/* The length of "proc/PID/" at the beginning of PATH. */
static size_t process_len(const char *path)
{
	const char *end = strchr(path, '/');

	end = end ? strchr(end + 1, '/') : NULL;
	return end ? (size_t)(end + 1 - path) : strlen(path);
}

/* What a thread is to do. */
struct wish {
	enum reader_op op;
	const char *path;
	uint64_t off;
	int fd;
};

/* Whether WISH would hang as well, if the reading of PATH does. */
static bool hangs_like(const struct wish *wish, const char *path)
{
	/* a file that is open hangs for another reason than the lock of its process */
	if (wish->op == READER_READ_OPEN)
		return strcmp(path, wish->path) == 0;
	return strncmp(path, wish->path, process_len(wish->path)) == 0;
}

/* An idle thread for WISH, or NULL with why there is none. */
static struct reader_thread *thread_for(struct reader *reader, const struct wish *wish,
					ssize_t *ret_why)
{
	struct reader_thread *idle = NULL;

	*ret_why = -EAGAIN;
	for (uint32_t i = 0; i < reader->threads; i++) {
		struct reader_thread *thread = &reader->thread[i];

		if (thread->state == READER_IDLE)
			idle = thread;
		else if (hangs_like(wish, thread->path.text))
			*ret_why = -ETIMEDOUT;
	}
	return *ret_why == -ETIMEDOUT ? NULL : idle;
}

/* Waits for THREAD, which was asked. Called with the lock. */
static ssize_t await(struct reader *reader, struct reader_thread *thread)
{
	struct timespec end = aside_end(READER_MS);
	int r = 0;

	while (thread->state != READER_DONE && r != -ETIMEDOUT)
		r = aside_wait(&reader->changed, &reader->mutex, &end);
	if (thread->state != READER_DONE) {
		thread->is_lost = true;
		return -ETIMEDOUT;
	}
	thread->state = READER_IDLE;
	return thread->len;
}

static ssize_t ask(struct reader *reader, const struct wish *wish, char *text, size_t size)
{
	struct reader_thread *thread;
	ssize_t len;

	(void)pthread_mutex_lock(&reader->mutex);
	thread = thread_for(reader, wish, &len);
	if (thread) {
		thread->op = wish->op;
		thread->path = system_path("%s", wish->path);
		thread->off = wish->off;
		thread->fd = wish->fd;
		thread->state = READER_ASKED;
		(void)pthread_cond_broadcast(&reader->changed);
		len = await(reader, thread);
		if (text && len >= (ssize_t)size)
			len = (ssize_t)size - 1;
		if (text && len >= 0) {
			memcpy(text, thread->text, (size_t)len);
			text[len] = '\0';
		}
	}
	(void)pthread_mutex_unlock(&reader->mutex);
	return len;
}

ssize_t reader_read(struct reader *reader, const char *path, uint64_t off, char *text, size_t size)
{
	return ask(reader, &(struct wish){ READER_READ, path, off, -1 }, text, size);
}

ssize_t reader_link(struct reader *reader, const char *path, char *text, size_t size)
{
	return ask(reader, &(struct wish){ READER_LINK, path, 0, -1 }, text, size);
}

ssize_t reader_read_open(struct reader *reader, const char *path, int fd, char *text, size_t size)
{
	return ask(reader, &(struct wish){ READER_READ_OPEN, path, 0, fd }, text, size);
}

int reader_open(struct reader *reader, const char *path)
{
	return (int)ask(reader, &(struct wish){ READER_OPEN, path, 0, -1 }, NULL, 0);
}

int reader_names(struct reader *reader, const char *path, system_name_fn *each, void *arg)
{
	char text[READER_TEXT_SIZE], *rest = text, *name;
	ssize_t len = ask(reader, &(struct wish){ READER_NAMES, path, 0, -1 }, text, sizeof(text));
	int r = len < 0 ? (int)len : 0;

	while (r == 0 && (name = strsep(&rest, "\n")) && *name)
		r = each(arg, name);
	return r;
}
