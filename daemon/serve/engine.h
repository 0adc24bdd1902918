/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine: one io_uring ring, on which a queue thread does its backing I/O and waits for
 * everything else. All calls but engine_destroy() are made by the thread that called
 * engine_init(). Most rings refuse others (IORING_SETUP_SINGLE_ISSUER).
 *
 * An io is one backing operation: a row of ARENA_IOS, named by its index. If an operation comes
 * back short, the engine continues it until it is complete, at the end of the file, failed, or
 * can't go on by direct I/O. Then it calls done(), once. A submission needs only the row and room
 * in the ring, and the ring has room for all rows at once. So it can't be short of anything (S4,
 * S5).
 */
#ifndef CAISSON_ENGINE_H
#define CAISSON_ENGINE_H

#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct arena;
struct stats_queue;

enum io_op { IO_READ, IO_WRITE, IO_FSYNC, IO_FDATASYNC, IO_FALLOCATE };

enum io_flags {
	IO_DSYNC = 1 << 0, /* its data is on stable storage at completion: IO_WRITE, IO_FALLOCATE */
	IO_SYNC = 1 << 1,  /* its metadata as well: IO_WRITE */
};

/* The identity that an IO_WRITE or IO_FALLOCATE has for the backing filesystem. */
enum io_identity {
	IO_AS_SELF,
	IO_WITHOUT_FSETID, /* clears set-id bits and file capabilities */
	IO_AS_USER,	   /* clears them too, and can't use blocks reserved for root */
	IO_IDENTITIES
};

/*
 * An io may take two submissions one after the other: a range is allocated before the write, or the
 * file is synced after fallocate(), which has no flag for it as a write has.
 */
enum io_step { IO_STEP_ALLOCATE, IO_STEP_ACT, IO_STEP_SYNC };

/* Lives in the arena: no pointers. */
struct io {
	uint64_t buf_off;	       /* arena offset of the first byte to move */
	uint64_t off, len;	       /* bytes of the backing file */
	uint64_t moved;		       /* the engine's: bytes done so far */
	uint64_t alloc_off, alloc_len; /* IO_WRITE: range to allocate first; 0: none */
	int32_t fd;
	uint32_t align;	  /* alignment of offset and length for direct I/O; 0: buffered */
	uint32_t mode;	  /* IO_FALLOCATE: as of fallocate(2) */
	int32_t error;	  /* the engine's: -errno that cut an IO_WRITE short, or 0 */
	uint8_t op;	  /* enum io_op */
	uint8_t step;	  /* the engine's: enum io_step */
	uint8_t flags;	  /* enum io_flags */
	uint8_t identity; /* enum io_identity */
	uint64_t ticket;  /* the engine's: its last submission (engine_is_over()), or 0 */
};

/* The use of a submission. ENGINE_IO is the engine's own; the others' users call engine_on(). */
enum engine_tag {
	ENGINE_IO,
	ENGINE_FETCH,
	ENGINE_REPLY,
	ENGINE_ENTRY,
	ENGINE_WAKE,
	ENGINE_CANCEL,
	ENGINE_TAGS
};

/* Shared by all engines of a process. */
struct engine_shared {
	_Atomic uint32_t in_flight; /* ios */
};

struct engine_owner {
	void *arg;
	/*
	 * Row INDEX is complete. RESULT is the bytes moved (0 for an operation that moves none), or
	 * -errno if none were. May submit.
	 */
	void (*done)(void *arg, uint32_t index, int64_t result);
};

/* Who uses a tag. */
struct engine_user {
	/* A submission has completed: INDEX is that of its engine_sqe(). May submit. Or NULL */
	void (*completed)(void *arg, uint32_t index, int result);
	void *arg;
};

struct engine {
	struct engine_shared *shared;
	struct io_uring ring;
	const struct arena *arena;
	struct io *ios;
	struct engine_owner owner;
	struct engine_user users[ENGINE_TAGS];
	struct stats_queue *stats;
	int personality[IO_IDENTITIES]; /* ids registered with the ring; 0: the thread's own */
	uint32_t in_flight;		/* ios */
	uint32_t entries;		/* most submissions in flight */
	uint32_t workers;		/* most io-wq workers */
	uint64_t buf_off, buf_len;	/* see engine_config */
	int sentinel_fd;		/* see engine_config; or -1 */
	struct io_uring_params params;	/* of the ring, to map it again */
	_Atomic bool waits;		/* the thread is in io_uring_enter(), as long as need be */
	bool pinned;
	bool is_reaping; /* the completion that a callback is called for is still in the ring */
	bool made;
};

