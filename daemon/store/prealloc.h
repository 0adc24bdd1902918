/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preallocation (extent_size_hint=): blocks of sparse files are allocated before they are written
 * to.
 *
 * A write into a hole makes the backing filesystem allocate blocks. io_uring hands such a write to
 * a worker, and the filesystem takes them one after the other. So once a sixteenth of a piece of a
 * file with holes has been written, the whole piece is allocated (fallocate() with
 * FALLOC_FL_KEEP_SIZE), and later writes find blocks. A lone write, as mkfs scatters them over a
 * large image, takes no more room than it needs. Nothing is preallocated while the backing
 * filesystem is nearly full.
 *
 * A table of fixed size, a row by hash, has the pieces that have been written to. If two pieces
 * want one row, the later has it, and the earlier may be allocated again, or late. The table is a
 * hint: any row may be forgotten at any time.
 */
#ifndef CAISSON_PREALLOC_H
#define CAISSON_PREALLOC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct arena;
struct inode;

struct prealloc {
	/* in the arena: of a piece that was written to a part of its hash, and how much */
	_Atomic uint32_t *rows;
	uint64_t piece_len; /* bytes; 0: nothing is allocated ahead */
	_Atomic bool roomy; /* as of the last prealloc_look() */
};

/* Plans ARENA_PREALLOC, without rows where PIECE_LEN is 0. 0 or -EOVERFLOW. */
int prealloc_plan(struct arena *arena, uint64_t piece_len);

/*
 * PREALLOC with the table of the created ARENA, which it only refers to. prealloc_look() is due
 * next.
 */
void prealloc_init(struct prealloc *prealloc, const struct arena *arena, uint64_t piece_len);

/*
 * Looks whether the filesystem of ROOT_FD has room for more than it was asked for: a sixteenth of
 * it, and many pieces. To be called each second: by one thread, which may wait for that filesystem.
 */
void prealloc_look(struct prealloc *prealloc, int root_fd);

/*
 * Notes a write of LEN bytes at OFF to INODE, whose nodeid is NODEID. True where its piece is to be
 * allocated before it, from *RET_OFF on *RET_LEN bytes: for one of all who ask. Any thread, no
 * lock.
 */
bool prealloc_is_due(const struct prealloc *prealloc, const struct inode *inode, uint64_t nodeid,
		     uint64_t off, uint64_t len, uint64_t *ret_off, uint64_t *ret_len);

#endif
