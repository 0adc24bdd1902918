/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/caps.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "base/stats.h"
#include "serve/request.h"

/* user_data = tag << 56 | sequence << 32 | index; an io's submissions have a sequence */
#define TAG_SHIFT     56
#define SEQUENCE_BITS 24

#define REAP_BATCH 32

/* "nobody", by convention. Any uid but root's would do. */
#define SOME_USER 65534

/* Errors that the kernel has for itself (include/linux/errno.h). */
#define KERNEL_ERESTARTSYS	     512
#define KERNEL_ERESTARTNOINTR	     513
#define KERNEL_ERESTARTNOHAND	     514
#define KERNEL_ERESTART_RESTARTBLOCK 516

/* Bytes of a 128-byte submission that are the command's own. */
#define COMMAND_LEN 80

uint64_t engine_user_data(enum engine_tag tag, uint32_t index)
{
	return (uint64_t)tag << TAG_SHIFT | index;
}

/*
 * DEFER_TASKRUN (Linux 6.1) runs completions when this thread asks for them and never interrupts
 * it in between. It measured best: with one request at a time, the thread takes 7 % less CPU time.
 * But when the thread has died, its completions never reach the ring, so not if the ring is to be
 * HARVESTED. The other flags are for kernels or sandboxes without it.
 */
static int make_ring(struct io_uring *ring, uint32_t entries, bool commands, bool harvested,
		     struct io_uring_params *ret_params)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int r = -EINVAL;

	for (unsigned i = harvested ? 1 : 0; i < ARRAY_SIZE(flags) && r == -EINVAL; i++) {
		*ret_params = (struct io_uring_params){
			.flags = flags[i] | (commands ? IORING_SETUP_SQE128 : 0),
		};
		r = io_uring_queue_init_params(entries, ring, ret_params);
	}
	return r;
}

/*
 * Fills the ring once with no-ops, the first of them on a worker. Afterwards the kernel keeps the
 * request objects in the ring's own cache (io_alloc_cache / free_list in io_uring/io_uring.c) and
 * the last worker of a pool for ever (io_wq_worker() in io_uring/io-wq.c lets only surplus ones
 * time out).
 */
static int warm(struct engine *engine)
{
	uint32_t entries = engine->entries;
	struct io_uring_cqe *cqe;
	int r;

	for (uint32_t i = 0; i < entries; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);

		assert(sqe);
		io_uring_prep_nop(sqe);
		if (i == 0 && engine->workers)
			sqe->flags |= IOSQE_ASYNC;
	}
	r = io_uring_submit_and_wait(&engine->ring, entries);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < entries; i++) {
		r = io_uring_wait_cqe(&engine->ring, &cqe);
		if (r < 0)
			return r;
		io_uring_cqe_seen(&engine->ring, cqe);
	}
	return 0;
}

/* Registers the thread's credentials as they are now, with CAPS as its capabilities. */
static int register_identity(struct engine *engine, enum io_identity identity,
			     const struct caps *caps)
{
	int r = caps_set(caps);

	if (r < 0)
		return r;
	r = io_uring_register_personality(&engine->ring);
	if (r < 0)
		return r;
	engine->personality[identity] = r;
	return 0;
}

/*
 * The kernel clears suid and sgid bits on a write by a task without CAP_FSETID
 * (setattr_should_drop_suidgid(), fs/attr.c), and ext4 lets root alone have its reserved blocks
 * (ext4_has_free_clusters(), fs/ext4/balloc.c). io_uring can act under registered credentials. So
 * the thread lowers its own for a moment and registers them. It doesn't matter which user that is,
 * because the right to use a file was checked when it was opened. A thread without CAP_FSETID isn't
 * root, and doesn't need this.
 */
