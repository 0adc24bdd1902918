/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server: its memory, tables, threads and rings. They are made in an order in which each step
 * can still fail cleanly. Then comes the seal, after which the data path allocates nothing.
 */
#ifndef CAISSON_SERVER_H
#define CAISSON_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "handlers/prune.h"
#include "serve/dropper.h"
#include "serve/engine.h"
#include "serve/gate.h"
#include "serve/plan.h"
#include "serve/session.h"
#include "serve/takeover.h"
#include "serve/threads.h"
#include "serve/worker.h"
#include "store/fs.h"

struct fd_marks;
struct serve_config;
struct outbox;
struct queue;

struct server {
	const struct serve_config *config;
	struct arena arena;
	struct fs fs;
	struct session session;
	struct queue *queues;
	struct outbox *outboxes; /* one a queue */
	struct engine_shared engines;
	struct plan plan;
	struct gate_table gates;
	struct worker_set workers;
	struct prune prune;
	struct dropper dropper;
	struct threads threads;
	struct handover *handover;	  /* NULL with recovery=off */
	bool inherits;			  /* it takes over from another one */
	struct takeover_rings dead_rings; /* of the server that it may take over from */
	int sentinels[SERVE_QUEUES_MAX];  /* of those, while they are left; or -1 */
	int session_fd;			  /* the mount's /dev/fuse */
	int ended_fd;			  /* eventfd, readable when a queue thread has returned */
	_Atomic uint32_t running;	  /* queue threads that have not returned */
};

/* The end of the server that another one takes over from (takeover.h). */
struct server_estate {
	struct fd_marks *marks;	  /* has the descriptors of this process and its keeper */
	uint64_t died_us;	  /* CLOCK_MONOTONIC, of the keeper's notice */
	int wait_ms;		  /* the longest time to wait for its I/O */
	bool failed;		  /* it was not killed by somebody else */
	void (*swept)(void *arg); /* from now on, others may open descriptors again */
	void *arg;
};

/*
 * Makes everything up to and including the threads, each with its ring and its final capabilities,
 * all waiting to be let go. Takes over SESSION_FD and the backing directory in STORE. ARENA_FD is
 * that of the server from which this one is to take over when that has died, or -1. The process has
 * been marked and has locked its memory before. Logs what fails. Returns 0 or -errno: -EBADMSG if
 * the arena has another layout.
 */
int server_open(struct server *server, const struct serve_config *config, const struct store *store,
		int session_fd, int arena_fd);

/*
 * The seal: answers INIT, or takes ESTATE over, and lets the threads go. Returns 0 or -errno,
 * logged.
 */
int server_seal(struct server *server, const struct server_estate *estate);

/*
 * Step 4 of takeover.h: waits for a sentinel for MS milliseconds at most, and has a queue look at
 * the device. To be called again until it returns true: then the rings have gone. The main thread.
 */
bool server_settle(struct server *server, int ms);

/*
 * Frees threads that can't have the CPU that they keep to (affinity.h). To be called each half
 * second or so, from the seal on until server_close(). Doesn't block. The main thread.
 */
void server_check_affinity(struct server *server);

/* Has each queue finish its requests and return. The main thread. */
void server_stop(struct server *server);

/* Clears ended_fd until another queue thread returns. To be called before looking, not after. */
void server_clear_ended(struct server *server);

/* Whether all queue threads have returned. Any thread. */
bool server_has_ended(const struct server *server);

/*
 * 0, or the -errno of a queue that ended other than by an unmount or server_stop(): -ECONNABORTED
 * if the connection was aborted. Nobody serves its device then, so the others have to be stopped.
 * Any thread.
 */
int server_fault(const struct server *server);

/*
 * Waits for all threads and closes every file of BACKING that clients have opened. It comes first
 * at the end, because BACKING may be about to be unmounted. server_close() follows.
 */
void server_join(struct server *server);

/* Waits for all threads and frees everything, also if server_open() has failed. */
void server_close(struct server *server);

/* Bytes of the arena, for the line at start and for status. */
uint64_t server_memory_len(const struct server *server);

#endif
