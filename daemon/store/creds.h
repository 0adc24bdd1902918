/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creds lets a thread act for a caller: for a while the thread takes on the caller's filesystem uid
 * and gid, supplementary groups and filesystem capabilities. These belong to one thread, so they
 * are set by raw system calls; the C library's wrappers would change every thread. The end of the
 * scope restores what was there before (S9).
 *
 * The kernel has checked the caller's rights already (default_permissions), but only against what
 * it knew. If somebody works in BACKING or through another mount, a name may lead to another file
 * by now, and a mode may have changed. With the caller's own rights, the backing filesystem checks
 * the very object that it acts on, in the same step: sticky directories, owners, modes, ACLs. If
 * the daemon checked names first, there would be a gap between the check and the act.
 *
 * Sources: the caller is the thread that waits for the answer. Its groups come from
 * /proc/PID/status and its effective capabilities from capget(). They are read for each request,
 * because a caller that has just dropped a group must not keep its rights. For a caller with uid 0
 * that has all of our capabilities, the groups don't matter and aren't read.
 *
 * User namespaces: a capability means something only in the user namespace of the thread that has
 * it, and so does uid 0; anybody gets both by `unshare -U -r`. So the caller's namespace is
 * compared with ours (/proc/PID/ns/user). Its uid and gid maps can't tell, because two namespaces
 * may have the same maps.
 *
 * A capability of a caller in another user namespace counts as it does in the kernel: over objects
 * whose owner and group both have a number in that namespace (privileged_wrt_inode_uidgid()). For
 * what an owner may do, a number for the owner is enough (inode_owner_or_capable()). So the root of
 * a container can do with the container's files what it can do on any filesystem, and making a
 * namespace gains no rights.
 *
 * An object that is to be removed or renamed is looked up by its name shortly before the act, and
 * another object may take its name in between. So CAP_FOWNER counts for such an object only if the
 * caller could be the owner of the directory: the directory belongs to the caller's namespace, and
 * the caller has CAP_SETUID there. One case is left open. If a caller moves a directory to another
 * directory and somebody puts another user's directory in its place in between, that one is moved,
 * although the caller may not write to it.
 *
 * Unseen callers: some callers can't be looked up, because their pid namespace isn't below ours,
 * because /proc hides them (hidepid=), or because they are kernel threads that act for others, such
 * as NFS servers. No client can choose to be one of these. For them, the kernel's own check must be
 * enough. Only CAP_FOWNER isn't given to them unless they are root, so that sticky directories and
 * owners are still respected.
 *
 * A caller gets no groups and no capabilities if it has been killed, if its identity isn't its
 * thread's (an io_uring personality), or if it is unseen and the kernel hasn't checked its rights.
 * If a caller can be seen but its namespace can't, it is taken to be in another namespace. Groups
 * without a number in our namespace are left out, because /proc shows the same number for all of
 * them, and a real group may have that number.
 */
#ifndef CAISSON_CREDS_H
#define CAISSON_CREDS_H

#include <stdbool.h>
#include <stdint.h>

/* The most objects that one operation acts on: two directories, and a name in each. */
#define CREDS_OBJECTS 4

/* The rights over an object that an operation needs. */
enum {
	OVER_ACCESS = 1, /* to read, write and search it */
	OVER_OWNER = 2,	 /* to do what its owner may do */
	OVER_CHANGE = 4, /* to give it away, or to give it set-id bits or capabilities */
	OVER_MOVED = 8,	 /* to write to it if it is a directory, because its ".." changes */
	OVER_ALL = OVER_ACCESS | OVER_OWNER | OVER_CHANGE,
};

/* The object that FD is open on or, if NAME isn't NULL, that has this name in FD, if any has. */
struct fd_marks;

struct caller_object {
	int fd;
	const char *name;
	uint32_t over;
};

struct caller {
	uint32_t uid, gid;
	uint32_t pid;	   /* of its thread, in our pid namespace; 0 if it isn't visible there */
	uint32_t supp_gid; /* a group that the request names, or UINT32_MAX */
	/* the kernel has checked the caller's rights (default_permissions) */
	bool checked;
	/*
	 * CAP_FSETID is off during the scope. Then a write, truncation or copy clears the set-id
	 * bits (setattr_should_drop_suidgid() in fs/attr.c).
	 */
	bool without_fsetid;
	/* the objects that are acted on, for callers in other user namespaces */
	struct caller_object object[CREDS_OBJECTS];
	uint32_t objects;
};

/* The most supplementary groups that are taken on. The rest of a longer list is left out. */
#define CREDS_GROUPS 1024

/*
 * Finds out whether the process can act for callers, which takes CAP_SETUID and CAP_SETGID.
 * Otherwise every caller acts as the daemon's own user. To be called once, with the capabilities
 * that the process will serve with, before creds_thread_init(). Allocates: before the seal. Returns
 * 0 or -errno: -ENOENT if there is no /proc.
 */
int creds_init(void);

/* Marks the descriptor that creds_init() has opened. */
void creds_mark_fds(struct fd_marks *marks);
void creds_destroy(void);

/* Whether creds_assume() changes anything. Constant after creds_init(): any thread. */
bool creds_act_for_callers(void);

/* Whether /proc shows us other users' processes. Constant after creds_init(): any thread. */
bool creds_see_callers(void);

/*
 * Whether we can see each caller's user namespace, which takes CAP_SYS_PTRACE. Constant after
 * creds_init(): any thread.
 */
bool creds_tell_namespaces(void);

/*
 * To be called once by each thread that will act for callers. Gives the thread a umask of its own
 * (unshare(CLONE_FS)), which is 0, and notes what creds_resume() restores. Returns 0 or -errno.
 */
int creds_thread_init(void);

/*
 * Takes on CALLER's identity and rights until creds_resume(). Scopes don't nest. To be called after
 * creds_thread_init(). Returns 0 or -errno (-ENOMEM, -EPERM); on error nothing has changed.
 */
int creds_assume(const struct caller *caller);

/*
 * Whether set-id bits stay when the calling thread writes to a file now, which takes CAP_FSETID.
 * Returns true if that can't be told.
 */
bool creds_may_keep_setid(void);

/*
 * Ends the scope, if the calling thread has one. Never fails: if a thread can't restore its own
 * identity, it aborts the process, because it would serve the next caller with the wrong one.
 */
void creds_resume(void);

#endif
