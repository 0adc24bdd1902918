/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan: how many queues and slots a server has, and so how much memory it needs. The
 * configuration and the kernel's offer decide that. Main thread, before there are others.
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

struct plan {
	uint32_t queues, queue_depth; /* with ring entries: most entries of a queue */
	struct ring_layout layout;    /* count 0: transport=dev */
};

/*
 * The most bytes that an arena can have with CONFIG. Returns 0, -EOVERFLOW or -ENOMEM. All other
 * locked memory (program text, libraries, stacks, rings) is less than PLAN_OTHER_MEMORY.
 */
int plan_memory(const struct serve_config *config, uint64_t *ret_len);
#define PLAN_OTHER_MEMORY (32u << 20)

/*
 * Reads the kernel's offer from SESSION_FD and decides, with CONFIG, on SESSION, PLAN and the
 * fields of FS that INIT agrees on. Returns 0 or -errno, logged. plan_destroy() is due in any case.
 */
int plan_agree(const struct serve_config *config, int session_fd, struct fs *fs,
	       struct session *session, struct plan *plan);
void plan_destroy(struct plan *plan);

/* The plan for /dev/fuse. */
struct plan plan_dev(const struct serve_config *config);

/* The limits that INIT has to announce for PLAN. */
struct session_config plan_session(const struct serve_config *config, const struct plan *plan);

/* Slots of a queue. */
uint32_t plan_slots(const struct plan *plan);

/* How many requests may wait for the dropper, with their slots (dropper.h). */
uint32_t plan_drops(const struct plan *plan);

/*
 * How many background requests the kernel may have in flight. These are readahead and asynchronous
 * direct I/O, such as a loop device's. They may use three quarters of all slots, or with ring
 * entries of one CPU's, so that other requests find some. A single entry of a CPU is theirs, too.
 */
uint32_t plan_background(const struct plan *plan);

/*
 * Plans ring entries for a machine with these CPUS: as many as CONFIG asks for, or else as many as
 * are useful and memory= has room for. Even the fewest may need more than memory=: see plan_len().
 * Returns 0 or -errno. plan_destroy() is due in any case.
 */
int plan_uring(const struct serve_config *config, const struct cpus *cpus, struct plan *plan);

/* Bytes of the arena that PLAN takes. Returns 0 or -EOVERFLOW. */
int plan_len(const struct serve_config *config, const struct plan *plan, uint64_t *ret_len);

/* Plans all tables of ARENA. Returns 0 or -EOVERFLOW. */
int plan_arena(struct arena *arena, const struct serve_config *config, const struct plan *plan);

#endif
