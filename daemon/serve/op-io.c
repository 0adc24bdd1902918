/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/op-io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/macro.h"
#include "base/stats.h"
#include "handlers/call.h"
#include "handlers/op-meta.h"
#include "handlers/op-zone.h"
#include "serve/engine.h"
#include "serve/gate.h"
#include "serve/request.h"
#include "serve/sync-group.h"
#include "store/cached-open.h"
#include "store/fs.h"
#include "store/prealloc.h"

static struct io *io_row(struct op_io *io, const struct request *request)
{
	return &io->engine->ios[request->index];
}

/* All four argument structs begin with the file handle. */
static uint64_t handle_of(const void *arg)
{
	return *(const uint64_t *)arg;
}

/* Fills ROW, except for the engine's ticket. */
static void set_row(struct io *row, const struct io *fill)
{
	uint64_t ticket = row->ticket;

	*row = *fill;
	row->ticket = ticket;
}

static struct inode *inode_of(const struct op_io *io, const struct file *file)
{
	return inode_at(&io->fs->inodes, file->inode);
}

/* The inode that the kernel knows the file as. The page cache above belongs to it. */
static struct inode *known_of(const struct op_io *io, const struct file *file)
{
	return inode_at(&io->fs->inodes, file->known);
}

static struct zone *zone_of(const struct op_io *io, const struct file *file)
{
	return &inode_of(io, file)->zone;
}

static int start(struct op_io *io, struct request *request)
{
	/* in this order: a request in state IO has its ticket (engine_is_over()) */
	engine_submit(io->engine, request->index);
	request_move(request, REQUEST_IO);
	return OP_IO_STARTED;
}

/*
 * Chooses the descriptor for LEN bytes at OFF: the direct one if they are aligned for it, else its
 * buffered twin. The payload is page-aligned, which satisfies every dio_mem_align that an open
 * accepts (op-open.c).
 */
static void aim(struct op_io *io, struct io *row, const struct file *file, uint64_t off,
		uint64_t len)
{
	bool aligned = file->dio_off_align && is_aligned(off | len, file->dio_off_align);

	row->off = off;
	row->len = len;
	row->fd = file->fd;
	row->align = aligned ? file->dio_off_align : 0;
	if (file->dio_off_align && !aligned) {
		row->fd = file->buffered_fd;
		stat_add(&io->stats->buffered, 1);
	}
}

/*
 * Enters the gate of FILE for REQUEST. Returns 0, or OP_IO_PARKED. If the mount isn't cache=none,
 * all writes go through the page cache, and there is nothing to keep apart.
 */
static int enter_gate(struct op_io *io, struct request *request, const struct file *file,
		      enum gate_kind kind)
{
	if (io->fs->cache != CACHE_NONE || gate_enter(io->gates, file->inode, kind, request))
		return 0;
	return OP_IO_PARKED;
}

static void leave_gate(struct op_io *io, struct request *request)
{
	if (request->in_gate)
		gate_leave(io->gates, request);
}

/*
 * Whether a request goes around the page cache above. Only such requests have a LOCKOWNER flag
 * (fuse_direct_io() in fs/fuse/file.c). The flag tells a loop device with direct I/O from others
 * that have opened FILE without O_DIRECT, and a mapping from the descriptor that was mapped.
 */
static bool goes_around(const struct op_io *io, struct file *file, bool has_owner)
{
	cached_open_note(known_of(io, file), file, has_owner);
	return has_owner;
}

static int start_read(struct op_io *io, struct request *request, struct file *file,
		      const struct fuse_read_in *in, uint32_t *ret_body_len)
{
	struct io *row = io_row(io, request);

	stat_add(&io->stats->reads, 1);
	(void)goes_around(io, file, in->read_flags & FUSE_READ_LOCKOWNER);
	if (in->size == 0)
		return 0;
	set_row(row, &(struct io){ .op = IO_READ, .buf_off = request->buf_off });
	aim(io, row, file, in->offset, in->size);
	if (request->is_whole)
		return op_io_finish(io, request, in->size, ret_body_len);
	return start(io, request);
}

/*
 * Whether the caller is a user other than root. The kernel's writeback of a shared mapping has no
 * caller (FUSE_INVALID_UIDGID). Its room was promised when the page was written to.
 */
static bool is_user(const struct fuse_in_header *in)
{
	return in->uid != 0 && in->uid != UINT32_MAX;
}

