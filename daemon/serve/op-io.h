/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data path's handlers: READ, WRITE, FSYNC, FALLOCATE. They run on the queue thread, never
 * block, take no lock and need nothing but the request's slot; the backing I/O is the engine's.
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
struct gate_table;
struct request;
struct stats_queue;

/* A queue's view of what its data requests need. */
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
 * Starts the backing I/O of REQUEST, whose parsed message is CALL. Returns OP_IO_STARTED: the
 * request is in state IO and op_io_finish() is due when the engine is done with its row;
 * OP_IO_PARKED: it waits at its file's gate, op_io_resume() is due when it has entered, and the
 * caller touches it no more until then; OP_IO_WORKER: a metadata worker is to do all of it, by
 * the handler of its opcode, and answers it; 0: there was nothing to do, answer with
 * *RET_BODY_LEN bytes; or -errno for the answer.
 */
int op_io_start(struct op_io *io, struct request *request, const struct call *call,
		uint32_t *ret_body_len);

/* REQUEST (state RUN), which was parked, has entered. Returns OP_IO_STARTED or OP_IO_WORKER. */
int op_io_resume(struct op_io *io, struct request *request);

/*
 * Makes the engine's RESULT the answer: 0 with *RET_BODY_LEN bytes at the payload, or -errno. The
 * caller has moved the request back to RUN. Or, as above: OP_IO_STARTED or OP_IO_PARKED, that was
 * not all; OP_IO_WORKER.
 */
int op_io_finish(struct op_io *io, struct request *request, int64_t result, uint32_t *ret_body_len);

#endif
