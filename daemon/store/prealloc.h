/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preallocation (extent_size_hint=) allocates blocks of sparse files before they are written to.
 *
 * A write into a hole makes the backing filesystem allocate blocks. io_uring hands such a write to
 * a worker, and the filesystem carries out these writes one after the other. So a file with holes
 * is divided into pieces. Once a sixteenth of a piece has been written, the whole piece is
 * allocated (fallocate() with FALLOC_FL_KEEP_SIZE), and later writes find blocks. A lone write
 * takes no more space than it needs; mkfs scatters such writes over a large image. Nothing is
 * preallocated while the backing filesystem is nearly full.
 *
 * A hash table of fixed size has a row for each piece that is being written. If two pieces have the
 * same row, the later one takes it, and the earlier one may be allocated late or twice. This is
 * harmless: the table is only a hint, and any row may be lost at any time.
 */
#ifndef CAISSON_PREALLOC_H
#define CAISSON_PREALLOC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct arena;
struct inode;

struct prealloc {
	_Atomic uint32_t *rows; /* in the arena; see WRITTEN_MASK in prealloc.c */
	uint64_t piece_len;	/* bytes; 0: nothing is preallocated */
	_Atomic bool roomy;	/* there was space enough at the last prealloc_look() */
};

/* Plans ARENA_PREALLOC, which has no rows if PIECE_LEN is 0. Returns 0 or -EOVERFLOW. */
int prealloc_plan(struct arena *arena, uint64_t piece_len);

/*
 * Initialises PREALLOC with the table of the created ARENA, which it doesn't own. Nothing is
 * preallocated until prealloc_look() was called.
 */
void prealloc_init(struct prealloc *prealloc, const struct arena *arena, uint64_t piece_len);

/*
 * Finds out whether the filesystem of ROOT_FD has space to preallocate: a sixteenth of it must be
 * free, and many pieces. To be called every second by one thread, which may wait for the
 * filesystem.
 */
void prealloc_look(struct prealloc *prealloc, int root_fd);

/*
 * Notes a write of LEN bytes at OFF to INODE, whose nodeid is NODEID. Returns true if the caller is
 * to allocate *RET_LEN bytes at *RET_OFF before the write. If several threads ask at once, only one
 * of them is told to. Any thread, no lock.
 */
bool prealloc_is_due(const struct prealloc *prealloc, const struct inode *inode, uint64_t nodeid,
		     uint64_t off, uint64_t len, uint64_t *ret_off, uint64_t *ret_len);

#endif