static void prepare_write(struct op_io *io, const struct request *request, const struct file *file,
			  const struct call *call)
{
	const struct fuse_write_in *in = call->arg;
	struct io *row = io_row(io, request);

	set_row(row, &(struct io){ .op = IO_WRITE, .buf_off = request->buf_off });
	aim(io, row, file, in->offset, in->size);
	if (is_user(call->in))
		row->identity = IO_AS_USER;
	else if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		row->identity = IO_WITHOUT_FSETID;
	/* RWF_SYNC and RWF_DSYNC of one write come as if the descriptor had O_SYNC or O_DSYNC */
	if ((in->flags & O_SYNC) == O_SYNC)
		row->flags |= IO_SYNC;
	if (io->fs->cache == CACHE_WRITETHROUGH || request->zoned || (in->flags & O_DSYNC))
		row->flags |= IO_DSYNC;
}

/*
 * Has the row of REQUEST's write allocate blocks first, if that is due (prealloc.h). It helps
 * direct writes only, which then need no io_uring worker. It isn't done on filesystems mounted
 * below, because their free space isn't known. The gate has been entered, so no truncation comes in
 * between and leaves blocks beyond the end of the file.
 */
static void preallocate(struct op_io *io, const struct request *request, const struct file *file)
{
	const struct inode *inode = inode_of(io, file);
	uint64_t nodeid = inode_nodeid(&io->fs->inodes, inode);
	struct io *row = io_row(io, request);

	if (request->zoned || !row->align || !op_is_local(io->fs, inode))
		return;
	(void)prealloc_is_due(&io->fs->prealloc, inode, nodeid, row->off, row->len, &row->alloc_off,
			      &row->alloc_len); /* if it isn't due, both stay 0 */
}

/* REQUEST's write has entered its gate. */
static int go_on_with_write(struct op_io *io, struct request *request, const struct file *file)
{
	preallocate(io, request, file);
	return start(io, request);
}

/*
 * Whether CALL may clear set-id bits of FILE that the kernel knows of: a write by a user other than
 * root does. This takes the caller's groups, and the kernel has to be told, so a worker does it.
 */
static bool may_clear_setid(const struct op_io *io, const struct file *file,
			    const struct call *call, bool asked)
{
	return (asked || is_user(call->in)) && atomic_load(&inode_of(io, file)->setid) &&
	       !zone_is_file(zone_of(io, file));
}

/* Makes the answer to a WRITE of which LEN bytes were written. */
static int answer_write(struct op_io *io, struct request *request, uint32_t len,
			uint32_t *ret_body_len)
{
	struct fuse_write_out *out = request_short_body(io->engine->arena, request);

	*out = (struct fuse_write_out){ .size = len };
	*ret_body_len = sizeof(*out);
	return 0;
}

static int start_write(struct op_io *io, struct request *request, struct file *file,
		       const struct call *call, uint32_t *ret_body_len)
{
	const struct fuse_write_in *in = call->arg;
	struct zone *zone = zone_of(io, file);
	enum gate_kind kind;

	stat_add(&io->stats->writes, 1);
	request->around = goes_around(io, file, in->write_flags & FUSE_WRITE_LOCKOWNER);
	if (!request->around)
		cached_open_written(known_of(io, file), file);
	if (in->size == 0)
		return answer_write(io, request, 0, ret_body_len);
	if (zone_is_file(zone)) {
		/* the process that had begun with it has died: has the zone heard of it? */
		if (request->inherited && request->zoned &&
		    zone_has_written(zone, in->offset, in->size))
			return answer_write(io, request, in->size, ret_body_len);
		if (zone_write_begin(zone, in->offset, in->size) < 0)
			return op_zone_refused(io->fs, -EIO);
	}
	KILL_FENCE(); /* a zoned request is one that its zone knows of */
	request->zoned = zone_is_file(zone);
	/* what is there can't be synced again as it was (op-setid.c) */
	if (request->inherited && request->sync_error && (file->flags & O_APPEND))
		return request->sync_error;
	/* to a file that only grows, what is written again comes behind what was written */
	if (may_clear_setid(io, file, call, in->write_flags & FUSE_WRITE_KILL_SUIDGID) ||
	    (request->inherited && !request->is_whole && (file->flags & O_APPEND)))
		return OP_IO_WORKER;
	prepare_write(io, request, file, call);
	if (request->is_whole)
		return op_io_finish(io, request, in->size, ret_body_len);
	kind = io_row(io, request)->align ? GATE_DIRECT : GATE_CACHED;
	if (enter_gate(io, request, file, kind) == OP_IO_PARKED)
		return OP_IO_PARKED;
	return go_on_with_write(io, request, file);
}

