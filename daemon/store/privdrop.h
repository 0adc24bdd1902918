/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dropping privileges, in stages. Capabilities belong to a task, not to a process: each thread
 * drops its own, and the threads that it starts inherit what it has.
 *
 *   start      all that the caller had: mounting, marking, raising limits
 *   prepared   privdrop_process(): the serving set, and CAP_IPC_LOCK for the arena, rings, stacks
 *   serving    privdrop_thread(): the serving set
 *   keeper     privdrop_keeper(): what unmounting needs
 *
 * Each stage is read back from /proc/thread-self/status. There is no way back: no_new_privs is set
 * and the bounding set is empty.
 */
#ifndef CAISSON_PRIVDROP_H
#define CAISSON_PRIVDROP_H

#include <stdbool.h>
#include <stdint.h>

struct privdrop_plan {
	bool sys_admin; /* serve with CAP_SYS_ADMIN: trusted.* attributes and passthrough need it */
};

/*
 * In the server, before its threads. Returns 0 or -errno; -EPERM also where the kernel shows
 * another set than asked for.
 */
int privdrop_process(const struct privdrop_plan *plan);

/* Whether privdrop_process() has kept CAP_SYS_ADMIN. Any thread. */
bool privdrop_has_sys_admin(void);

/* By each thread when its ring and stack are made, and by main last. As privdrop_process(). */
int privdrop_thread(void);

/*
 * In the keeper, after it has forked the server. Without no_new_privs where we aren't root:
 * fusermount3 is set-uid. Returns 0 or -errno.
 */
int privdrop_keeper(void);

/*
 * The names of the calling thread's effective capabilities into TEXT, separated by spaces; "none".
 * Without allocating. After privdrop_thread(): the serving set, for status.
 */
void privdrop_serving_set(char *text, uint32_t len);

#endif
