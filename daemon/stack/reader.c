/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/reader.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define READER_NS    500000000
#define READER_STACK ((size_t)64 << 10)

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
		len = thread->is_link
			      ? system_link(&reader->system, thread->path.text, thread->text,
					    sizeof(thread->text))
			      : system_read_at(&reader->system, thread->path.text, thread->off,
					       thread->text, sizeof(thread->text));
		(void)pthread_mutex_lock(&reader->mutex);
		thread->len = len;
		thread->state = thread->is_lost ? READER_IDLE : READER_DONE;
		thread->is_lost = false;
		(void)pthread_cond_broadcast(&reader->changed);
	}
	(void)pthread_mutex_unlock(&reader->mutex);
	return NULL;
}

/* The threads get no signals: those are for the thread that uses the reader. */
static int start_threads(struct reader *reader, const pthread_attr_t *attributes)
{
	sigset_t all, old;
	int r = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; r == 0 && reader->threads < READER_THREADS; reader->threads += r == 0) {
		struct reader_thread *thread = &reader->thread[reader->threads];

		thread->reader = reader;
		r = -pthread_create(&thread->thread, attributes, run, thread);
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int reader_start(struct reader *reader, const struct system *system)
{
	pthread_condattr_t monotonic;
	pthread_attr_t attributes;
	int r;

	memset(reader, 0, sizeof(*reader));
	reader->system = *system;
	r = -pthread_mutex_init(&reader->mutex, NULL);
	if (r < 0)
		return r;
	/* none of these can fail on Linux */
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&reader->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	r = -pthread_attr_init(&attributes);
	if (r < 0)
		return r;
	(void)pthread_attr_setstacksize(&attributes, READER_STACK);
	r = start_threads(reader, &attributes);
	(void)pthread_attr_destroy(&attributes);
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

/* An idle thread for PATH, or NULL with why there is none. */
static struct reader_thread *thread_for(struct reader *reader, const char *path, ssize_t *ret_why)
{
	struct reader_thread *idle = NULL;

	*ret_why = -EAGAIN;
	for (uint32_t i = 0; i < reader->threads; i++) {
		struct reader_thread *thread = &reader->thread[i];

		if (thread->state == READER_IDLE)
			idle = thread;
		else if (strncmp(thread->path.text, path, process_len(path)) == 0)
			*ret_why = -ETIMEDOUT;
	}
	return *ret_why == -ETIMEDOUT ? NULL : idle;
}

static void set_end(struct timespec *end)
{
	(void)clock_gettime(CLOCK_MONOTONIC, end);
	end->tv_nsec += READER_NS;
	if (end->tv_nsec >= 1000000000) {
		end->tv_nsec -= 1000000000;
		end->tv_sec++;
	}
}

/* Waits for THREAD, which was asked. Called with the lock. */
static ssize_t await(struct reader *reader, struct reader_thread *thread)
{
	struct timespec end;
	int r = 0;

	set_end(&end);
	while (thread->state != READER_DONE && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&reader->changed, &reader->mutex, &end);
	if (thread->state != READER_DONE) {
		thread->is_lost = true;
		return -ETIMEDOUT;
	}
	thread->state = READER_IDLE;
	return thread->len;
}

static ssize_t ask(struct reader *reader, const char *path, uint64_t off, bool is_link, char *text,
		   size_t size)
{
	struct reader_thread *thread;
	ssize_t len;

	(void)pthread_mutex_lock(&reader->mutex);
	thread = thread_for(reader, path, &len);
	if (thread) {
		thread->path = system_path("%s", path);
		thread->off = off;
		thread->is_link = is_link;
		thread->state = READER_ASKED;
		(void)pthread_cond_broadcast(&reader->changed);
		len = await(reader, thread);
		if (len >= (ssize_t)size)
			len = (ssize_t)size - 1;
		if (len >= 0) {
			memcpy(text, thread->text, (size_t)len);
			text[len] = '\0';
		}
	}
	(void)pthread_mutex_unlock(&reader->mutex);
	return len;
}

ssize_t reader_read(struct reader *reader, const char *path, uint64_t off, char *text, size_t size)
{
	return ask(reader, path, off, false, text, size);
}

ssize_t reader_link(struct reader *reader, const char *path, char *text, size_t size)
{
	return ask(reader, path, 0, true, text, size);
}
