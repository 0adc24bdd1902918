/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Caller credentials: the calling thread takes on a caller's filesystem uid and gid, supplementary
 * groups and filesystem capabilities for a while. These are properties of a task, set by raw
 * system calls, because the C library's wrappers would change every thread. A scope restores what
 * was there (S9).
 *
 * The kernel has checked the caller's rights already (default_permissions), but it has checked
 * what it knew. If somebody works in BACKING or through another mount, a name may lead to another
 * file by now, and a mode may have changed. With the caller's own rights the backing filesystem
 * checks the very object that it acts on, in the same step: sticky directories, owners, modes,
 * ACLs. Checking names first would leave a gap between the check and the act.
 *
 * The rights come from /proc/PID/status of the thread that waits for the answer: its groups and
 * its effective capabilities. They are read each time, because a caller that has just dropped a
 * group must not keep its rights. A caller that has all capabilities that we have, as root does,
 * needs no groups; for it capget() and readlink() are enough.
 *
 * User namespaces: a capability means what it says in the namespace of the thread that has it, and
 * uid 0 means nothing, as anybody gets both by `unshare -U -r`. So the thread's namespace is
 * compared with ours (/proc/PID/ns/user). Its maps can't stand in for that: two namespaces may
 * have the same.
 *
 * The capabilities of a caller in another user namespace count as they do in the kernel
 * (privileged_wrt_inode_uidgid()): over objects whose owner and group have a number there. For
 * what the owner may do, a number for the owner is enough (inode_owner_or_capable()). So the root
 * of a container can do with its files what it does on any filesystem, and making a namespace
 * gains nothing. An object that is to be removed or renamed is looked at by its name before the
 * act, with a gap between the two. So CAP_FOWNER counts for it only if its directory belongs to
 * the namespace, whose root could own the directory as well. One case is left: a directory that is
 * moved to another directory. Somebody who puts a directory of others in its place in that gap has
 * it moved, although they may not write to it.
 *
 * Unseen callers: some callers can't be looked up, because they are in a pid namespace that isn't
 * below ours, /proc hides them (hidepid), or they are kernel threads that act for somebody, as NFS
 * servers do. No client can choose to be one of these. For them the kernel's check has to do,
 * except that CAP_FOWNER of others than root doesn't count, so sticky directories and owners are
 * respected. A caller whose identity isn't its thread's (an io_uring personality), or that has
 * been killed, gets no groups and no capabilities. So does one that is unseen and that the kernel
 * hasn't checked. If the caller can be seen but its namespace can't, it is taken to be in another.
 * A group that has no number in our namespace is left out, because /proc shows all of these as
 * one, which may be somebody's.
 */
#ifndef CAISSON_CREDS_H
#define CAISSON_CREDS_H

#include <stdbool.h>
#include <stdint.h>

/* Objects that one operation acts on: two directories, and what has a name in each. */
#define CREDS_OBJECTS 4

/* Which rights over an object the operation takes. */
enum {
	OVER_ACCESS = 1, /* to read, write and search */
	OVER_OWNER = 2,	 /* to do what its owner may */
	OVER_CHANGE = 4, /* to give it away, and set-id bits and capabilities to it */
	OVER_MOVED = 8,	 /* to write to it if it is a directory: its ".." changes */
	OVER_ALL = OVER_ACCESS | OVER_OWNER | OVER_CHANGE,
};

/* What FD is open on; where NAME isn't NULL, what has that name in FD, if anything has. */
struct caller_object {
	int fd;
	const char *name;
	uint32_t over;
};

struct caller {
	uint32_t uid, gid;
	uint32_t pid;	   /* of its thread, in our pid namespace; 0 where it isn't visible */
	uint32_t supp_gid; /* one group known from the request, or UINT32_MAX */
	/* the kernel has checked the caller's rights (default_permissions) */
	bool checked;
	/*
	 * CAP_FSETID is off meanwhile: a write, truncation or copy then clears the set-id bits as
	 * it does for somebody who may not keep them (setattr_should_drop_suidgid() in fs/attr.c).
	 */
	bool without_fsetid;
	/* what is acted on, for callers in other user namespaces */
	struct caller_object object[CREDS_OBJECTS];
	uint32_t objects;
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

/* Whether /proc shows us other users' processes. Constant after creds_init(): any thread. */
bool creds_see_callers(void);

/*
 * Whether we may know each caller's user namespace (CAP_SYS_PTRACE). Constant after creds_init():
 * any thread.
 */
bool creds_tell_namespaces(void);

/*
 * To be called once by each thread that will assume callers' identities: gives it a umask of its
 * own (unshare(CLONE_FS)), set to 0, and notes what creds_resume() goes back to. Returns 0 or
 * -errno.
 */
int creds_thread_init(void);

/*
 * Takes on CALLER's identity and rights until creds_resume(). Scopes don't nest.
 * Returns 0 or -errno (-ENOMEM, -EPERM); on error nothing has changed. After creds_thread_init().
 */
int creds_assume(const struct caller *caller);

/*
 * Whether the identity that was assumed keeps the set-id bits of what it writes to (CAP_FSETID);
 * true where it can't be told.
 */
bool creds_may_keep_setid(void);

/*
 * Ends the scope; nothing to do where none is open. Never fails: a thread that can't shed a
 * caller's identity ends the process, because it would serve the next one with it.
 */
void creds_resume(void);

#endif