/*
 * Tells FILE's inode if REQUEST's sync has failed, once, whichever process does it. A directory's
 * openers have descriptors of their own. In a zone, nothing is ever left to sync.
 */
static void record_error(struct fs *fs, struct request *request, const struct file *file)
{
	if (!request->sync_error || request->is_recorded || file->directory || request->zoned)
		return;
	if (request->opcode == FUSE_WRITE && !file_took_sync_error(file, request->sync_error))
		return;
	inode_record_error(inode_at(&fs->inodes, file->inode), request->sync_error);
	request->is_recorded = true;
	KILL_FENCE();
}

void op_io_record_error(struct fs *fs, struct request *request, const struct fuse_in_header *in)
{
	const struct file *file = file_get(&fs->files, handle_of(in + 1));

	if (file && in->opcode != FUSE_FALLOCATE) /* which syncs zones only */
		record_error(fs, request, file);
}

/*
 * A failed flush has lost data of everybody who wrote, but the kernel tells only the descriptor
 * that asked. So all openers of an inode share one descriptor for it, and each is told once here
 * (S11).
 */
static int answer_fsync(struct op_io *io, struct request *request, struct file *file)
{
	int r;

	if (file->directory)
		return request->sync_error; /* each opener has a descriptor of its own */
	/* if the process dies now, the opener is told all the same */
	progress_begin(&request->progress, NULL, 0);
	r = file_report_error(&io->fs->files, file);
	progress_end();
	/* if another thread of this opener was told of it, this flush has failed all the same */
	return r ? r : request->sync_error;
}

/* REQUEST's sync is complete: with its sync_error, or well. */
static int finish_fsync(struct op_io *io, struct request *request)
{
	struct file *file = file_get(&io->fs->files, request->fh);

	if (file)
		record_error(io->fs, request, file);
	if (request->in_gate && !sync_group_leave(io->gates, request))
		return OP_IO_PARKED;
	/* RELEASE waits for its requests, or the kernel has broken that */
	return file ? answer_fsync(io, request, file) : -EBADF;
}

static int start_fsync(struct op_io *io, struct request *request, struct file *file,
		       const struct fuse_fsync_in *in)
{
	stat_add(&io->stats->syncs, 1);
	/* a dead process has done it, and all errors of its syncs were recorded (takeover.c) */
	if (request->sync_error || request->is_whole)
		return answer_fsync(io, request, file);
	if (!file->directory)
		sync_group_join(io->gates, file->inode, request);
	set_row(io_row(io, request),
		&(struct io){
			.op = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? IO_FDATASYNC : IO_FSYNC,
			.fd = file_fsync_fd(&io->fs->files, file),
		});
	return start(io, request);
}

static int start_fallocate(struct op_io *io, struct request *request, const struct file *file,
			   const struct call *call)
{
	const struct fuse_fallocate_in *in = call->arg;
	const struct zone *zone = zone_of(io, file);

	stat_add(&io->stats->allocates, 1);
	if (request->sync_error)
		return request->sync_error;
	if (zone_is_file(zone) && zone_allocate(zone, in->mode, in->offset, in->length) < 0)
		return op_zone_refused(io->fs, -EIO);
	/* whether root has CAP_FSETID is what the kernel tells of writes only */
	if (may_clear_setid(io, file, call, true))
		return OP_IO_WORKER;
	set_row(io_row(io, request),
		&(struct io){
			.op = IO_FALLOCATE,
			.fd = file->fd,
			.flags = zone_is_file(zone) ? IO_DSYNC : 0,
			.identity = is_user(call->in) ? IO_AS_USER : IO_AS_SELF,
			.mode = in->mode,
			.off = in->offset,
			.len = in->length,
		});
	return start(io, request);
}

int op_io_start(struct op_io *io, struct request *request, const struct call *call,
		uint32_t *ret_body_len)
{
	uint64_t fh = handle_of(call->arg);
	struct file *file = file_get(&io->fs->files, fh);

	*ret_body_len = 0;
	if (!file || file->directory != (request->opcode == FUSE_FSYNCDIR))
		return -EBADF;
	request->fh = fh;
	request->moved = 0;

	switch (request->opcode) {
	case FUSE_READ:
		return start_read(io, request, file, call->arg, ret_body_len);
	case FUSE_WRITE:
		return start_write(io, request, file, call, ret_body_len);
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		return start_fsync(io, request, file, call->arg);
	case FUSE_FALLOCATE:
		return start_fallocate(io, request, file, call);
	}
	return -ENOSYS;
}