static int register_identities(struct engine *engine)
{
	struct caps had, less;
	long uid, gid;
	int r, restored;

	r = caps_get(0, &had);
	if (r < 0 || !(had.effective & CAPS_BIT(CAP_FSETID)))
		return r;

	less = had;
	less.effective &= ~CAPS_BIT(CAP_FSETID);
	r = register_identity(engine, IO_WITHOUT_FSETID, &less);
	if (r == 0) {
		gid = syscall(SYS_setfsgid, SOME_USER);
		uid = syscall(SYS_setfsuid, SOME_USER);
		r = register_identity(engine, IO_AS_USER, &less);
		(void)syscall(SYS_setfsuid, uid);
		(void)syscall(SYS_setfsgid, gid);
		if (syscall(SYS_setfsuid, -1) != uid || syscall(SYS_setfsgid, -1) != gid)
			return -EPERM;
	}
	restored = caps_set(&had);
	return restored < 0 ? restored : r;
}

int engine_probe(void)
{
	struct io_uring_params params;
	struct io_uring ring;
	int r = make_ring(&ring, 1, false, false, &params);

	if (r == 0)
		io_uring_queue_exit(&ring);
	return r;
}

int engine_probe_command(int fd, uint32_t cmd_op, const void *arg, uint32_t arg_len)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring_params params;
	struct io_uring ring;
	int r = make_ring(&ring, 1, true, false, &params);

	if (r < 0)
		return r;
	sqe = io_uring_get_sqe(&ring);
	assert(sqe); /* the ring has room for one */
	engine_prep_command(sqe, fd, cmd_op, arg, arg_len);
	r = io_uring_submit_and_wait(&ring, 1);
	if (r >= 0)
		r = io_uring_wait_cqe(&ring, &cqe);
	if (r >= 0)
		r = cqe->res;
	io_uring_queue_exit(&ring);
	return r;
}

/*
 * Makes a pipe of which the ring alone holds the write end, as a registered file. The kernel lets
 * go of it when the ring's last request is complete (io_ring_ctx_free(), io_uring/io_uring.c).
 */
static int make_sentinel(struct engine *engine)
{
	autoclose int read_fd = -1, write_fd = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	r = io_uring_register_files(&engine->ring, &write_fd, 1);
	if (r < 0)
		return r;
	engine->sentinel_fd = steal_fd(&read_fd);
	return 0;
}

static void io_completed(void *arg, uint32_t index, int res);

int engine_init(struct engine *engine, const struct engine_config *config)
{
	uint32_t entries = config->depth + config->others;
	int r;

	*engine = (struct engine){
		.arena = config->arena,
		.ios = arena_table(config->arena, ARENA_IOS),
		.owner = config->owner,
		.users[ENGINE_IO] = { io_completed, engine },
		.stats = config->stats,
		.shared = config->shared,
		.sentinel_fd = -1,
	};
	r = make_ring(&engine->ring, entries, config->commands, config->harvested, &engine->params);
	if (r < 0)
		return r;
	r = config->harvested ? make_sentinel(engine) : 0;
	if (r < 0) {
		io_uring_queue_exit(&engine->ring);
		return r;
	}
	engine->entries = entries;
	engine->workers = config->workers;
	engine->buf_off = config->buf_off;
	engine->buf_len = config->buf_len;
	engine->made = true;
	return 0;
}

/*
 * Registers the buffers, so that no I/O has to look up their pages, and nothing moves them.
 * Registers the ring, so that calls don't look up its descriptor. Both are optional.
 */
static void register_memory(struct engine *engine)
{
	const struct iovec buffers = { arena_at(engine->arena, engine->buf_off), engine->buf_len };

	if (engine->buf_len)
		engine->pinned = io_uring_register_buffers(&engine->ring, &buffers, 1) == 0;
	(void)io_uring_register_ring_fd(&engine->ring);
}

static int bound_workers(struct engine *engine)
{
	/* [0]: for work on regular files; [1]: for other work, which doesn't occur */
	unsigned workers[2] = { engine->workers, 1 };

	return io_uring_register_iowq_max_workers(&engine->ring, workers);
}

