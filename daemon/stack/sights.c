/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/sights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "stack/aside.h"

/* A look is given up after a second in which no file was read, or four in which few were. */
#define PROGRESS_MS 1000
#define SLOW_MAX    4
#define FEW	    100

/* The text after KEY, which begins a line of TEXT; or "". */
static const char *value_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? at + strlen(key) : "";
}

bool sight_read(struct sight *sight, const char *text)
{
	unsigned long long voluntary = 0, forced = 0;
	const char *name = value_of(text, "Name:\t");

	(void)snprintf(sight->comm, sizeof(sight->comm), "%.*s", (int)strcspn(name, "\n"), name);
	sight->state = value_of(text, "\nState:\t")[0];
	sight->tid = (pid_t)strtol(value_of(text, "\nPid:\t"), NULL, 10);
	sight->threads = (unsigned)strtoul(value_of(text, "\nThreads:\t"), NULL, 10);
	(void)sscanf(value_of(text, "\nvoluntary_ctxt_switches:"), "%llu", &voluntary);
	(void)sscanf(value_of(text, "\nnonvoluntary_ctxt_switches:"), "%llu", &forced);
	sight->runs = voluntary + forced;
	return sight->state && sight->tid;
}

/* --- the thread --- */

static bool see(struct sights *sights, const char *path, struct sight *sight)
{
	autoclose int fd = system_openat(&sights->system, path, O_RDONLY);
	char text[4096];
	ssize_t len = fd < 0 ? fd : system_read_ends(fd, text, sizeof(text));

	(void)pthread_mutex_lock(&sights->mutex);
	sights->reads++;
	(void)pthread_mutex_unlock(&sights->mutex);
	sight->pid = sights->pid;
	return len >= 0 && sight_read(sight, text);
}

/* Whether anybody waits for what is found. */
static bool goes_on(struct sights *sights)
{
	bool is_wanted;

	(void)pthread_mutex_lock(&sights->mutex);
	is_wanted = !sights->is_given_up && !sights->is_ending;
	(void)pthread_mutex_unlock(&sights->mutex);
	return is_wanted;
}

/* Called with the lock. */
static void set_ready(struct sights *sights)
{
	sights->state = SIGHTS_READY;
	sights->is_taken = false;
	(void)pthread_cond_broadcast(&sights->changed);
}

/* Hands over what was found, and waits until it is used. */
static void hand_over(struct sights *sights)
{
	(void)pthread_mutex_lock(&sights->mutex);
	if (!sights->is_given_up)
		set_ready(sights);
	while (sights->state == SIGHTS_READY && !sights->is_ending)
		(void)pthread_cond_wait(&sights->changed, &sights->mutex);
	sights->count = 0;
	(void)pthread_mutex_unlock(&sights->mutex);
}

static void add(struct sights *sights, const struct sight *sight)
{
	if (sight->state != 'D' && (sight->state != 'S' || !sights->with_sleepers))
		return;
	sights->sight[sights->count++] = *sight;
	if (sights->count == SIGHTS_MAX)
		hand_over(sights);
}

static int look_at_task(void *arg, const char *name)
{
	struct sights *sights = arg;
	struct sight sight;

	if (see(sights, PATH("proc/%d/task/%s/status", sights->pid, name), &sight))
		add(sights, &sight);
	return goes_on(sights) ? 0 : -EINTR;
}

/* Whether SIGHT is by its name a worker for any CPU: these do the I/O of loop devices and zloop. */
static bool is_worker(const struct sight *sight)
{
	return strncmp(sight->comm, "kworker/u", strlen("kworker/u")) == 0;
}

/* Without room, one that does such I/O, or was at it last, is noted instead of another. */
static void add_worker(struct sights *sights, const struct sight *sight)
{
	if (sights->workers < SIGHTS_WORKERS_MAX)
		sights->worker[sights->workers++] = sight->tid;
	else if (strstr(sight->comm, "loop"))
		sights->worker[sight->tid % SIGHTS_WORKERS_MAX] = sight->tid;
}

