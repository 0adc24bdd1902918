/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/prealloc.h"

#include <sys/vfs.h>

#include "base/arena.h"
#include "base/macro.h"
#include "store/inode.h"

/* The table has as many rows as fill 1 MiB. */
#define ROWS_LOG2 18

/*
 * Row: 24-bit hash tag, 8-bit count of 1/256 parts written (255 = allocated). Parts that are
 * written twice count twice.
 */
#define WRITTEN_MASK 0xffu
#define PIECE_PARTS  256u
#define DONE	     WRITTEN_MASK

/* A piece is allocated at a sixteenth, so a file takes at most 16 times the space it needs. */
#define DUE_PARTS 16u

/*
 * A sixteenth of the filesystem and 64 pieces must be free. This should be much more than all
 * threads can allocate between two calls of prealloc_look().
 */
#define FREE_SHARE  16
#define FREE_PIECES 64

int prealloc_plan(struct arena *arena, uint64_t piece_len)
{
	return arena_plan(arena, ARENA_PREALLOC, sizeof(uint32_t), piece_len ? 1u << ROWS_LOG2 : 0,
			  CACHE_LINE_BYTES);
}

void prealloc_init(struct prealloc *prealloc, const struct arena *arena, uint64_t piece_len)
{
	*prealloc = (struct prealloc){
		.rows = arena_table(arena, ARENA_PREALLOC),
		.piece_len = piece_len,
	};
}

void prealloc_look(struct prealloc *prealloc, int root_fd)
{
	struct statfs st;
	bool roomy = false;

	if (!prealloc->piece_len)
		return;
	if (fstatfs(root_fd, &st) == 0)
		roomy = st.f_bavail >= st.f_blocks / FREE_SHARE &&
			st.f_bavail / FREE_PIECES >= prealloc->piece_len / (uint64_t)st.f_bsize;
	atomic_store_explicit(&prealloc->roomy, roomy, memory_order_relaxed);
}

bool prealloc_is_due(const struct prealloc *prealloc, const struct inode *inode, uint64_t nodeid,
		     uint64_t off, uint64_t len, uint64_t *ret_off, uint64_t *ret_len)
{
	uint64_t known_len, begin, hash;
	uint32_t seen, tag, parts;
	_Atomic uint32_t *row;

	if (len >= prealloc->piece_len ||
	    !atomic_load_explicit(&prealloc->roomy, memory_order_relaxed) ||
	    !atomic_load_explicit(&inode->thin, memory_order_relaxed))
		return false;
	known_len = atomic_load_explicit(&inode->known_len, memory_order_relaxed);
	if (off >= known_len)
		return false; /* the write extends the file, and its final size is unknown */

	begin = off - off % prealloc->piece_len;
	hash = mix_bits(nodeid) + atomic_load_explicit(&inode->holes, memory_order_relaxed);
	hash = mix_bits(mix_bits(hash) + begin);
	row = &prealloc->rows[hash & ((1u << ROWS_LOG2) - 1)];
	tag = (uint32_t)(hash >> 32) & ~WRITTEN_MASK;
	seen = atomic_load_explicit(row, memory_order_relaxed);
	if (seen == (tag | DONE))
		return false;
	parts = (uint32_t)((len * PIECE_PARTS + prealloc->piece_len - 1) / prealloc->piece_len);
	parts = MIN(parts, DUE_PARTS);
	if ((seen & ~WRITTEN_MASK) != tag) {
		atomic_store_explicit(row, tag | parts, memory_order_relaxed);
		return false;
	}
	parts += seen & WRITTEN_MASK;
	if (parts < DUE_PARTS) {
		atomic_store_explicit(row, tag | parts, memory_order_relaxed);
		return false;
	}
	if (!atomic_compare_exchange_strong(row, &seen, tag | DONE))
		return false;
	*ret_off = begin;
	*ret_len = MIN(prealloc->piece_len, known_len - begin);
	return true;
}
