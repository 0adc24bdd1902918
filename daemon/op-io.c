/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op-io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "ahead.h"
#include "arena.h"
#include "call.h"
#include "engine.h"
#include "fs.h"
#include "macro.h"
#include "op-meta.h"
#include "op-zone.h"
#include "request.h"
#include "stats.h"

static struct io *io_row(struct op_io *io, const struct request *request)
{
	return &io->engine->ios[request->index];
}

static int start(struct op_io *io, struct request *request, uint32_t *ret_body_len)
{
	int64_t result;

	if (engine_try_now(io->engine, request->index, &result))
		return op_io_finish(io, request, result, ret_body_len);
	request_move(request, REQUEST_IO);
	engine_submit(io->engine, request->index);
	return OP_IO_STARTED;
}

/*
 * Chooses the descriptor for LEN bytes at OFF: the direct one where they lie on its grid, else
 * its buffered twin. The payload is page-aligned, which satisfies every dio_mem_align that an open
 * accepts (see file.c).
 */
static void aim(struct op_io *io, struct io *row, const struct file *file, uint64_t off,
		uint64_t len)
{
	bool aligned = file->dio_off_align && is_aligned(off | len, file->dio_off_align);

	row->off = off;
	row->len = len;
	row->fd = file->fd;
	row->tail_fd = file->buffered_fd;
	row->align = aligned ? file->dio_off_align : 0;
	if (file->dio_off_align && !aligned) {
		row->fd = file->buffered_fd;
		row->tail_fd = -1;
		stat_add(&io->stats->buffered, 1);
	}
}

static struct inode *inode_of(const struct op_io *io, const struct file *file)
{
	return inode_at(&io->fs->inodes, file->inode);
}

static struct zone *zone_of(const struct op_io *io, const struct file *file)
{
	return &inode_of(io, file)->zone;
}

static int start_read(struct op_io *io, struct request *request, const struct file *file,
		      const struct fuse_read_in *in, uint32_t *ret_body_len)
{
	struct io *row = io_row(io, request);

	stat_add(&io->stats->reads, 1);
	if (in->size == 0)
		return 0;
	*row = (struct io){ .op = IO_READ, .buf_off = request->buf_off };
	aim(io, row, file, in->offset, in->size);
	return start(io, request, ret_body_len);
}

static void prepare_write(struct op_io *io, const struct request *request, const struct file *file,
			  const struct fuse_write_in *in)
{
	struct io *row = io_row(io, request);

	*row = (struct io){ .op = IO_WRITE, .buf_off = request->buf_off };
	aim(io, row, file, in->offset, in->size);
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		row->flags |= IO_KILL_PRIV;
	if (io->fs->cache == CACHE_WRITETHROUGH || request->zoned)
		row->flags |= IO_DSYNC;
}

/*
 * Where the blocks that REQUEST's write goes to are to be allocated first, with others around them: makes
 * its row do that, and write_after_allocation() is next. Of use only to what is direct, which io_uring
 * then needs no worker for. Of filesystems mounted below nobody knows how full they are.
 */
static void allocate_ahead(struct op_io *io, const struct request *request, const struct file *file)
{
	const struct inode *inode = inode_of(io, file);
	uint64_t nodeid = inode_nodeid(&io->fs->inodes, inode);
	struct io *row = io_row(io, request);
	uint64_t off, len;

	if (request->zoned || !row->align || !op_is_local(io->fs, inode) ||
	    !ahead_is_due(&io->fs->ahead, inode, nodeid, row->off, row->len, &off, &len))
		return;
	*row = (struct io){
		.op = IO_FALLOCATE,
		.fd = file->fd,
		.tail_fd = -1,
		.mode = FALLOC_FL_KEEP_SIZE,
		.off = off,
		.len = len,
	};
}

static int start_write(struct op_io *io, struct request *request, const struct file *file,
		       const struct fuse_write_in *in, uint32_t *ret_body_len)
{
	struct zone *zone = zone_of(io, file);

	stat_add(&io->stats->writes, 1);
	if (in->size == 0) {
		struct fuse_write_out *out = request_payload(io->engine->arena, request);

		*out = (struct fuse_write_out){ .size = 0 };
		*ret_body_len = sizeof(*out);
		return 0;
	}
	request->zoned = zone_is_file(zone);
	if (request->zoned && zone_write_begin(zone, in->offset, in->size) < 0)
		return op_zone_refused(io->fs, -EIO);
	prepare_write(io, request, file, in);
	allocate_ahead(io, request, file);
	return start(io, request, ret_body_len);
}

/* Where there was no room for more than the write needs, it may still find its own. */
static int write_after_allocation(struct op_io *io, struct request *request, uint32_t *ret_body_len)
{
	const struct fuse_in_header *in = request_message(io->engine->arena, request);
	const struct file *file = file_get(&io->fs->files, request->fh);

	if (!file) /* RELEASE waits for its requests: the kernel has broken that */
		return -EBADF;
	prepare_write(io, request, file, (const struct fuse_write_in *)(in + 1));
	return start(io, request, ret_body_len);
}

