/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Acting for a caller: filesystem uid and gid, supplementary groups and filesystem capabilities of
 * the calling thread. Each is a per-task property set by a raw system call (the C library's
 * wrappers would change every thread). A scope restores what was there (S9).
 */
#ifndef CAISSON_CREDS_H
#define CAISSON_CREDS_H

#include <stdbool.h>
#include <stdint.h>

struct caller {
	uint32_t uid, gid;
	uint32_t pid;	   /* of its thread, in our pid namespace; 0 where it isn't visible */
	uint32_t supp_gid; /* one group known from the request, or UINT32_MAX */
	/*
	 * The kernel has checked the caller's rights (default_permissions): only the ownership of
	 * what gets made matters, and the filesystem capabilities stay effective, so that a caller
	 * whose groups or capabilities we can't see isn't refused what the kernel has allowed.
	 */
	bool checked;
	/*
	 * CAP_FSETID is off meanwhile: a write, truncation or copy then clears the set-id bits as
	 * it does for somebody who may not keep them (setattr_should_drop_suidgid() in fs/attr.c).
	 */
	bool without_fsetid;
};

/* Supplementary groups of one caller that are taken on; the rest of a longer list is left out. */
#define CREDS_GROUPS 1024

/*
 * Finds out whether the process may act for others at all (it has CAP_SETUID and CAP_SETGID);
 * otherwise every caller acts as the daemon's own user. To be called once, with the capabilities
 * that the process will serve with, before creds_thread_init(). Allocates: before the seal.
 * Returns 0 or -errno: -ENOENT where there is no /proc.
 */
int creds_init(void);
void creds_destroy(void);

/* Whether creds_assume() changes anything. Constant after creds_init(): any thread. */
bool creds_act_for_callers(void);

/*
 * To be called once by each thread that will assume callers' identities: gives it a umask of its
 * own (unshare(CLONE_FS)), set to 0, and notes what creds_resume() goes back to. Returns 0 or
 * -errno.
 */
int creds_thread_init(void);

/*
 * Takes on CALLER's identity until creds_resume(). Reads the caller's groups from /proc/PID/status
 * where they matter: not when CALLER is root or checked. They are read anew each time: a caller
 * that has just dropped a group mustn't keep its rights. Scopes don't nest.
 * Returns 0 or -errno (-ENOMEM, -EPERM); on error nothing has changed. After creds_thread_init().
 */
int creds_assume(const struct caller *caller);

/*
 * Ends the scope; nothing to do where none is open. Never fails: a thread that can't shed a
 * caller's identity ends the process, because it would serve the next one with it.
 */
void creds_resume(void);

#endif
