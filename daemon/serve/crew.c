/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/crew.h"

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
	(96u << 10) /* the largest buffers on a handler's are those of creds.c: a quarter of it */

struct crew_thread {
	struct crew *crew;
	const struct crew_role *role;
	pthread_t thread;
	uint32_t number; /* of those with this role */
	bool joined;
	int result; /* of getting ready, 0 or -errno */
};

int crew_init(struct crew *crew, uint32_t room, void *arg)
{
	*crew = (struct crew){
		.arg = arg,
		.room = room,
		.told = ATOMIC_FLAG_INIT,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	crew->threads = calloc(room, sizeof(*crew->threads));
	return crew->threads ? 0 : -ENOMEM;
}

/* Where one thread can't, its siblings most likely can't either: the first one tells. */
static int failed(const struct crew_thread *self, const char *action, int error)
{
	if (!atomic_flag_test_and_set(&self->crew->told))
		log_fail("thread %s-%u: %s: %s", self->role->name, self->number, action,
			 strerror(-error));
	return error;
}

static int take_step(const struct crew_thread *self, const struct crew_step *step)
{
	int r = step->act ? step->act(self->crew->arg, self->number) : 0;

	return r < 0 ? failed(self, step->action, r) : 0;
}

static int prepare(const struct crew_thread *self)
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
static bool wait_at_gate(struct crew *crew)
{
	bool go;

	mutex_lock(&crew->mutex);
	crew->ready++;
	pthread_cond_broadcast(&crew->changed);
	while (crew->gate == CREW_WAITING)
		pthread_cond_wait(&crew->changed, &crew->mutex);
	go = crew->gate == CREW_LET_GO;
	mutex_unlock(&crew->mutex);
	return go;
}

static void *thread_main(void *arg)
{
	struct crew_thread *self = arg;

	self->result = prepare(self);
	if (wait_at_gate(self->crew))
		self->role->run(self->crew->arg, self->number);
	return NULL;
}

static int start_one(struct crew *crew, const struct crew_role *role, uint32_t number)
{
	struct crew_thread *thread = &crew->threads[crew->count];
	pthread_attr_t attr;
	char name[16];
	int r;

	*thread = (struct crew_thread){ .crew = crew, .role = role, .number = number };
	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	r = pthread_attr_setstacksize(&attr, STACK_LEN);
	if (!r)
		r = pthread_create(&thread->thread, &attr, thread_main, thread);
	(void)pthread_attr_destroy(&attr); /* has no way to fail */
	if (r)
		return -r;
	crew->count++;
	(void)snprintf(name, sizeof(name), "%s-%u", role->name, number);
	(void)pthread_setname_np(thread->thread, name); /* a name is for people only */
	return 0;
}

int crew_start(struct crew *crew, const struct crew_role *role, uint32_t count)
{
	int r = 0;

	assert(count <= crew->room - crew->count);
	for (uint32_t number = 0; number < count && !r; number++)
		r = start_one(crew, role, number);
	if (r < 0)
		log_fail("thread %u of %u: start: %s", crew->count + 1, crew->room, strerror(-r));
	return r;
}

int crew_wait_ready(struct crew *crew)
{
	int r = 0;

	mutex_lock(&crew->mutex);
	while (crew->ready < crew->count)
		pthread_cond_wait(&crew->changed, &crew->mutex);
	mutex_unlock(&crew->mutex);
	for (uint32_t i = 0; i < crew->count && !r; i++)
		r = crew->threads[i].result;
	return r;
}

static void open_gate(struct crew *crew, int gate)
{
	mutex_lock(&crew->mutex);
	if (crew->gate == CREW_WAITING)
		crew->gate = gate;
	pthread_cond_broadcast(&crew->changed);
	mutex_unlock(&crew->mutex);
}

void crew_let_go(struct crew *crew)
{
	open_gate(crew, CREW_LET_GO);
}

void crew_give_up(struct crew *crew)
{
	open_gate(crew, CREW_GIVEN_UP);
}

void crew_join(struct crew *crew, const struct crew_role *role)
{
	for (uint32_t i = 0; i < crew->count; i++) {
		struct crew_thread *thread = &crew->threads[i];

		if (thread->role == role && !thread->joined) {
			(void)pthread_join(thread->thread, NULL); /* ours, once */
			thread->joined = true;
		}
	}
}

void crew_destroy(struct crew *crew)
{
	free(crew->threads);
	crew->threads = NULL;
}
