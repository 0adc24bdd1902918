/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data path: what READ, WRITE, FSYNC, FSYNCDIR and FALLOCATE do. It runs on the queue's thread,
 * never blocks, takes no lock and needs only the request's slot. The engine does the backing I/O.
 *
 * There is one coherent way to a byte (S11). With cache=none a WRITE that is aligned goes by
 * O_DIRECT and any other one through the page cache, and a gate keeps the two apart (gate.h). A
 * READ needs no gate: the kernel writes dirty pages back before it reads around them, and a
 * direct write drops the pages of its range when it is complete.
 */
#ifndef CAISSON_OP_IO_H
#define CAISSON_OP_IO_H

#include <stdint.h>

struct call;
struct engine;
struct fs;
struct fuse_in_header;
struct gate_table;
struct request;
struct stats_queue;

/* The part of a queue that its data requests need. */
struct op_io {
	struct fs *fs;
	struct engine *engine;
	struct gate_table *gates;
	struct stats_queue *stats;
};

#define OP_IO_STARTED 1
#define OP_IO_WORKER  2
#define OP_IO_PARKED  3

/*
 * Starts the backing I/O of REQUEST, whose parsed message is CALL. Returns one of these:
 *
 *   OP_IO_STARTED: it is in state IO. op_io_finish() is due when its row is complete.
 *   OP_IO_PARKED: it waits at its file's gate, or for other syncs of it. op_io_resume() is due when
 *     that is over, and the caller must not touch it before.
 *   OP_IO_WORKER: a metadata worker is to run the handler of its opcode, and answers it.
 *   0: there was nothing to do. The answer has *RET_BODY_LEN bytes.
 *   -errno: the answer.
 */
int op_io_start(struct op_io *io, struct request *request, const struct call *call,
		uint32_t *ret_body_len);

/*
 * Tells the inode if the sync of REQUEST, whose message begins with IN, has failed with sync_error,
 * before any thread goes on with what a dead process has left.
 */
void op_io_record_error(struct fs *fs, struct request *request, const struct fuse_in_header *in);

/*
 * REQUEST (state RUN), which was parked, has entered its gate, or its group of syncs is complete.
 * Returns OP_IO_STARTED, or the answer, 0 or -errno, without a body.
 */
int op_io_resume(struct op_io *io, struct request *request);

/*
 * The row of REQUEST is complete with RESULT, and the caller has moved it to RUN. Returns 0 with
 * *RET_BODY_LEN bytes at the payload, or -errno, for the answer. If there is more to do, returns
 * OP_IO_STARTED, OP_IO_PARKED or OP_IO_WORKER as above.
 */
int op_io_finish(struct op_io *io, struct request *request, int64_t result, uint32_t *ret_body_len);

#endif