int engine_start(struct engine *engine)
{
	int r = 0;

	if (engine->workers)
		r = bound_workers(engine);
	if (r < 0)
		return r;
	register_memory(engine);
	r = warm(engine);
	if (r < 0)
		return r;
	return register_identities(engine);
}

void engine_on(struct engine *engine, enum engine_tag tag, const struct engine_user *user)
{
	engine->users[tag] = *user;
}

void engine_destroy(struct engine *engine)
{
	if (!engine->made)
		return;
	io_uring_queue_exit(&engine->ring);
	close_fd(&engine->sentinel_fd);
	engine->made = false;
}

struct io_uring_sqe *engine_sqe(struct engine *engine, enum engine_tag tag, uint32_t index)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);

	assert(sqe); /* engine_init() made room for all that can be in flight */
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = engine_user_data(tag, index);
	return sqe;
}

void engine_prep_command(struct io_uring_sqe *sqe, int fd, uint32_t cmd_op, const void *arg,
			 uint32_t arg_len)
{
	assert(arg_len <= COMMAND_LEN);
	memset(sqe->cmd, 0, COMMAND_LEN);
	memcpy(sqe->cmd, arg, arg_len);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = cmd_op;
}

/* ticket = sequence << 32 | place in the ring's queue of submissions; 0: none yet */
static uint64_t io_user_data(uint32_t index, uint64_t ticket)
{
	return engine_user_data(ENGINE_IO, index) | ticket >> 32 << 32;
}

/* Draws a new ticket for IO, whose submission comes next. */
static void draw_ticket(const struct engine *engine, struct io *io)
{
	uint64_t sequence = ((io->ticket >> 32) + 1) & ((1u << SEQUENCE_BITS) - 1);

	/* never 0, and in one store, in case the process dies */
	io->ticket = MAX(sequence, (uint64_t)1) << 32 | engine->ring.sq.sqe_tail;
	KILL_FENCE();
}

bool engine_is_sync(const struct io *io)
{
	return io->op == IO_FSYNC || io->op == IO_FDATASYNC || io->step == IO_STEP_SYNC;
}

int32_t engine_sync_error(const struct io *io, int64_t result)
{
	/* before that step, the result is of an allocation: the write may still find room */
	bool is_write = io->op == IO_WRITE && (io->flags & (IO_SYNC | IO_DSYNC)) &&
			io->step == IO_STEP_ACT;
	bool is_of_data = result == -EIO || result == -ENOSPC || result == -EDQUOT;

	if (result < 0 && engine_is_sync(io))
		return (int32_t)result;
	return is_write && is_of_data ? (int32_t)result : 0;
}

/*
 * The result RES of a submission, with an error that programs know. Some filesystems give others:
 * above all -ERESTARTSYS, which io_uring doesn't translate for syncs, if the process was killed
 * meanwhile.
 */
static int errno_of(int res)
{
	switch (res) {
	case -KERNEL_ERESTARTSYS:
	case -KERNEL_ERESTARTNOINTR:
	case -KERNEL_ERESTARTNOHAND:
	case -KERNEL_ERESTART_RESTARTBLOCK:
		return -EINTR;
	default:
		return request_error(res);
	}
}

/* The same for RES of a process that has died. */
static int32_t last_sync_error(const struct io *io, int res)
{
	/* these mean that it wasn't done, because its process died */
	if (res == -ECANCELED || res == -EINTR || res == -EAGAIN)
		return 0;
	return engine_sync_error(io, res);
}

/*
 * Whether RES, of a submission of IO, tells that all of it was done. The process may have died
 * after it took RES and before its next submission. So neither a result for a part counts, nor one
 * that doesn't tell the steps apart.
 */
static bool is_whole(const struct io *io, int res)
{
	switch ((enum io_op)io->op) {
	case IO_READ:
	case IO_WRITE:
		return res > 0 && (uint64_t)res == io->len;
	case IO_FSYNC:
	case IO_FDATASYNC:
		return res == 0;
	case IO_FALLOCATE:
		break;
	}
	return false;
}

