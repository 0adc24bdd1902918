/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cached opens: files that clients have opened through the page cache of the kernel above us.
 *
 * All who open a file without O_DIRECT share that cache with its mappings, because a write(2)
 * that went around it and a store to the same page would undo each other. The kernel keeps the
 * cache true to the writes that go through it, and to synchronous direct ones, as all of these
 * hold the inode's lock. Two things are left to us:
 *
 *   - What was changed behind the mount, or by a direct write, is seen by the next one to open
 *     the file: each open compares the file's size and mtime with what they were when the last
 *     one was opened or flushed, and has the kernel drop the cache where they differ. The kernel
 *     itself never drops it (FOPEN_KEEP_CACHE), because while a write is under way that would let
 *     a reader bring back the old page, and the old page would stay. For the same reason nothing
 *     is dropped while a file is written to, which is from its first WRITE to the FLUSH of the
 *     descriptor that wrote.
 *   - An asynchronous direct write, as by a loop device, holds no lock while it is under way, and
 *     a reader may cache the old page meanwhile. So where others only read a file through the
 *     cache, its direct writes end with a notification that drops their pages.
 *
 * A loop device opens its file like anybody, and shows by its requests that it goes around the
 * cache; its open doesn't count from then on.
 */
#ifndef CAISSON_CACHED_OPEN_H
#define CAISSON_CACHED_OPEN_H

#include <stdbool.h>
#include <stdint.h>

struct file;
struct inode;
struct inode_table;

/*
 * FILE is about to be open on INODE through the cache, which is made true to the backing file:
 * returns true. Or false: another file's cache is being dropped, and the kernel is to drop this
 * one itself, without FOPEN_KEEP_CACHE. May wait for READs and WRITEs of this file: a metadata
 * worker, in no gate.
 */
bool cached_open_begin(const struct inode_table *table, struct inode *inode, struct file *file);

/* FILE has been found to go around the cache, or is closed. Any thread, doesn't block. */
void cached_open_end(struct inode *inode, struct file *file);

/* A WRITE has come through the cache by FILE. Any thread, doesn't block. */
void cached_open_written(struct inode *inode, struct file *file);

/* FILE has been flushed, or is about to be closed: all that it wrote is there. A worker. */
void cached_open_flushed(struct inode *inode, struct file *file);

/*
 * Has the kernel drop what it has cached of LEN bytes at OFF of INODE; or, where another cache is being
 * dropped just now, all of it at the next open. A metadata worker, in no gate.
 */
void cached_open_drop(const struct inode_table *table, struct inode *inode, uint64_t off,
		      uint64_t len);

/* Whether INODE is open through the cache, and by none who may write. Any thread, doesn't block. */
bool cached_open_readers_only(const struct inode *inode);

#endif
