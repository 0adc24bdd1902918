/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/dropper.h"

#include <errno.h>
#include <time.h>

#include "base/pool.h"
#include "handlers/inval.h"
#include "serve/request.h"
#include "store/fs.h"

/* Inodes that are collected at a time. */
#define BATCH 64u

void dropper_init(struct dropper *dropper, struct fs *fs, struct request *requests,
		  uint32_t max_waiting, void (*dropped)(void *arg, struct request *request),
		  void *arg)
{
	*dropper = (struct dropper){
		.fs = fs,
		.requests = requests,
		.max_waiting = max_waiting,
		.dropped = dropped,
		.arg = arg,
	};
	atomic_init(&dropper->put, POOL_NONE);
	atomic_init(&dropper->taken, POOL_NONE);
	(void)sem_init(&dropper->work, 0, 0); /* can't fail with these */
}

void dropper_destroy(struct dropper *dropper)
{
	(void)sem_destroy(&dropper->work);
}

static void tell(struct dropper *dropper)
{
	(void)sem_post(&dropper->work); /* fails beyond SEM_VALUE_MAX, and then it is awake */
}

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* Whether the drop under way takes too long, and is of another inode than NODEID. */
static bool is_held_up(const struct dropper *dropper, uint64_t nodeid)
{
	int64_t since = atomic_load(&dropper->since);

	return since && now_ns() - since > DROPPER_PATIENCE_MS * 1000000ll &&
	       atomic_load(&dropper->nodeid) != nodeid;
}

static struct inode *inode_of(const struct dropper *dropper, const struct cached_drop *drop)
{
	return inode_at(&dropper->fs->inodes, drop->row);
}

static uint64_t nodeid_of(const struct dropper *dropper, const struct request *request)
{
	return inode_nodeid(&dropper->fs->inodes, inode_of(dropper, &request->drop));
}

/* The most requests that may wait, if REQUEST is one of them. */
static uint32_t places_for(const struct dropper *dropper, const struct request *request)
{
	if (request->few)
		return 0;
	if (request->drop.reason == DROP_WRITTEN)
		return (dropper->max_waiting + 1) / 2; /* the others are for opens */
	return dropper->max_waiting;
}

/* Counts REQUEST as one that waits, if it may wait. */
static bool admit(struct dropper *dropper, const struct request *request)
{
	uint32_t waiting = atomic_load(&dropper->waiting);

	do {
		if (waiting >= places_for(dropper, request) ||
		    is_held_up(dropper, nodeid_of(dropper, request)))
			return false;
	} while (!atomic_compare_exchange_weak(&dropper->waiting, &waiting, waiting + 1));
	/* after it was counted: dropper_run() doesn't return before the count is 0 */
	if (!atomic_load(&dropper->stopping))
		return true;
	atomic_fetch_sub(&dropper->waiting, 1);
	tell(dropper);
	return false;
}

static void owe(struct dropper *dropper, const struct cached_drop *drop)
{
	struct inode *inode = inode_of(dropper, drop);
	uint8_t owed = atomic_load(&inode->drop_owed);

	if (drop->reason == DROP_NONE)
		return;
	if (drop->reason == DROP_CHANGED)
		atomic_store(&inode->drop_due, false); /* it is owed instead */
	atomic_fetch_add(&inode->drops, 1); /* until pay(), which may come as soon as it is owed */
	/* DROP_CHANGED is made in more cases than DROP_WRITTEN, so it stays */
	while (owed != DROP_CHANGED && owed != drop->reason &&
	       !atomic_compare_exchange_weak(&inode->drop_owed, &owed, (uint8_t)drop->reason))
		;
	if (owed != DROP_NONE)
		atomic_fetch_sub(&inode->drops, 1); /* it is counted already */
	atomic_fetch_add(&dropper->waiting, 1);	    /* until pay() */
	if (atomic_exchange(&dropper->owes, true))
		atomic_fetch_sub(&dropper->waiting, 1); /* it is counted already */
	tell(dropper); /* also of that: dropper_run() may wait for the count to be 0 */
}

void dropper_inherit(struct dropper *dropper)
{
	struct inode_table *inodes = &dropper->fs->inodes;

	for (uint32_t row = 0; row < inodes->common->touched; row++) {
		const struct inode *inode = inode_at(inodes, row);

		if (atomic_load(&inode->used) && atomic_load(&inode->cached_opens))
			owe(dropper, &(struct cached_drop){ .reason = DROP_CHANGED, .row = row });
	}
}

static void push(struct dropper *dropper, struct request *request)
{
	uint32_t newest = atomic_load(&dropper->put);

	do {
		request->next = newest;
	} while (!atomic_compare_exchange_weak(&dropper->put, &newest, request->index));
	tell(dropper);
}

