/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Privdrop drops the daemon's capabilities in stages. Capabilities belong to a thread, not to a
 * process. So each thread drops its own, and a new thread inherits those of its maker.
 *
 *   stage      entered by           capabilities
 *   start      –                    all that the caller has, to mount, mark and raise limits
 *   prepared   privdrop_process()   the serving set, and CAP_IPC_LOCK for arena, rings and stacks
 *   serving    privdrop_thread()    the serving set
 *   keeper     privdrop_keeper()    those that unmounting needs; with recovery=on it may take
 *                                   back those of the stage prepared, for another server
 *
 * Each stage is checked in /proc/thread-self/status. The server can't undo one, because
 * no_new_privs is set. The bounding set is empty, too, if CAP_SETPCAP permitted that.
 */
#ifndef CAISSON_PRIVDROP_H
#define CAISSON_PRIVDROP_H

#include <stdbool.h>
#include <stdint.h>

struct privdrop_plan {
	bool sys_admin; /* keep CAP_SYS_ADMIN, for trusted.* attributes and passthrough */
};

/*
 * To be called in the server before it starts threads. Returns 0 or -errno: -EPERM also if the
 * kernel shows another set than the one that was asked for.
 */
int privdrop_process(const struct privdrop_plan *plan);

/* Whether privdrop_process() has kept CAP_SYS_ADMIN. Any thread. */
bool privdrop_has_sys_admin(void);

/*
 * To be called by each thread when its ring and stack are made, and last by the main thread.
 * Returns as privdrop_process().
 */
int privdrop_thread(void);

/*
 * To be called in the keeper after it has forked the server. Doesn't set no_new_privs unless the
 * keeper can unmount by itself (CAP_SYS_ADMIN): otherwise it needs fusermount3, which is set-uid.
 * Returns 0 or -errno.
 */
int privdrop_keeper(void);

/*
 * The same for a keeper that may have to start another server, which calls privdrop_heir() then, or
 * to execute its successor (upgrade.h).
 */
int privdrop_keeper_of_heirs(void);
int privdrop_heir(void);

/*
 * Gives such a keeper CAP_SYS_PTRACE, if it may have that, or takes it back. It is needed to copy
 * descriptors of a process that has changed its user or capabilities. Returns 0 or -errno.
 */
int privdrop_keeper_trace(bool on);

/*
 * Writes the names of the calling thread's effective capabilities to TEXT, which has LEN bytes,
 * separated by spaces; or "none". After privdrop_thread() this is the serving set. Doesn't
 * allocate.
 */
void privdrop_serving_set(char *text, uint32_t len);

#endif
