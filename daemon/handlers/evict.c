/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/evict.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fuse-kernel.h"
#include "base/macro.h"
#include "store/fs.h"

/* Inodes that one notification names. */
#define BATCH 256u

/*
 * After asking, milliseconds until the next time at the earliest. What was given back comes as
 * FORGET through the workers: asking for the same again meanwhile helps nobody. Where nothing has
 * come, everything is in use, and looking through the table over and over would only take time.
 */
#define PAUSE_MS      1
#define LONG_PAUSE_MS 100

/* Of the search through the table: the first may only find what was warm. */
#define ROUNDS 2

int evict_init(struct evict *evict, struct fs *fs)
{
	int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (stop_fd < 0)
		return -errno;
	*evict = (struct evict){ .fs = fs, .stop_fd = stop_fd };
	atomic_store(&fs->inodes.evictable, true);
	return 0;
}

void evict_destroy(struct evict *evict)
{
	close_fd(&evict->stop_fd);
}

void evict_stop(struct evict *evict)
{
	uint64_t one = 1;

	(void)!write(evict->stop_fd, &one, sizeof(one)); /* a counter far from its end */
}

static int ask(int dev_fd, const uint64_t *nodeids, uint32_t count)
{
	struct {
		struct fuse_out_header header;
		struct caisson_fuse_notify_prune_out prune;
		uint64_t nodeids[BATCH];
	} message;
	size_t len = offsetof(__typeof__(message), nodeids) + count * sizeof(*nodeids);

	/* a notification is a reply to nobody: unique 0, and its code where the error would be */
	message.header = (struct fuse_out_header){
		.len = (uint32_t)len,
		.error = CAISSON_FUSE_NOTIFY_PRUNE,
	};
	message.prune = (struct caisson_fuse_notify_prune_out){ .count = count };
	memcpy(message.nodeids, nodeids, count * sizeof(*nodeids));
	return write(dev_fd, &message, len) < 0 ? -errno : 0;
}

static int ask_for_an_eighth(struct evict *evict, int dev_fd)
{
	struct inode_table *table = &evict->fs->inodes;
	uint32_t left = atomic_load(&table->used) / 8 + 1;
	uint64_t nodeids[BATCH];
	int r;

	for (unsigned round = 0; left && round < ROUNDS;) {
		uint32_t max = MIN(left, BATCH);
		uint32_t count = inode_collect_idle(table, &evict->hand, nodeids, max);

		if (count) {
			r = ask(dev_fd, nodeids, count);
			if (r < 0)
				return r;
			atomic_fetch_add(&evict->asked, count);
		}
		left -= count;
		if (count < max) /* all the way round */
			round++;
	}
	return 0;
}

/*
 * Waits until FD (-1: none) is readable or TIMEOUT_MS (-1: no end) have passed. Returns whether to
 * go on: not when told to stop.
 */
static bool wait_for(struct evict *evict, int fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = evict->stop_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), timeout_ms) < 0 && errno == EINTR)
		;
	return !fds[0].revents;
}

void evict_run(struct evict *evict, int dev_fd)
{
	struct inode_table *table = &evict->fs->inodes;
	uint64_t freed, times;

	while (wait_for(evict, table->pressure_fd, -1)) {
		(void)!read(table->pressure_fd, &times, sizeof(times)); /* told once is enough */
		freed = atomic_load(&table->freed);
		if (ask_for_an_eighth(evict, dev_fd) < 0)
			break; /* -EINVAL: no such notification; -ENODEV: no such mount any more */
		if (!wait_for(evict, -1, PAUSE_MS))
			return;
		if (atomic_load(&table->freed) == freed && !wait_for(evict, -1, LONG_PAUSE_MS))
			return;
		/*
		 * From here on, the next look-up that finds room short tells so again. One until now
		 * was taken for told: where something has come back and room is short all the same,
		 * ask on its behalf.
		 */
		inode_relieve(table);
		if (atomic_load(&table->freed) != freed && inode_is_pressed(table))
			inode_press(table);
	}
	atomic_store(&table->evictable, false);
	(void)wait_for(evict, -1, -1);
}