bool engine_is_over(const struct io_uring *ring, const struct io *io, uint32_t index,
		    struct engine_rest *ret)
{
	uint64_t user_data = io_user_data(index, io->ticket);
	const struct io_uring_cq *cq = &ring->cq;
	uint32_t place = (uint32_t)io->ticket;

	*ret = (struct engine_rest){ 0 };
	/* the kernel has not come to it, and never will */
	if (!io->ticket || (int32_t)(io_uring_smp_load_acquire(ring->sq.khead) - place) <= 0)
		return true;
	for (uint32_t at = *cq->khead; at != io_uring_smp_load_acquire(cq->ktail); at++) {
		const struct io_uring_cqe *cqe = &cq->cqes[at & *cq->kring_mask];

		if (cqe->user_data == user_data) {
			ret->sync_error = last_sync_error(io, errno_of(cqe->res));
			ret->is_whole = is_whole(io, cqe->res);
			return true;
		}
	}
	return false;
}

bool engine_is_answered(const struct io_uring *ring, uint32_t index)
{
	const struct io_uring_cq *cq = &ring->cq;

	for (uint32_t at = *cq->khead; at != io_uring_smp_load_acquire(cq->ktail); at++) {
		if (cq->cqes[at & *cq->kring_mask].user_data ==
		    engine_user_data(ENGINE_REPLY, index))
			return true;
	}
	return false;
}

/* Submits the rest of the io's current step. */
static void issue(struct engine *engine, uint32_t index)
{
	struct io *io = &engine->ios[index];
	struct io_uring_sqe *sqe;
	uint8_t *buf = arena_at(engine->arena, io->buf_off + io->moved);
	unsigned left = (unsigned)(io->len - io->moved);

	draw_ticket(engine, io);
	sqe = engine_sqe(engine, ENGINE_IO, index);
	sqe->user_data = io_user_data(index, io->ticket);
	switch ((enum io_step)io->step) {
	case IO_STEP_ALLOCATE:
		io_uring_prep_fallocate(sqe, io->fd, FALLOC_FL_KEEP_SIZE, (off_t)io->alloc_off,
					(off_t)io->alloc_len);
		sqe->personality = (uint16_t)engine->personality[io->identity];
		return;
	case IO_STEP_SYNC:
		io_uring_prep_fsync(sqe, io->fd, 0);
		return;
	case IO_STEP_ACT:
		break;
	}
	switch ((enum io_op)io->op) {
	case IO_READ:
		io_uring_prep_read(sqe, io->fd, buf, left, io->off + io->moved);
		sqe->opcode = engine->pinned ? IORING_OP_READ_FIXED : IORING_OP_READ;
		break;
	case IO_WRITE:
		io_uring_prep_write(sqe, io->fd, buf, left, io->off + io->moved);
		sqe->opcode = engine->pinned ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
		if (io->flags & IO_SYNC)
			sqe->rw_flags = RWF_SYNC;
		else if (io->flags & IO_DSYNC)
			sqe->rw_flags = RWF_DSYNC;
		sqe->personality = (uint16_t)engine->personality[io->identity];
		break;
	case IO_FSYNC:
		io_uring_prep_fsync(sqe, io->fd, 0);
		break;
	case IO_FDATASYNC:
		io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC);
		break;
	case IO_FALLOCATE:
		io_uring_prep_fallocate(sqe, io->fd, (int)io->mode, (off_t)io->off, (off_t)io->len);
		sqe->personality = (uint16_t)engine->personality[io->identity];
		break;
	}
}

void engine_submit(struct engine *engine, uint32_t index)
{
	struct io *io = &engine->ios[index];

	assert((io->op != IO_READ && io->op != IO_WRITE) || io->len <= INT32_MAX);
	io->moved = 0;
	io->error = 0;
	io->step = io->alloc_len ? IO_STEP_ALLOCATE : IO_STEP_ACT;
	engine->in_flight++;
	atomic_fetch_add_explicit(&engine->shared->in_flight, 1, memory_order_relaxed);
	issue(engine, index);
}

