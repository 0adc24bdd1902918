/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dropper.h"

#include <errno.h>

#include "fs.h"
#include "inval.h"
#include "pool.h"
#include "request.h"

/* Inodes that are looked for at a time. */
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
	atomic_init(&dropper->head, POOL_NONE);
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

/* Counts REQUEST as one that waits, if it may. */
static bool admit(struct dropper *dropper, const struct request *request)
{
	_Atomic uint32_t *drops = &dropper->fs->drops;
	uint32_t waiting = atomic_load(drops);

	do {
		if (request->few || waiting >= dropper->max_waiting)
			return false;
	} while (!atomic_compare_exchange_weak(drops, &waiting, waiting + 1));
	/* after it was counted: dropper_run() doesn't return before the count is 0 */
	if (!atomic_load(&dropper->stopping))
		return true;
	atomic_fetch_sub(drops, 1);
	tell(dropper);
	return false;
}

static void owe(struct dropper *dropper, const struct cached_drop *drop)
{
	if (drop->reason == DROP_NONE)
		return;
	atomic_store(&inode_at(&dropper->fs->inodes, drop->row)->drop_owed, true);
	atomic_fetch_add(&dropper->fs->drops, 1); /* until pay() */
	if (atomic_exchange(&dropper->owes, true))
		atomic_fetch_sub(&dropper->fs->drops, 1); /* it is counted already */
	tell(dropper); /* also of that: dropper_run() may wait for the count to be 0 */
}

bool dropper_put(struct dropper *dropper, struct request *request)
{
	uint32_t head;

	if (!admit(dropper, request)) {
		owe(dropper, &request->drop);
		return false;
	}
	head = atomic_load(&dropper->head);
	do {
		request->next = head;
	} while (!atomic_compare_exchange_weak(&dropper->head, &head, request->index));
	tell(dropper);
	return true;
}

/* The inode stays, as its request is unanswered. */
static void make_drop(struct dropper *dropper, const struct cached_drop *drop)
{
	struct inode_table *inodes = &dropper->fs->inodes;
	struct inode *inode = inode_at(inodes, drop->row);

	if (drop->reason == DROP_NONE || !cached_open_may_drop(inode, drop->reason))
		return;
	/* fails where the mount has gone, and its cache with it */
	(void)fuse_notify_data(inodes->session_fd, inode_nodeid(inodes, inode), drop->off,
			       drop->len);
}

static void make_all(struct dropper *dropper, uint32_t index)
{
	while (index != POOL_NONE) {
		const struct request *request = &dropper->requests[index];

		make_drop(dropper, &request->drop);
		index = request->next;
	}
}

static void answer_all(struct dropper *dropper, uint32_t index)
{
	while (index != POOL_NONE) {
		struct request *request = &dropper->requests[index];

		index = request->next; /* before somebody else has the request */
		dropper->dropped(dropper->arg, request);
		atomic_fetch_sub(&dropper->fs->drops, 1);
	}
}

/* Makes the drops that nobody waits for. */
static void pay(struct dropper *dropper)
{
	struct inode_table *inodes = &dropper->fs->inodes;
	uint64_t nodeids[BATCH];
	uint32_t hand = 0, count;

	if (!atomic_exchange(&dropper->owes, false))
		return;
	do {
		count = inode_collect_owing(inodes, &hand, nodeids, BATCH);
		for (uint32_t i = 0; i < count; i++)
			(void)fuse_notify_data(inodes->session_fd, nodeids[i], 0, 0);
	} while (count == BATCH);
	atomic_fetch_sub(&dropper->fs->drops, 1);
}

void dropper_run(struct dropper *dropper)
{
	while (!atomic_load(&dropper->stopping) || atomic_load(&dropper->fs->drops) > 0) {
		uint32_t index;

		if (sem_wait(&dropper->work) < 0)
			continue; /* EINTR */
		index = atomic_exchange(&dropper->head, POOL_NONE);
		make_all(dropper, index);
		answer_all(dropper, index);
		pay(dropper);
	}
}

void dropper_stop(struct dropper *dropper)
{
	atomic_store(&dropper->stopping, true);
	tell(dropper);
}
