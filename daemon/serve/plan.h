/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan: how many slots a server has, and so how much memory it needs. The configuration and
 * the kernel's offer decide it. Main thread, before there are others.
 */
#ifndef CAISSON_PLAN_H
#define CAISSON_PLAN_H

#include <stdint.h>

#include "serve/ring-layout.h"
#include "serve/session.h"

struct arena;
struct cpus;
struct fs;
struct serve_config;

/* Slots for metadata requests, common to all queues. */
#define PLAN_META_SLOTS 512

/* How many of what, by one of the transports. */
struct plan {
	uint32_t queues, queue_depth; /* by io_uring the entries of a queue, at most */
	struct ring_layout layout;    /* without entries: by /dev/fuse */
};

/*
 * The most bytes of an arena that CONFIG can lead to, before there is one. Returns 0, or
 * -EOVERFLOW, -ENOMEM. What else is locked, program text, libraries, stacks and rings, is below
 * PLAN_OTHER_MEMORY.
 */
int plan_memory(const struct serve_config *config, uint64_t *ret_len);
#define PLAN_OTHER_MEMORY (32u << 20)

/*
 * Reads what the kernel offers at SESSION_FD and settles what CONFIG makes of it: SESSION, PLAN and
 * what of FS depends on it. Returns 0 or -errno, logged; plan_destroy() in any case.
 */
int plan_agree(const struct serve_config *config, int session_fd, struct fs *fs,
	       struct session *session, struct plan *plan);
void plan_destroy(struct plan *plan);

/* What PLAN's slots are made for. */
struct session_config plan_session(const struct serve_config *config, const struct plan *plan);

/* Slots of a queue. */
uint32_t plan_slots(const struct plan *plan);

/* Requests that may keep their slots while they wait for the dropper (dropper.h). */
uint32_t plan_drops(const struct plan *plan);

/*
 * How many background requests the kernel may have under way, which are readahead and asynchronous
 * direct I/O, such as a loop device's: three quarters of all slots, or by io_uring of one CPU's
 * entries, so that they leave some to all others. A CPU that has a single entry has none to leave.
 */
uint32_t plan_background(const struct plan *plan);

/*
 * How FUSE-over-io_uring is laid out on a machine with these CPUs: with the entries that CONFIG
 * name, otherwise with as many as are of use and memory= has room for. The fewest possible may
 * still be too many: see plan_len(). Returns 0 or -errno; plan_destroy() in any case.
 */
int plan_uring(const struct serve_config *config, const struct cpus *cpus, struct plan *plan);

/* Bytes of the arena that PLAN takes. Returns 0 or -EOVERFLOW. */
int plan_len(const struct serve_config *config, const struct plan *plan, uint64_t *ret_len);

/* Plans all tables of ARENA. Returns 0 or -EOVERFLOW. */
int plan_arena(struct arena *arena, const struct serve_config *config, const struct plan *plan);

#endif
