/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's own code in every order of events, up to a bound.
 *
 * What runs is what caissond is linked from: queues, transports, engine, workers, requests, pools
 * and zones. Its threads are fibers of one thread here, and what it asks the kernel for by
 * io_uring, /dev/fuse and eventfds goes to a kernel of ours (kernel.c, ring.c), which has the
 * other side of every choice: who runs next, which message comes, which I/O completes, and how.
 *
 * A run goes from start to the end of all threads by a list of choices; the next run has another
 * last choice (choice.c), until there is none. A thread that has no need to stop is stopped once
 * or twice in a run, as the scenario says, at the calls that the linker has wrapped: most
 * mistakes need no more (Musuvathi and Qadeer, "Iterative Context Bounding for Systematic Testing
 * of Multithreaded Programs", PLDI 2007). Where nothing can go on and not all have ended,
 * something was lost.
 *
 * Where the scenario says so, the process dies: at any of those calls, and whenever it waits. Its
 * I/O goes on. Another one takes over, by the daemon's own code, and may die as well.
 */
#ifndef CAISSON_EXPLORE_H
#define CAISSON_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fuse-kernel.h"
#include "serve/request.h"

/* --- choice.c --- */

/* One of COUNT (at least 1) ways to go on: 0 is tried first. */
uint32_t choose(uint32_t count);

/* Whether this run is still on the way that the one before has gone. */
bool choice_is_known(void);

/* Begins a run. False: all have been. */
bool choice_next(void);

/* The choices of this run, for whoever wants to see it again. */
void choice_print(void);

/* From now on only the run of CHOICES, numbers with commas between. */
void choice_only(const char *choices);

/* Goes on with HASH over LEN bytes of DATA. */
uint64_t hash_bytes(uint64_t hash, const void *data, size_t len);

/*
 * Whether a state of that HASH was seen with at least LEFT preemptions to come: all that can
 * follow has been, or will be, seen from there. seen_forget() tells how many states there were.
 */
bool seen_before(uint64_t hash, uint32_t left);
uint32_t seen_forget(void);

/* --- fiber.c: threads that take turns --- */

#define FIBERS 6

void fiber_start(const char *name, void (*main)(void *arg, uint32_t number), void *arg,
		 uint32_t number);

/*
 * The running fiber could go on, and may have to let another go first. Outside of fibers: nothing.
 */
void fiber_may_stop(void);

/*
 * The running fiber goes on when CAN(ARG). AT_TOP: all that it has to do then is in the world
 * (world_hash()), and nothing on its stack.
 */
void fiber_wait(bool (*can)(void *arg), void *arg, bool at_top, const char *what);

/* Forgets all fibers of the run before. */
void fiber_reset(void);

/*
 * Runs all to their ends, kernel included; or until some can't go on, or a state comes that is
 * known.
 */
enum run_end { RUN_ENDED, RUN_STUCK, RUN_KNOWN };
enum run_end fiber_run_all(uint32_t preemptions);

/* Of the running one; NULL: none runs. */
const char *fiber_name(void);

/* --- kernel.c: what the wrapped calls ask --- */

/*
 * A client's request: what it sends, after which others were answered, and which answers are right.
 */
struct message {
	uint32_t opcode;
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
	uint64_t interrupts; /* unique of whom */
	uint32_t after;	     /* bit mask of those that must be over before */
	int32_t errors[4];   /* that may come besides success; ends with 0 */
	bool must_fail;	     /* success may not come */
	bool overwritten;    /* by a later one */
};

/* The unique of message number I, and the handle of the open file number I, of FILES. */
#define UNIQUE(i) (2ull * ((i) + 1))
#define FH(i)	  (1ull << 32 | (i))
#define FILES	  2

/* Of all writes. */
#define BLOCK_BYTES 4096u

#define MESSAGES 6

/* What is left open to the kernel in a scenario. */
struct kernel_freedom {
	bool short_io;	 /* I/O may be short, once */
	int error;	 /* I/O may fail with it (-errno), once; or 0 */
	bool abort;	 /* the connection may be aborted at any time */
	bool stop;	 /* the daemon may be told to stop at any time */
	bool entries;	 /* requests come by entries of the daemon's rings */
	uint32_t leases; /* so often may a lease be met by who opens a file */
	uint32_t deaths; /* so often may the process die */
};

/*
 * Forgets all, and has COUNT MESSAGES to send; the client goes away (unmount) when all were
 * answered.
 */
void kernel_reset(const struct message *messages, uint32_t count,
		  const struct kernel_freedom *freedom);

/* The number of things that can happen now, and: let number WHICH of them happen. */
uint32_t kernel_events(void);
void kernel_happen(uint32_t which);

/* Whether FD is one of ours: of the device, or an eventfd. */
bool kernel_has_fd(int fd);

/* Whether the daemon has taken request number I, and its answer is due. */
bool kernel_awaits(uint32_t i);

/* All answers that were due are there, and so is in the file FD what was answered as written. */
bool kernel_is_content(int fd);

uint64_t kernel_hash(uint64_t hash);

/* Whether those who wait for leases are due to be looked after. */
bool kernel_timer_is_due(void);

/* What the scenario's `stop` does, and the death of the process. */
extern void (*kernel_on_stop)(void);
extern void (*kernel_on_death)(void);

/* Whether the process may die now; and its death. */
bool kernel_may_die(void);
void kernel_die(void);

/* Whether the client has the answer to the request of that UNIQUE, if there is to be one. */
bool kernel_has_answered(uint64_t unique);

/* --- ring.c: io_uring --- */

/* An operation that a ring was given. */
struct operation {
	void *ring;
	uint64_t user_data;
	uint8_t opcode;
	int fd;
	uint64_t addr, off;
	uint32_t len, cmd_op;
	uint64_t commit_id;
	bool in_use;
};

/* Descriptors of rings lie where no real one does. */
#define RING_FD 4000

void ring_reset(void);

/* As of close(2), of a ring's descriptor: its polls end, its I/O goes on. False: it is none. */
bool ring_close(int fd);

/* The process has died that made the rings. */
void ring_die(void);

/* Whether I/O of a process that has died is under way. */
bool ring_has_late_io(void);
uint32_t ring_operations(struct operation **ret_operations);
void ring_complete(struct operation *operation, int result);

uint64_t ring_hash(uint64_t hash);

/* Does what needs no waiting: true, with the result. */
bool kernel_submit(struct operation *operation, int *ret_result);

/* --- world.c: the daemon's parts, put together anew for each run --- */

struct scenario {
	const char *name, *about;
	uint32_t queues, depth, workers, metas; /* depth: slots of a queue */
	uint32_t entries;			/* … of which so many are entries */
	const struct message *messages;
	uint32_t message_count;
	struct kernel_freedom freedom;
	uint32_t preemptions;
	bool two_ways;	   /* handle 0 writes directly, the others through the page cache */
	uint64_t zone_len; /* the file is a zone of so many bytes, or 0 */
};

void world_make(void);
void world_begin(const struct scenario *scenario);
/* After all fibers have ended: everything has come back. */
void world_check_end(void);
/* Undoes world_begin(). */
void world_end(void);
uint64_t world_hash(void);
/* The file's. */
uint64_t world_nodeid(void);

/* Of the request in SLOT. */
uint64_t world_unique(uint32_t slot);
/* Whether FD is one that goes around the page cache. */
bool world_is_direct(int fd);
void world_remove(void);

/*
 * Invariants that hold whenever a request has been moved: each is a point at which the daemon
 * might crash, and another one would have to go on from what is in the arena.
 */
void world_check(void);

void __real_request_move(struct request *request, enum request_state to);

/* Transitions of requests that were seen: [from][to]. */
extern uint64_t moves_seen[REQUEST_STATES][REQUEST_STATES];

/* --- explore.c --- */

/* Says what is wrong, with the way there, and ends the program. */
_Noreturn void explore_fail(const char *what);
void explore_trace(const char *what, uint64_t number);

#endif