static int start_fsync(struct op_io *io, struct request *request, const struct file *file,
		       const struct fuse_fsync_in *in, uint32_t *ret_body_len)
{
	stat_add(&io->stats->syncs, 1);
	*io_row(io, request) = (struct io){
		.op = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? IO_FDATASYNC : IO_FSYNC,
		.fd = inode_fsync_fd(io->fs, file),
		.tail_fd = -1,
		.align = file->dio_off_align, /* little to write down where data isn't cached */
	};
	return start(io, request, ret_body_len);
}

static int start_fallocate(struct op_io *io, struct request *request, const struct file *file,
			   const struct fuse_fallocate_in *in, uint32_t *ret_body_len)
{
	const struct zone *zone = zone_of(io, file);

	stat_add(&io->stats->allocates, 1);
	if (zone_is_file(zone) && zone_allocate(zone, in->mode, in->offset, in->length) < 0)
		return op_zone_refused(io->fs, -EIO);
	*io_row(io, request) = (struct io){
		.op = IO_FALLOCATE,
		.fd = file->fd,
		.tail_fd = -1,
		.flags = zone_is_file(zone) ? IO_DSYNC : 0,
		.mode = in->mode,
		.off = in->offset,
		.len = in->length,
	};
	return start(io, request, ret_body_len);
}

int op_io_start(struct op_io *io, struct request *request, const struct call *call,
		uint32_t *ret_body_len)
{
	/* each of the four argument structs begins with the file handle */
	uint64_t fh = *(const uint64_t *)call->arg;
	const struct file *file = file_get(&io->fs->files, fh);

	*ret_body_len = 0;
	if (!file || file->directory)
		return -EBADF;
	request->fh = fh;

	switch (request->opcode) {
	case FUSE_READ:
		return start_read(io, request, file, call->arg, ret_body_len);
	case FUSE_WRITE:
		return start_write(io, request, file, call->arg, ret_body_len);
	case FUSE_FSYNC:
		return start_fsync(io, request, file, call->arg, ret_body_len);
	case FUSE_FALLOCATE:
		return start_fallocate(io, request, file, call->arg, ret_body_len);
	}
	return -ENOSYS;
}

_Static_assert(offsetof(struct fuse_read_in, fh) == 0 && offsetof(struct fuse_write_in, fh) == 0 &&
		       offsetof(struct fuse_fsync_in, fh) == 0 &&
		       offsetof(struct fuse_fallocate_in, fh) == 0,
	       "op_io_start() takes the handle before it knows the opcode");

/*
 * A flush that fails has lost data of everybody who wrote, and the kernel tells only the
 * descriptor that asked. So all openers share the one that asks, and are each told once here (S11).
 */
static int finish_fsync(struct op_io *io, const struct request *request, int64_t result)
{
	struct file *file = file_get(&io->fs->files, request->fh);
	int r;

	if (!file) /* RELEASE waits for its requests: the kernel has broken that */
		return -EBADF;
	if (result < 0)
		inode_record_error(&io->fs->inodes.rows[file->inode], (int)result);
	r = file_report_error(io->fs, file);
	/* another thread of the same opener may have been told for it meanwhile: this one failed too */
	return r ? r : (int)MIN(result, 0);
}

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

/* Tells a zone of its write, of which RESULT is known. True: it isn't what a zone can answer. */
static bool write_needs_repair(struct op_io *io, const struct request *request, int64_t result)
{
	const struct file *file = file_get(&io->fs->files, request->fh);
	const struct io *row = io_row(io, request);

	if (!request->zoned ||
	    !file) /* RELEASE waits for its requests, or the kernel has broken that */
		return false;
	return zone_write_end(zone_of(io, file), row->len, result, row->error);
}

int op_io_finish(struct op_io *io, struct request *request, int64_t result, uint32_t *ret_body_len)
{
	struct fuse_write_out *out;

	*ret_body_len = 0;
	switch (request->opcode) {
	case FUSE_READ:
		if (result < 0)
			return (int)result;
		stat_add(&io->stats->read_bytes, (uint64_t)result);
		*ret_body_len = (uint32_t)result;
		return 0;
	case FUSE_WRITE:
		if (io_row(io, request)->op == IO_FALLOCATE)
			return write_after_allocation(io, request, ret_body_len);
		if (write_needs_repair(io, request, result))
			return OP_IO_WORKER;
		if (result < 0)
			return (int)result;
		stat_add(&io->stats->write_bytes, (uint64_t)result);
		out = request_payload(io->engine->arena, request);
		*out = (struct fuse_write_out){ .size = (uint32_t)result };
		*ret_body_len = sizeof(*out);
		return 0;
	case FUSE_FSYNC:
		return finish_fsync(io, request, result);
	case FUSE_FALLOCATE:
		return finish_fallocate(io, request, result);
	}
	return -ENOSYS;
}
