/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine: one io_uring ring, on which a queue thread does its backing I/O and waits for
 * everything else. All calls are made by the thread that called engine_init(); the ring refuses
 * any other (IORING_SETUP_SINGLE_ISSUER).
 *
 * An io is one backing operation: a row of ARENA_IOS, named by its index. If an operation comes
 * back short, the engine goes on with it until it is complete, at the end of the file, failed, or
 * can't go on by direct I/O. Then it calls done(), once. It needs only the row and room in the
 * ring, which is made for every row at once. So a submission can't be short of anything (S4, S5).
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
	IO_DSYNC = 1 << 0, /* data on stable storage when it completes: IO_WRITE, IO_FALLOCATE */
	IO_SYNC = 1 << 1,  /* all metadata, too: IO_WRITE */
};

/* As whom the backing filesystem sees an IO_WRITE or IO_FALLOCATE. */
enum io_identity {
	IO_AS_SELF,
	IO_WITHOUT_FSETID, /* loses suid and sgid bits and file capabilities */
	IO_AS_USER,	   /* so does this, and it has no part in blocks reserved for root */
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
	uint64_t moved;		       /* bytes done so far; the engine's */
	uint64_t alloc_off, alloc_len; /* IO_WRITE: allocate this range first; 0: none */
	int32_t fd;
	uint32_t align;	  /* what fd asks of offset and length, a power of two; 0: not direct */
	uint32_t mode;	  /* of IO_FALLOCATE */
	int32_t error;	  /* -errno of what cut an IO_WRITE short, or 0; the engine's */
	uint8_t op;	  /* enum io_op */
	uint8_t step;	  /* enum io_step; the engine's */
	uint8_t flags;	  /* enum io_flags */
	uint8_t identity; /* enum io_identity */
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

/* What the engines of a process have in common. */
struct engine_shared {
	_Atomic uint32_t in_flight; /* ios */
};

struct engine_owner {
	void *arg;
	/*
	 * Row INDEX is complete. RESULT is the bytes moved (0 for what moves none), or -errno where
	 * nothing was. May submit.
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
	int personality[IO_IDENTITIES]; /* registered with the ring; 0: the thread's own */
	uint32_t in_flight;		/* ios */
	uint32_t entries;		/* submissions in flight at most */
	uint32_t depth;			/* ios in flight at most */
	uint32_t workers;		/* bound on io-wq's */
	uint64_t buf_off, buf_len;	/* see engine_config */
	bool pinned;
	bool made;
};

struct engine_config {
	const struct arena *arena;
	struct stats_queue *stats;
	struct engine_owner owner;
	struct engine_shared *shared; /* all zero at first; of all engines, which it outlives */
	uint32_t depth;		      /* ios in flight at most */
	uint32_t others;	      /* the owner's own submissions in flight at most */
	uint32_t workers; /* bound on io-wq workers (S7) at first; 0: none is ever needed */
	/*
	 * arena offset and bytes of what all ios' buffers lie in, page-aligned; 0 bytes: not to be
	 * pinned
	 */
	uint64_t buf_off, buf_len;
	bool commands; /* submissions of 128 bytes, for IORING_OP_URING_CMD (Linux 5.19) */
};

/*
 * Whether io_uring can be had at all: 0, or as engine_init() fails. Makes a small ring and lets it
 * go.
 */
int engine_probe(void);

/*
 * Whether the kernel takes the command CMD_OP with ARG (ARG_LEN bytes) for FD, by sending it: what
 * it answers, 0 or -errno; or as engine_init() fails.
 */
int engine_probe_command(int fd, uint32_t cmd_op, const void *arg, uint32_t arg_len);

/*
 * Makes the ring. Returns 0 or -errno: -EPERM where kernel.io_uring_disabled or seccomp forbids
 * io_uring, -ENOSYS where the kernel lacks it, -ENOMEM. Needs CAP_IPC_LOCK or room in
 * RLIMIT_MEMLOCK where memory is locked.
 */
int engine_init(struct engine *engine, const struct engine_config *config);

/*
 * When the thread has its final capabilities, which io-wq's workers inherit; before the seal:
 * bounds and warms its io-wq (one worker exists from here on, unless there are to be none, and the
 * kernel's request objects have been allocated once), registers the identities, and pins
 * the buffers where the kernel does that (up to 1 GiB, within RLIMIT_MEMLOCK where that counts).
 * Returns 0 or -errno.
 */
int engine_start(struct engine *engine);
void engine_destroy(struct engine *engine);

/*
 * From now on an io-wq worker may be made for each io, up to ENGINE_WORKERS_MAX: for a file that
 * may keep a worker waiting for each of its ios, as those of other machines do. Idle workers go
 * after five seconds. Costs nothing when it has been called before.
 */
void engine_widen(struct engine *engine);
#define ENGINE_WORKERS_MAX 64

/* Starts row INDEX, of which the caller has set all but the engine's fields. Can't fail. */
void engine_submit(struct engine *engine, uint32_t index);

/* Whether no io of any engine is under way, and nothing else has come for this one. */
bool engine_is_idle(const struct engine *engine);

/* USER is called for each completion of TAG. Before the first turn. */
void engine_on(struct engine *engine, enum engine_tag tag, const struct engine_user *user);

/*
 * An empty submission of a user of TAG, sent with the next turn; the tag's function is called for
 * it with INDEX. Never NULL as long as the owner keeps within config.others. liburing's prep calls
 * leave the stamp (user_data) alone.
 */
struct io_uring_sqe *engine_sqe(struct engine *engine, enum engine_tag tag, uint32_t index);

/*
 * Makes of SQE, one of engine_sqe()'s on a ring made with config.commands, the command CMD_OP for
 * FD with ARG (ARG_LEN bytes, at most 80).
 */
void engine_prep_command(struct io_uring_sqe *sqe, int fd, uint32_t cmd_op, const void *arg,
			 uint32_t arg_len);

/* What engine_sqe() has stamped on it, for cancelling. */
uint64_t engine_user_data(enum engine_tag tag, uint32_t index);

/*
 * One turn of the loop: one io_uring_enter() that sends all submissions and waits for at least one
 * completion, then the callbacks. Returns 0 or -errno where the ring itself failed.
 */
int engine_turn(struct engine *engine);

/*
 * Sends all submissions and waits for nothing: for the last ones, as nobody tries again to send
 * what there is no room for. Returns 0 or -errno, as engine_turn().
 */
int engine_flush(struct engine *engine);

#endif