int op_io_resume(struct op_io *io, struct request *request)
{
	struct file *file = file_get(&io->fs->files, request->fh);

	assert(file); /* RELEASE waits for its requests */
	if (request->opcode == FUSE_FSYNC)
		return answer_fsync(io, request, file);
	return go_on_with_write(io, request, file);
}

_Static_assert(offsetof(struct fuse_read_in, fh) == 0 && offsetof(struct fuse_write_in, fh) == 0 &&
		       offsetof(struct fuse_fsync_in, fh) == 0 &&
		       offsetof(struct fuse_fallocate_in, fh) == 0,
	       "handle_of()");

static int finish_fallocate(struct op_io *io, const struct request *request, int64_t result)
{
	const struct file *file = file_get(&io->fs->files, request->fh);
	const struct io *row = io_row(io, request);

	if (result < 0)
		return (int)result;
	if (file && (row->mode & FALLOC_FL_PUNCH_HOLE))
		inode_note_hole(inode_of(io, file));
	return 0;
}

/* Tells a zone of the RESULT of its write. Returns whether the zone has to be repaired first. */
static bool write_needs_repair(struct op_io *io, const struct request *request, int64_t result)
{
	const struct file *file = file_get(&io->fs->files, request->fh);
	const struct io *row = io_row(io, request);

	if (!request->zoned ||
	    !file) /* RELEASE waits for its requests, or the kernel has broken that */
		return false;
	return zone_write_end(zone_of(io, file), request->moved + row->len, result, row->error);
}

/*
 * Whether direct I/O can't go on: the filesystem needs a coarser alignment than it had announced,
 * or a write ended at an unaligned offset. Buffered I/O takes any alignment.
 */
static bool must_go_on_cached(const struct io *row, const struct file *file, int64_t result)
{
	if (!row->align || file->buffered_fd < 0)
		return false;
	return row->error == -EINVAL ||
	       (row->op == IO_WRITE && !row->error && result >= 0 && (uint64_t)result < row->len);
}

/* The rest of REQUEST, of which RESULT has been done, goes through the page cache. */
static int go_on_cached(struct op_io *io, struct request *request, const struct file *file,
			int64_t result)
{
	struct io *row = io_row(io, request);
	uint32_t moved = (uint32_t)MAX(result, 0);

	stat_add(&io->stats->buffered, 1);
	request->moved += moved;
	row->buf_off += moved;
	row->off += moved;
	row->len -= moved;
	row->fd = file->buffered_fd;
	row->align = 0;
	row->alloc_len = 0;
	if (row->op == IO_WRITE) {
		leave_gate(io, request);
		if (enter_gate(io, request, file, GATE_CACHED) == OP_IO_PARKED)
			return OP_IO_PARKED;
	}
	return start(io, request);
}

/* A READ or WRITE is complete with RESULT. */
static int finish_move(struct op_io *io, struct request *request, int64_t result,
		       uint32_t *ret_body_len)
{
	const struct file *file = file_get(&io->fs->files, request->fh);
	uint32_t moved = request->moved; /* before this row */

	if (file && must_go_on_cached(io_row(io, request), file, result))
		return go_on_cached(io, request, file, result);
	leave_gate(io, request);
	/* what did move is reported; the error shows again when the rest is asked for */
	if (moved)
		result = moved + MAX(result, 0);
	if (request->opcode == FUSE_READ) {
		if (result < 0)
			return (int)result;
		stat_add(&io->stats->read_bytes, (uint64_t)result);
		*ret_body_len = (uint32_t)result;
		return 0;
	}
	if (write_needs_repair(io, request, result))
		return OP_IO_WORKER;
	if (file)
		record_error(io->fs, request, file);
	if (result < 0)
		return (int)result;
	stat_add(&io->stats->write_bytes, (uint64_t)result);
	if (request->around && result > 0 && file)
		request->drops = cached_open_written_around(&io->fs->inodes, known_of(io, file),
							    io_row(io, request)->off - moved,
							    (uint64_t)result, &request->drop);
	return answer_write(io, request, (uint32_t)result, ret_body_len);
}

int op_io_finish(struct op_io *io, struct request *request, int64_t result, uint32_t *ret_body_len)
{
	*ret_body_len = 0;
	switch (request->opcode) {
	case FUSE_READ:
	case FUSE_WRITE:
		return finish_move(io, request, result, ret_body_len);
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		return finish_fsync(io, request);
	case FUSE_FALLOCATE:
		return finish_fallocate(io, request, result);
	}
	return -ENOSYS;
}
