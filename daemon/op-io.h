/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data path's handlers: READ, WRITE, FSYNC, FALLOCATE. They run on the queue thread, never
 * block, take no lock and need nothing but the request's slot; the backing I/O is the engine's.
 */
#ifndef CAISSON_OP_IO_H
#define CAISSON_OP_IO_H

#include <stdint.h>

struct call;
struct engine;
struct fs;
struct request;
struct stats_queue;

/* A queue's view of what its data requests need. */
struct op_io {
	struct fs *fs;
	struct engine *engine;
	struct stats_queue *stats;
};

#define OP_IO_STARTED 1
#define OP_IO_WORKER  2

/*
 * Starts the backing I/O of REQUEST, whose parsed message is CALL. Returns OP_IO_STARTED: the
 * request is in state IO and op_io_finish() is due when the engine is done with its row; 0: there
 * was nothing to do, answer with *RET_BODY_LEN bytes; or -errno for the answer.
 */
int op_io_start(struct op_io *io, struct request *request, const struct call *call,
		uint32_t *ret_body_len);

/*
 * Makes the engine's RESULT the answer: 0 with *RET_BODY_LEN bytes at the payload, or -errno. The
 * caller has moved the request back to RUN. Or OP_IO_STARTED: that was not all, and op_io_finish() is due
 * once more. Or OP_IO_WORKER: a metadata worker is to go on with the request, by the handler of its
 * opcode, and answers it.
 */
int op_io_finish(struct op_io *io, struct request *request, int64_t result, uint32_t *ret_body_len);

#endif