struct engine_config {
	const struct arena *arena;
	struct stats_queue *stats;
	struct engine_owner owner;
	struct engine_shared *shared; /* zero at first; outlives all engines */
	uint32_t depth;		      /* most ios in flight */
	uint32_t others;	      /* most engine_sqe()s in flight */
	uint32_t workers;	      /* most io-wq workers (S7); 0: none is ever needed */
	/*
	 * arena offset and length of the region that has all ios' buffers, page-aligned; length 0:
	 * it isn't pinned
	 */
	uint64_t buf_off, buf_len;
	bool commands; /* make a ring for IORING_OP_URING_CMD (Linux 5.19) */
	/*
	 * Another process may harvest the ring after this one's death (engine_is_over()). Makes
	 * engine.sentinel_fd, which hangs up when the ring has gone.
	 */
	bool harvested;
};

/* What the ring of a dead process tells of an io. */
struct engine_rest {
	int32_t sync_error; /* -errno if a sync has failed, which would not fail again; or 0 */
	bool is_whole;	    /* all of it was done, by one submission */
};

/*
 * Whether the last submission of IO, which is row INDEX, is over or was never sent. RING is the
 * mapped ring of an engine whose process has died. I/O outlives its process, and so do the results
 * that the kernel puts into the ring.
 */
bool engine_is_over(const struct io_uring *ring, const struct io *io, uint32_t index,
		    struct engine_rest *ret);

/*
 * Whether RING, that of a dead process, has the completion of the answer that INDEX stood for. The
 * process didn't come to look at it.
 */
bool engine_is_answered(const struct io_uring *ring, uint32_t index);

/*
 * The error that RESULT, of IO's present step, tells of a sync of its file, and that no other sync
 * may be told of: -errno, or 0. It may also be the write's own that was to sync what it wrote.
 */
int32_t engine_sync_error(const struct io *io, int64_t result);

/* Whether the present step of IO syncs its file, and does nothing else. */
bool engine_is_sync(const struct io *io);

/*
 * Makes a small ring and frees it. Returns 0, or as engine_init() if io_uring can't be used.
 */
int engine_probe(void);

/*
 * Sends the command CMD_OP with ARG (ARG_LEN bytes) to FD. Returns the kernel's answer, 0 or
 * -errno; or fails as engine_init().
 */
int engine_probe_command(int fd, uint32_t cmd_op, const void *arg, uint32_t arg_len);

/*
 * Makes the ring. Returns 0 or -errno: -EPERM if kernel.io_uring_disabled or seccomp forbids
 * io_uring, -ENOSYS if the kernel lacks it, -ENOMEM. If memory is locked, it needs CAP_IPC_LOCK or
 * room in RLIMIT_MEMLOCK.
 */
int engine_init(struct engine *engine, const struct engine_config *config);

/*
 * Makes the engine ready to serve. Called when the thread has its final capabilities, which io-wq's
 * workers inherit, and before the seal. It bounds io-wq and starts its first worker, if there is to
 * be one; has the kernel allocate its request objects; registers the identities; and pins the
 * buffers if the kernel allows it (up to 1 GiB, within RLIMIT_MEMLOCK). Returns 0 or -errno.
 */
int engine_start(struct engine *engine);
void engine_destroy(struct engine *engine);

/* Starts row INDEX, of which the caller has set all but the engine's fields. Can't fail. */
void engine_submit(struct engine *engine, uint32_t index);

/* Whether no io of any engine is in flight, and no completion waits on this ring. */
bool engine_is_idle(const struct engine *engine);

/* USER is called for each completion of TAG. Before the first turn. */
void engine_on(struct engine *engine, enum engine_tag tag, const struct engine_user *user);

/*
 * An empty submission of a user of TAG, sent with the next turn; the tag's function is called for
 * it with INDEX. Never NULL while no more than config.others are in flight. liburing's prep calls
 * leave user_data alone.
 */
struct io_uring_sqe *engine_sqe(struct engine *engine, enum engine_tag tag, uint32_t index);

/*
 * Fills SQE, from engine_sqe() on a ring made with config.commands, with the command CMD_OP for FD
 * and ARG (ARG_LEN bytes, at most 80).
 */
void engine_prep_command(struct io_uring_sqe *sqe, int fd, uint32_t cmd_op, const void *arg,
			 uint32_t arg_len);

/* The user_data of an engine_sqe(), for cancelling it. */
uint64_t engine_user_data(enum engine_tag tag, uint32_t index);

/*
 * Takes one turn of the loop: one io_uring_enter() sends all submissions and waits for one
 * completion besides those of ANSWERS submissions, which complete as they are sent; then the
 * callbacks run. Returns 0, or -errno if the ring itself failed.
 */
int engine_turn(struct engine *engine, uint32_t answers);

/*
 * Sends all submissions and waits for nothing, at the end. Returns 0 or -errno, as engine_turn().
 */
int engine_flush(struct engine *engine);

#endif