/* Takes the result RES of one submission. Returns whether the io is complete, with its result. */
static bool settle(struct engine *engine, struct io *io, int res, int64_t *ret_result)
{
	bool moves = io->op == IO_READ || io->op == IO_WRITE;

	if (io->step == IO_STEP_ALLOCATE) {
		/* if that failed, the write may still find room */
		io->step = IO_STEP_ACT;
		return false;
	}
	if (res == -EINTR || res == -EAGAIN)
		return false;
	if (io->op == IO_FALLOCATE && io->step == IO_STEP_ACT && (io->flags & IO_DSYNC) &&
	    res == 0) {
		io->step = IO_STEP_SYNC;
		return false;
	}
	if (!moves) {
		*ret_result = res;
		return true;
	}
	if (res <= 0) {
		/* what did move is reported; the error shows again when the rest is asked for */
		*ret_result = io->moved ? (int64_t)io->moved : res;
		io->error = res;
		return true;
	}
	io->moved += (uint64_t)res;
	if (io->moved >= io->len) {
		*ret_result = (int64_t)io->moved;
		return true;
	}
	stat_add(&engine->stats->resumed, 1);
	/*
	 * direct I/O can't go on at an unaligned offset: a read is at the end of the file; for a
	 * write see op-io.c
	 */
	if (io->align && !is_aligned(io->off + io->moved, io->align)) {
		*ret_result = (int64_t)io->moved;
		return true;
	}
	return false;
}

bool engine_is_idle(const struct engine *engine)
{
	return !atomic_load_explicit(&engine->shared->in_flight, memory_order_relaxed) &&
	       io_uring_cq_ready(&engine->ring) <= engine->is_reaping;
}

static void io_completed(void *arg, uint32_t index, int res)
{
	struct engine *engine = arg;
	int64_t result;

	if (!settle(engine, &engine->ios[index], errno_of(res), &result)) {
		issue(engine, index);
		return;
	}
	engine->in_flight--;
	atomic_fetch_sub_explicit(&engine->shared->in_flight, 1, memory_order_relaxed);
	engine->owner.done(engine->owner.arg, index, result);
}

static void reap(struct engine *engine, const struct io_uring_cqe *cqe)
{
	const struct engine_user *user = &engine->users[cqe->user_data >> TAG_SHIFT];

	if (user->completed)
		user->completed(user->arg, (uint32_t)cqe->user_data, cqe->res);
}

/* EAGAIN and EBUSY mean a lack of memory or of room for completions. Both pass as we reap. */
static bool is_passing(int r)
{
	return r == -EINTR || r == -EAGAIN || r == -EBUSY;
}

int engine_turn(struct engine *engine, uint32_t answers)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	unsigned n;
	int r;

	atomic_store_explicit(&engine->waits, true, memory_order_relaxed);
	r = io_uring_submit_and_wait(&engine->ring, answers + 1);
	atomic_store_explicit(&engine->waits, false, memory_order_relaxed);
	stat_add(&engine->stats->turns, 1);
	if (r < 0 && !is_passing(r))
		return r;

	engine->is_reaping = true;
	do {
		n = io_uring_peek_batch_cqe(&engine->ring, cqes, REAP_BATCH);
		for (unsigned i = 0; i < n; i++) {
			/* in this order, or a process that dies in between loses the result */
			reap(engine, cqes[i]);
			io_uring_cqe_seen(&engine->ring, cqes[i]);
		}
	} while (n == REAP_BATCH);
	engine->is_reaping = false;
	return 0;
}

int engine_flush(struct engine *engine)
{
	int r = io_uring_submit_and_wait(&engine->ring, 0);

	return r < 0 && !is_passing(r) ? r : 0;
}
