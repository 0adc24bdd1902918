/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/reader.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define READER_NS    200000000
#define READER_STACK (64 * 1024)

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
		len = system_read_at(reader->system, thread->path.text, thread->off, thread->text,
				     sizeof(thread->text));
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
	reader->system = system;
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

static struct reader_thread *idle_thread(struct reader *reader)
{
	for (uint32_t i = 0; i < reader->threads; i++) {
		if (reader->thread[i].state == READER_IDLE)
			return &reader->thread[i];
	}
	return NULL;
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

/* Has THREAD read PATH at OFF. Called with the lock. */
static ssize_t ask(struct reader *reader, struct reader_thread *thread, const char *path,
		   uint64_t off)
{
	struct timespec end;
	int r = 0;

	thread->path = system_path("%s", path);
	thread->off = off;
	thread->state = READER_ASKED;
	(void)pthread_cond_broadcast(&reader->changed);
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

ssize_t reader_read(struct reader *reader, const char *path, uint64_t off, char *text, size_t size)
{
	struct reader_thread *thread;
	ssize_t len = -EAGAIN;

	(void)pthread_mutex_lock(&reader->mutex);
	thread = idle_thread(reader);
	if (thread)
		len = ask(reader, thread, path, off);
	if (len >= (ssize_t)size)
		len = (ssize_t)size - 1;
	if (len >= 0) {
		memcpy(text, thread->text, (size_t)len);
		text[len] = '\0';
	}
	(void)pthread_mutex_unlock(&reader->mutex);
	return len;
}