static int look_at_process(void *arg, const char *name)
{
	struct sights *sights = arg;
	struct sight sight;

	sights->pid = atoi(name);
	if (sights->pid <= 0 || sights->pid == getpid() ||
	    !see(sights, PATH("proc/%d/status", sights->pid), &sight))
		return 0;
	if (is_worker(&sight))
		add_worker(sights, &sight);
	if (sight.threads == 1)
		add(sights, &sight);
	else /* it may end meanwhile */
		(void)system_names(&sights->system, PATH("proc/%d/task", sights->pid), look_at_task,
				   sights);
	return goes_on(sights) ? 0 : -EINTR;
}

/* Called with the lock, which it lets go of meanwhile. */
static void look(struct sights *sights)
{
	sights->count = sights->workers = 0;
	(void)pthread_mutex_unlock(&sights->mutex);
	sights->result = system_names(&sights->system, "proc", look_at_process, sights);
	(void)pthread_mutex_lock(&sights->mutex);
	sights->is_over = true;
	if (sights->is_given_up)
		sights->state = SIGHTS_IDLE;
	else
		set_ready(sights);
}

static void *run(void *arg)
{
	struct sights *sights = arg;

	(void)pthread_mutex_lock(&sights->mutex);
	for (;;) {
		while (sights->state != SIGHTS_LOOKING && !sights->is_ending)
			(void)pthread_cond_wait(&sights->changed, &sights->mutex);
		if (sights->is_ending)
			break;
		look(sights);
	}
	(void)pthread_mutex_unlock(&sights->mutex);
	return NULL;
}

/* --- who uses it --- */

int sights_start(struct sights *sights, const struct system *system)
{
	int r;

	memset(sights, 0, sizeof(*sights));
	sights->system = *system;
	r = aside_init(&sights->mutex, &sights->changed);
	return r < 0 ? r : aside_start(&sights->thread, run, sights);
}

bool sights_stop(struct sights *sights)
{
	bool hangs;

	(void)pthread_mutex_lock(&sights->mutex);
	hangs = sights->state == SIGHTS_LOOKING;
	sights->is_ending = true;
	(void)pthread_cond_broadcast(&sights->changed);
	(void)pthread_mutex_unlock(&sights->mutex);
	if (hangs)
		return false;
	(void)pthread_join(sights->thread, NULL);
	(void)pthread_cond_destroy(&sights->changed);
	(void)pthread_mutex_destroy(&sights->mutex);
	return true;
}

bool sights_begin(struct sights *sights, bool with_sleepers)
{
	bool is_idle;

	(void)pthread_mutex_lock(&sights->mutex);
	is_idle = sights->state == SIGHTS_IDLE;
	if (is_idle) {
		sights->with_sleepers = with_sleepers;
		sights->is_over = sights->is_given_up = false;
		sights->state = SIGHTS_LOOKING;
		(void)pthread_cond_broadcast(&sights->changed);
	}
	(void)pthread_mutex_unlock(&sights->mutex);
	return is_idle;
}

/* Waits for the next ones. Called with the lock. Returns as sights_next(). */
static int await(struct sights *sights)
{
	struct timespec end = aside_end(PROGRESS_MS);
	uint64_t reads = sights->reads;

	for (int slow = 0; sights->state == SIGHTS_LOOKING && slow < SLOW_MAX;) {
		if (aside_wait(&sights->changed, &sights->mutex, &end) != -ETIMEDOUT)
			continue;
		if (sights->reads == reads)
			slow = SLOW_MAX;
		else
			slow += sights->reads - reads < FEW;
		reads = sights->reads;
		end = aside_end(PROGRESS_MS);
	}
	if (sights->state == SIGHTS_LOOKING) {
		sights->is_given_up = true;
		return -ETIMEDOUT;
	}
	sights->is_taken = true;
	return (int)sights->count;
}

int sights_next(struct sights *sights)
{
	int r = 0;

	(void)pthread_mutex_lock(&sights->mutex);
	if (sights->is_taken && !sights->is_over) {
		sights->is_taken = false;
		sights->state = SIGHTS_LOOKING;
		(void)pthread_cond_broadcast(&sights->changed);
	}
	if (!sights->is_taken)
		r = await(sights);
	if (r == 0) {
		r = sights->result;
		sights->is_taken = false;
		sights->state = SIGHTS_IDLE;
	}
	(void)pthread_mutex_unlock(&sights->mutex);
	return r;
}
