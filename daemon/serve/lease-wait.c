/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/lease-wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/procfs.h"
#include "serve/request.h"
#include "serve/ring-layout.h"

/* The kernel numbers its requests in steps of 2 (FUSE_REQ_ID_STEP in fs/fuse/fuse_dev_i.h). */
#define UNIQUE_SHIFT 1

/* Added to the break time, for rounds that come late. */
#define LIMIT_MARGIN_S 5u

/* Rows of `places` before the first CPU's. */
#define PLACES_META 1u

static int make_places(struct lease_wait *wait, uint32_t metas, const struct ring_layout *layout)
{
	uint32_t cpus = 0;

	for (uint32_t qid = 0; layout && qid < layout->queues; qid++) {
		uint32_t count;
		const uint16_t *entries = ring_layout_of(layout, qid, &count);

		for (uint32_t i = 0; i < count; i++)
			cpus = MAX(cpus, entries[i] + 1u);
	}
	wait->places = calloc(PLACES_META + cpus, sizeof(*wait->places));
	if (!wait->places)
		return -ENOMEM;
	for (uint32_t qid = 0; layout && qid < layout->queues; qid++) {
		uint32_t count;
		const uint16_t *entries = ring_layout_of(layout, qid, &count);

		for (uint32_t i = 0; i < count; i++)
			wait->places[PLACES_META + entries[i]].most++;
	}
	for (uint32_t i = PLACES_META; i < PLACES_META + cpus; i++)
		wait->places[i].most /= 2;
	wait->places[0].most = metas / 2;
	return 0;
}

/* The break time at the start, s. */
static uint32_t break_time(void)
{
	uint64_t seconds;

	if (procfs_read_setting("/proc/sys/fs/lease-break-time", &seconds) < 0)
		return 45; /* the kernel's default */
	return (uint32_t)seconds;
}

int lease_wait_init(struct lease_wait *wait, uint32_t metas, const struct ring_layout *layout)
{
	int r;

	wait->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (wait->timer_fd < 0)
		return -errno;
	wait->limit_s = break_time() + LIMIT_MARGIN_S;
	r = make_places(wait, metas, layout);
	if (r < 0)
		close_fd(&wait->timer_fd);
	return r;
}

void lease_wait_destroy(struct lease_wait *wait)
{
	close_fd(&wait->timer_fd);
	free(wait->places);
	wait->places = NULL;
}

static struct lease_places *places_of(struct lease_wait *wait, const struct request *request)
{
	return &wait->places[request->entry ? PLACES_META + request->cpu : 0];
}

static uint32_t now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
	return (uint32_t)now.tv_sec;
}

bool lease_wait_enter(struct lease_wait *wait, struct request *request)
{
	struct lease_places *places = places_of(wait, request);

	if (request->waits)
		return true;
	if (atomic_fetch_add(&places->used, 1) >= places->most) {
		atomic_fetch_sub(&places->used, 1);
		return false;
	}
	request->waits = true;
	request->waits_since = now_s();
	return true;
}

bool lease_wait_is_over(const struct lease_wait *wait, const struct request *request)
{
	return request->waits && now_s() - request->waits_since > wait->limit_s;
}

void lease_wait_leave(struct lease_wait *wait, struct request *request)
{
	if (request->waits)
		atomic_fetch_sub(&places_of(wait, request)->used, 1);
	request->waits = false;
}

static void start_timer(const struct lease_wait *wait)
{
	const struct itimerspec once = { .it_value.tv_nsec = LEASE_RETRY_MS * 1000000L };

	(void)timerfd_settime(wait->timer_fd, 0, &once, NULL); /* can't fail with these */
}

void lease_wait_count(struct lease_wait *wait)
{
	if (atomic_fetch_add(&wait->aside, 1) == 0)
		start_timer(wait);
}

uint32_t lease_wait_begin_round(struct lease_wait *wait)
{
	uint64_t times;

	(void)!read(wait->timer_fd, &times, sizeof(times)); /* EAGAIN: it was read before */
	return MIN(atomic_load(&wait->aside), LEASE_ROUND);
}

void lease_wait_end_round(struct lease_wait *wait, uint32_t count)
{
	if (atomic_fetch_sub(&wait->aside, count) > count)
		start_timer(wait);
}

static uint32_t note_of(uint64_t unique)
{
	return (uint32_t)(unique >> UNIQUE_SHIFT) % LEASE_NOTES;
}

void lease_wait_interrupt(struct lease_wait *wait, uint64_t unique)
{
	atomic_store(&wait->interrupted[note_of(unique)], unique);
}

bool lease_wait_is_interrupted(const struct lease_wait *wait, uint64_t unique)
{
	return atomic_load(&wait->interrupted[note_of(unique)]) == unique;
}
