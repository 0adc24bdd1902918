/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dropper: a thread that has the kernel drop pages that it has cached, and then sends the
 * answer that waits for it (cached-open.h says when that is due).
 *
 * It is a thread of its own because the kernel, with a page that it is to drop, waits for the READ
 * that has the page locked, and first writes the page if it is dirty. So nothing that READs and
 * WRITEs need may depend on this thread (S5), and a request that waits here has left its gate. It
 * does keep its slot, or its entry of a CPU's ring. So at most max_waiting requests wait at a
 * time, which leaves slots for others, and none waits whose CPU has few entries.
 *
 * Direct writes may have half of the places. One busy writer of any file would otherwise take them
 * all, and opens could not wait. An open that can't wait is unsafe: its file's pages are dropped
 * while it may already write, which might bring an old page back beside its WRITE. A request that
 * finds no place is answered at once. All pages of its inode are dropped as soon as the thread has
 * done what waits, unless somebody may write to them by then. Until that a reader may find an old
 * page.
 *
 * A drop may take as long as the backing filesystem is frozen. Nobody should wait for that because
 * of another file. So after DROPPER_PATIENCE_MS no further request comes to wait, and the main
 * thread answers those that do (dropper_look()).
 *
 * A request that relies on earlier drops of its inode finds inode->drops above 0 and waits here as
 * well, only for its turn, unless its own drop is still due then. One thread makes all drops, in
 * the order in which they were put.
 */
#ifndef CAISSON_DROPPER_H
#define CAISSON_DROPPER_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fs;
struct request;

#define DROPPER_PATIENCE_MS 100

struct dropper {
	struct fs *fs;
	struct request *requests; /* all that there are */
	uint32_t max_waiting;
	/* Sends the answer in REQUEST's buffer. Mustn't block. */
	void (*dropped)(void *arg, struct request *request);
	void *arg;
	_Atomic uint32_t waiting; /* requests, and 1 for the inodes that are owed a drop */
	_Atomic uint32_t put;	  /* list of the requests that were put, the newest first */
	_Atomic uint32_t taken;	  /* list of those that the thread has taken up, the oldest first */
	_Atomic int64_t since;	  /* start of the drop under way, CLOCK_MONOTONIC in ns; 0: none */
	_Atomic uint64_t nodeid;  /* inode of the drop under way */
	_Atomic bool owes;	  /* the drop_owed of some inodes is set */
	_Atomic bool stopping;
	sem_t work;
};

/* Called before its thread exists. Arguments as in the struct; MAX_WAITING may be 0. */
void dropper_init(struct dropper *dropper, struct fs *fs, struct request *requests,
		  uint32_t max_waiting, void (*dropped)(void *arg, struct request *request),
		  void *arg);
void dropper_destroy(struct dropper *dropper);

/*
 * Has REQUEST (state REPLY), whose answer stands in its own buffer, answered after request->drop.
 * Returns false if it can't wait; then the caller answers it. Settles an open to write
 * (cached_open_settle()) in either case. Doesn't block. Any thread.
 */
bool dropper_put(struct dropper *dropper, struct request *request);

/*
 * Owes a drop to each inode that clients have open through the page cache, as a process has died
 * that may have owed it. Before its thread exists.
 */
void dropper_inherit(struct dropper *dropper);

/* The body of the thread: returns after dropper_stop(). */
void dropper_run(struct dropper *dropper);

/*
 * Answers the requests that wait behind a drop that takes too long. To be called periodically.
 * Doesn't block. The main thread.
 */
void dropper_look(struct dropper *dropper);

/*
 * From now on no request waits, and those that do are answered. dropper_run() returns when the drop
 * under way is over. The queues still serve. The main thread.
 */
void dropper_stop(struct dropper *dropper);

#endif