bool dropper_put(struct dropper *dropper, struct request *request)
{
	if (!admit(dropper, request)) {
		owe(dropper, &request->drop);
		cached_open_settle(&dropper->fs->inodes, &request->drop);
		return false;
	}
	/* a request without a drop of its own isn't one to wait for: a busy file always has one */
	if (request->drop.reason != DROP_NONE)
		atomic_fetch_add(&inode_of(dropper, &request->drop)->drops, 1);
	push(dropper, request);
	return true;
}

/* Takes the list of what was put and reverses it: the oldest is first. */
static uint32_t take_up(struct dropper *dropper)
{
	uint32_t index = atomic_exchange(&dropper->put, POOL_NONE), oldest = POOL_NONE;

	while (index != POOL_NONE) {
		struct request *request = &dropper->requests[index];

		index = request->next;
		request->next = oldest;
		oldest = request->index;
	}
	return oldest;
}

/* The next of the taken requests, unless dropper_look() has taken the list. */
static struct request *begin_next(struct dropper *dropper)
{
	uint32_t index = atomic_exchange(&dropper->taken, POOL_NONE);

	if (index == POOL_NONE)
		return NULL;
	atomic_store(&dropper->taken, dropper->requests[index].next);
	return &dropper->requests[index];
}

static void notify(struct dropper *dropper, uint64_t nodeid, uint64_t off, uint64_t len)
{
	atomic_store(&dropper->nodeid, nodeid);
	atomic_store(&dropper->since, now_ns());
	/* fails if the mount has gone, and its cache with it */
	(void)fuse_notify_data(dropper->fs->inodes.session_fd, nodeid, off, len);
	atomic_store(&dropper->since, 0);
}

/* The inode's row stays, as the request is unanswered. */
static void make_drop(struct dropper *dropper, const struct request *request)
{
	const struct cached_drop *drop = &request->drop;

	if (cached_open_take_due(inode_of(dropper, drop), drop->reason) &&
	    cached_open_may_drop(inode_of(dropper, drop), drop->reason))
		notify(dropper, nodeid_of(dropper, request), drop->off, drop->len);
}

static void answer(struct dropper *dropper, struct request *request)
{
	if (request->drop.reason != DROP_NONE)
		atomic_fetch_sub(&inode_of(dropper, &request->drop)->drops, 1);
	cached_open_settle(&dropper->fs->inodes, &request->drop);
	dropper->dropped(dropper->arg, request);
	atomic_fetch_sub(&dropper->waiting, 1);
}

/* Makes the drops that no request waits for. */
static void pay(struct dropper *dropper)
{
	struct inode_table *inodes = &dropper->fs->inodes;
	uint64_t nodeids[BATCH];
	uint32_t hand = 0, count;

	if (!atomic_exchange(&dropper->owes, false))
		return;
	do {
		count = cached_open_collect_owing(inodes, &hand, nodeids, BATCH);
		for (uint32_t i = 0; i < count; i++) {
			notify(dropper, nodeids[i], 0, 0);
			inode_end_drop(inodes, nodeids[i]);
		}
	} while (count == BATCH);
	atomic_fetch_sub(&dropper->waiting, 1);
}

void dropper_run(struct dropper *dropper)
{
	struct request *request;

	while (!atomic_load(&dropper->stopping) || atomic_load(&dropper->waiting) > 0) {
		if (sem_wait(&dropper->work) < 0)
			continue; /* EINTR */
		atomic_store(&dropper->taken, take_up(dropper));
		while ((request = begin_next(dropper))) {
			make_drop(dropper, request);
			answer(dropper, request);
		}
		pay(dropper);
	}
}

/*
 * Answers the list from INDEX on without the drops, but not those that wait for the one under way.
 */
static void let_go(struct dropper *dropper, uint32_t index)
{
	while (index != POOL_NONE) {
		struct request *request = &dropper->requests[index];

		index = request->next; /* before somebody else has the request */
		if (!is_held_up(dropper, nodeid_of(dropper, request)) &&
		    !atomic_load(&dropper->stopping)) {
			push(dropper, request);
			continue;
		}
		owe(dropper, &request->drop);
		answer(dropper, request);
	}
}

static void let_all_go(struct dropper *dropper)
{
	let_go(dropper, atomic_exchange(&dropper->taken, POOL_NONE));
	let_go(dropper, atomic_exchange(&dropper->put, POOL_NONE));
}

void dropper_look(struct dropper *dropper)
{
	if (is_held_up(dropper, 0)) /* which is no inode's */
		let_all_go(dropper);
}

void dropper_stop(struct dropper *dropper)
{
	atomic_store(&dropper->stopping, true);
	let_all_go(dropper);
	tell(dropper);
}
