/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/threads.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mutex.h"
#include "caisson/reclaim.h"
#include "store/privdrop.h"

#define STACK_LEN (256u << 10)
#define STACK_TOUCHED                                                                              \
	(96u << 10) /* the largest buffers on a stack are those of creds.c: a quarter of this */

struct thread {
	struct threads *threads;
	const struct thread_role *role;
	pthread_t thread;
	uint32_t number; /* of those with this role */
	bool joined;
	int result; /* of getting ready, 0 or -errno */
};

int threads_init(struct threads *threads, uint32_t room, void *arg)
{
	*threads = (struct threads){
		.arg = arg,
		.room = room,
		.told = ATOMIC_FLAG_INIT,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	threads->all = calloc(room, sizeof(*threads->all));
	return threads->all ? 0 : -ENOMEM;
}

/* If one thread fails, its siblings most likely fail too. Only the first one logs it. */
static int failed(const struct thread *self, const char *action, int error)
{
	if (!atomic_flag_test_and_set(&self->threads->told))
		log_fail("thread %s-%u: %s: %s", self->role->name, self->number, action,
			 strerror(-error));
	return error;
}

static int take_step(const struct thread *self, const struct thread_step *step)
{
	int r = step->act ? step->act(self->threads->arg, self->number) : 0;

	return r < 0 ? failed(self, step->action, r) : 0;
}

static int prepare(const struct thread *self)
{
	int r;

	r = caisson_stack_prefault(STACK_TOUCHED);
	if (r < 0)
		return failed(self, "populate its stack", r);
	r = take_step(self, &self->role->before);
	if (r < 0)
		return r;
	r = privdrop_thread();
	if (r < 0)
		return failed(self, "drop capabilities", r);
	return take_step(self, &self->role->after);
}

/* Returns whether to run. */
static bool wait_at_gate(struct threads *threads)
{
	bool go;

	mutex_lock(&threads->mutex);
	threads->ready++;
	pthread_cond_broadcast(&threads->changed);
	while (threads->gate == THREADS_WAITING)
		pthread_cond_wait(&threads->changed, &threads->mutex);
	go = threads->gate == THREADS_LET_GO;
	mutex_unlock(&threads->mutex);
	return go;
}

static void *thread_main(void *arg)
{
	struct thread *self = arg;

	self->result = prepare(self);
	if (wait_at_gate(self->threads))
		self->role->run(self->threads->arg, self->number);
	return NULL;
}

static int start_one(struct threads *threads, const struct thread_role *role, uint32_t number)
{
	struct thread *thread = &threads->all[threads->count];
	pthread_attr_t attr;
	char name[16];
	int r;

	*thread = (struct thread){ .threads = threads, .role = role, .number = number };
	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	r = pthread_attr_setstacksize(&attr, STACK_LEN);
	if (!r)
		r = pthread_create(&thread->thread, &attr, thread_main, thread);
	(void)pthread_attr_destroy(&attr); /* has no way to fail */
	if (r)
		return -r;
	threads->count++;
	(void)snprintf(name, sizeof(name), "%s-%u", role->name, number);
	(void)pthread_setname_np(thread->thread, name); /* the name is only for people */
	return 0;
}

int threads_start(struct threads *threads, const struct thread_role *role, uint32_t count)
{
	int r = 0;

	assert(count <= threads->room - threads->count);
	for (uint32_t number = 0; number < count && !r; number++)
		r = start_one(threads, role, number);
	if (r < 0)
		log_fail("thread %u of %u: start: %s", threads->count + 1, threads->room,
			 strerror(-r));
	return r;
}

int threads_wait_ready(struct threads *threads)
{
	int r = 0;

	mutex_lock(&threads->mutex);
	while (threads->ready < threads->count)
		pthread_cond_wait(&threads->changed, &threads->mutex);
	mutex_unlock(&threads->mutex);
	for (uint32_t i = 0; i < threads->count && !r; i++)
		r = threads->all[i].result;
	return r;
}

static void open_gate(struct threads *threads, int gate)
{
	mutex_lock(&threads->mutex);
	if (threads->gate == THREADS_WAITING)
		threads->gate = gate;
	pthread_cond_broadcast(&threads->changed);
	mutex_unlock(&threads->mutex);
}

void threads_let_go(struct threads *threads)
{
	open_gate(threads, THREADS_LET_GO);
}

void threads_give_up(struct threads *threads)
{
	open_gate(threads, THREADS_GIVEN_UP);
}

void threads_join(struct threads *threads, const struct thread_role *role)
{
	for (uint32_t i = 0; i < threads->count; i++) {
		struct thread *thread = &threads->all[i];

		if (thread->role == role && !thread->joined) {
			(void)pthread_join(thread->thread, NULL); /* ours, once */
			thread->joined = true;
		}
	}
}

void threads_destroy(struct threads *threads)
{
	free(threads->all);
	threads->all = NULL;
}
