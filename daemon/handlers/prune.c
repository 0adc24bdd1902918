/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/prune.h"

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

/* The largest number of inodes in one notification. */
#define BATCH 256u

/*
 * Pauses after a notification, in milliseconds. The inodes come back as FORGET through the workers,
 * so to ask again at once would name the same ones. If none has come back, all are in use, and a
 * longer pause keeps the thread from searching the table in vain.
 */
#define PAUSE_MS      1
#define LONG_PAUSE_MS 100

/* Rounds through the table. The first one passes over inodes that were used recently. */
#define ROUNDS 2

int prune_init(struct prune *prune, struct fs *fs)
{
	int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (stop_fd < 0)
		return -errno;
	*prune = (struct prune){ .fs = fs, .stop_fd = stop_fd };
	atomic_store(&fs->inodes.prunable, true);
	return 0;
}

void prune_destroy(struct prune *prune)
{
	close_fd(&prune->stop_fd);
}

void prune_stop(struct prune *prune)
{
	uint64_t one = 1;

	(void)!write(prune->stop_fd, &one, sizeof(one)); /* the counter can't overflow */
}

static int ask(int dev_fd, const uint64_t *nodeids, uint32_t count)
{
	struct {
		struct fuse_out_header header;
		struct caisson_fuse_notify_prune_out prune;
		uint64_t nodeids[BATCH];
	} message;
	size_t len = offsetof(__typeof__(message), nodeids) + count * sizeof(*nodeids);

	/* a notification looks like a reply with unique 0 and its code in place of the error */
	message.header = (struct fuse_out_header){
		.len = (uint32_t)len,
		.error = CAISSON_FUSE_NOTIFY_PRUNE,
	};
	message.prune = (struct caisson_fuse_notify_prune_out){ .count = count };
	memcpy(message.nodeids, nodeids, count * sizeof(*nodeids));
	return write(dev_fd, &message, len) < 0 ? -errno : 0;
}

static int ask_for_an_eighth(struct prune *prune, int dev_fd)
{
	struct inode_table *table = &prune->fs->inodes;
	uint32_t left = atomic_load(&table->used) / 8 + 1;
	uint64_t nodeids[BATCH];
	int r;

	for (unsigned round = 0; left && round < ROUNDS;) {
		uint32_t max = MIN(left, BATCH);
		uint32_t count = inode_collect_idle(table, &prune->hand, nodeids, max);

		if (count) {
			r = ask(dev_fd, nodeids, count);
			if (r < 0)
				return r;
			atomic_fetch_add(&prune->asked, count);
		}
		left -= count;
		if (count < max) /* the search has seen every row */
			round++;
	}
	return 0;
}

/*
 * Waits until FD is readable, for at most TIMEOUT_MS. An FD of -1 is ignored; a TIMEOUT_MS of -1
 * means no limit. Returns false if the thread has to stop.
 */
static bool wait_for(struct prune *prune, int fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = prune->stop_fd, .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), timeout_ms) < 0 && errno == EINTR)
		;
	return !fds[0].revents;
}

void prune_run(struct prune *prune, int dev_fd)
{
	struct inode_table *table = &prune->fs->inodes;
	uint64_t freed, times;

	while (wait_for(prune, table->pressure_fd, -1)) {
		/* the count doesn't matter */
		(void)!read(table->pressure_fd, &times, sizeof(times));
		freed = atomic_load(&table->freed);
		if (ask_for_an_eighth(prune, dev_fd) < 0)
			break; /* -EINVAL: unknown notification; -ENODEV: the mount is gone */
		if (!wait_for(prune, -1, PAUSE_MS))
			return;
		if (atomic_load(&table->freed) == freed && !wait_for(prune, -1, LONG_PAUSE_MS))
			return;
		/*
		 * From here on a look-up that finds room short calls inode_press() again. Earlier
		 * ones didn't, because the table was pressed already. So if inodes have come back
		 * and room is still short, press on their behalf.
		 */
		inode_relieve(table);
		if (atomic_load(&table->freed) != freed && inode_is_pressed(table))
			inode_press(table);
	}
	atomic_store(&table->prunable, false);
	(void)wait_for(prune, -1, -1);
}
