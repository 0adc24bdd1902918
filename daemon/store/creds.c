/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/creds.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/cleanup.h"
#include "base/fd-marks.h"
#include "base/macro.h"
#include "base/procfs.h"

/* The filesystem capabilities: the kernel's CAP_FS_SET, and those for privileged attributes. */
static const unsigned fs_caps[] = {
	CAP_CHOWN,  CAP_MKNOD,		 CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
	CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MAC_OVERRIDE, CAP_SETFCAP,		CAP_SYS_ADMIN,
};

/* Those that a user namespace gives over its own inodes (capable_wrt_inode_uidgid()). */
static const struct {
	unsigned cap;
	uint32_t over; /* the right that it gives */
} inode_caps[] = {
	{ CAP_CHOWN, OVER_CHANGE },	      { CAP_DAC_OVERRIDE, OVER_ACCESS },
	{ CAP_DAC_READ_SEARCH, OVER_ACCESS }, { CAP_FOWNER, OVER_OWNER },
	{ CAP_FSETID, OVER_CHANGE },	      { CAP_SETFCAP, OVER_CHANGE },
};

/* The link in /proc/PID to a thread's user namespace. Its target is "user:[N]". */
#define NAMESPACE     "ns/user"
#define NAMESPACE_LEN 32u

/* DEFAULT_OVERFLOWGID in include/linux/highuid.h of the kernel. */
#define OVERFLOW_GID 65534u

/* PF_KTHREAD in include/linux/sched.h of the kernel. Field 9 of /proc/PID/stat has it. */
#define KERNEL_THREAD 0x00200000u

/* Bytes of /proc/PID/status, with CREDS_GROUPS groups of common numbers. */
#define STATUS_LEN (16u << 10)

/* Bytes of /proc/PID/uid_map or gid_map, with a hundred lines. */
#define MAP_LEN 4096u

/* Written by creds_init(), before there are threads. */
static struct {
	bool acting, seeing, telling;
	int proc_fd;		       /* of /proc */
	char namespace[NAMESPACE_LEN]; /* our own; "" if the kernel has no user namespaces */
	gid_t unmapped_gid;	       /* see read_unmapped_gid() */
	gid_t *groups;
	int group_count;
} own = { .proc_fd = -1 };

/* The calling thread's own identity, and whether it has another one at present. */
static _Thread_local struct {
	bool ready, assumed, groups_changed;
	uid_t fsuid;
	gid_t fsgid;
	struct caps caps;
	gid_t groups[CREDS_GROUPS];
} mine;

static bool set_has(uint64_t set, unsigned cap)
{
	return set & CAPS_BIT(cap);
}

/* Writes "PID/NAME" to PATH without stdio. */
static void proc_path(uint32_t pid, const char *name, char path[static 24])
{
	path = procfs_put_number(pid, path);
	*path++ = '/';
	memcpy(path, name, strlen(name) + 1);
}

/*
 * procfs_read_text() of the file NAME of PID. -ENOENT and -ESRCH mean that there is no such
 * process.
 */
static ssize_t proc_read(uint32_t pid, const char *name, char *text, size_t size)
{
	char path[24];

	proc_path(pid, name, path);
	return procfs_read_text(own.proc_fd, path, text, size);
}

/*
 * Reads the name of the thread PID's user namespace, which no other namespace has as long as this
 * one exists. Returns 0 or -errno: -EACCES without CAP_SYS_PTRACE.
 */
static int read_namespace(uint32_t pid, char name[static NAMESPACE_LEN])
{
	char path[24];
	ssize_t len;

	proc_path(pid, NAMESPACE, path);
	len = readlinkat(own.proc_fd, path, name, NAMESPACE_LEN - 1);
	if (len < 0)
		return -errno;
	name[len] = '\0';
	return 0;
}

/* Reads the decimal number at *AT and moves *AT behind it. Returns false if there is none. */
static bool parse_number(const char **at, uint64_t *ret_number)
{
	const char *start;

	while (**at == ' ' || **at == '\t')
		(*at)++;
	*ret_number = 0;
	for (start = *at; **at >= '0' && **at <= '9'; (*at)++)
		*ret_number = *ret_number * 10 + (uint64_t)(**at - '0');
	return *at != start;
}

/* Whether MAP, whose lines are "inside outside count", maps every number to itself. */
static bool is_whole_map(const char *map)
{
	uint64_t inside, outside, count;

	return parse_number(&map, &inside) && parse_number(&map, &outside) &&
	       parse_number(&map, &count) && inside == 0 && outside == 0 && count == UINT32_MAX;
}

/*
 * The number that /proc/PID/status shows for every group that has none in our user namespace, or
 * UINT32_MAX if all groups have one. A real group may have the same number.
 */
static gid_t read_unmapped_gid(void)
{
	char text[MAP_LEN];
	const char *at = text;
	uint64_t gid;

	if (proc_read((uint32_t)getpid(), "gid_map", text, sizeof(text)) > 0 && is_whole_map(text))
		return UINT32_MAX;
	if (procfs_read_text(own.proc_fd, "sys/kernel/overflowgid", text, sizeof(text)) <= 0 ||
	    !parse_number(&at, &gid))
		return OVERFLOW_GID;
	return (gid_t)gid;
}

void creds_mark_fds(struct fd_marks *marks)
{
	fd_marks_add(marks, own.proc_fd);
}

int creds_init(void)
{
	autoclose int proc_fd = -1;
	autofree gid_t *groups = NULL;
	struct caps caps;
	int count, r;
	char byte[2];

	assert(own.proc_fd < 0);
	r = caps_get(0, &caps);
	if (r < 0)
		return r;
	proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	count = getgroups(0, NULL);
	if (count < 0)
		return -errno;
	groups = calloc((size_t)count + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	count = getgroups(count, groups);
	if (count < 0)
		return -errno;

	own.acting = set_has(caps.effective, CAP_SETUID) && set_has(caps.effective, CAP_SETGID);
	own.proc_fd = steal_fd(&proc_fd);
	own.groups = groups;
	own.group_count = count;
	groups = NULL;
	/*
	 * process 1 always exists, and with hidepid= we see it only if we see all processes
	 */
	own.seeing = proc_read(1, "status", byte, sizeof(byte)) > 0;
	r = read_namespace((uint32_t)getpid(), own.namespace);
	own.unmapped_gid = read_unmapped_gid();
	own.telling = r == -ENOENT || set_has(caps.effective, CAP_SYS_PTRACE);
	return r == -ENOENT ? 0 : r;
}

void creds_destroy(void)
{
	close_fd(&own.proc_fd);
	free(own.groups);
	own.groups = NULL;
	own.acting = false;
}

bool creds_act_for_callers(void)
{
	return own.acting;
}

bool creds_see_callers(void)
{
	return own.seeing;
}

bool creds_tell_namespaces(void)
{
	return own.telling;
}

/* setfsuid() and setfsgid() return the previous id, and an id of -1 changes nothing. */
static uid_t fsuid_get(void)
{
	return (uid_t)syscall(SYS_setfsuid, (uid_t)-1);
}

static gid_t fsgid_get(void)
{
	return (gid_t)syscall(SYS_setfsgid, (gid_t)-1);
}

int creds_thread_init(void)
{
	int r;

	if (unshare(CLONE_FS) < 0)
		return -errno;
	(void)umask(0); /* op-meta.c sets the caller's if the kernel hasn't applied it */
	r = caps_get(0, &mine.caps);
	if (r < 0)
		return r;
	mine.fsuid = fsuid_get();
	mine.fsgid = fsgid_get();
	mine.ready = true;
	return 0;
}

/* The rights that a caller gets. */
struct rights {
	bool trusted;  /* the groups stay the daemon's, because the kernel's check is enough */
	uint64_t caps; /* bit N is capability N */
	int count;     /* number of groups */
	gid_t *groups;
};

/* The rest of the line in TEXT that begins with KEY, or NULL. */
static const char *find_line(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && strncmp(text, key, len) != 0) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? text + len : NULL;
}

/*
 * Reads the groups in TEXT, which is /proc/PID/status; its end may be missing:
 *	Uid:	real	effective	saved	filesystem
 *	Groups:	gid gid …
 * Returns false if the thread's filesystem uid isn't UID.
 */
static bool parse_status(const char *text, uint32_t uid, struct rights *rights)
{
	const char *at = find_line(text, "Uid:");
	uint64_t number = 0;

	for (int field = 0; field < 4; field++) {
		if (!at || !parse_number(&at, &number))
			return false;
	}
	if (number != uid)
		return false;
	at = find_line(at, "Groups:");
	while (at && rights->count < CREDS_GROUPS && parse_number(&at, &number) && *at) {
		if (number != own.unmapped_gid)
			rights->groups[rights->count++] = (gid_t)number;
	}
	return true;
}

/* Whether PID is a kernel thread, which acts for others. */
static bool is_kernel_thread(uint32_t pid)
{
	char text[MAP_LEN];
	const char *at;
	uint64_t number;

	if (proc_read(pid, "stat", text, sizeof(text)) < 0)
		return false;
	at = strrchr(text, ')'); /* "pid (name) state ppid pgrp session tty_nr tpgid flags" */
	if (!at || strlen(at) < 4)
		return false;
	at += 3;
	for (int field = 4; field <= 9; field++) {
		while (*at == ' ' || *at == '-')
			at++;
		if (!parse_number(&at, &number))
			return false;
	}
	return number & KERNEL_THREAD;
}

/*
 * Whether the outside id ID, of our namespace, has an inside id in MAP. Its lines are "inside
 * outside count".
 */
static bool map_has(const char *map, uint32_t id)
{
	uint64_t inside, outside, count;

	while (parse_number(&map, &inside) && parse_number(&map, &outside) &&
	       parse_number(&map, &count)) {
		if (id >= outside && id - outside < count)
			return true;
		if (*map == '\n')
			map++;
	}
	return false;
}

/* The rights over OBJECT that the namespace with these maps doesn't give. */
static uint32_t not_over(const struct caller_object *object, const char *uid_map,
			 const char *gid_map)
{
	const char *name = object->name ? object->name : "";
	uint32_t over = object->over;
	struct stat st;

	if (fstatat(object->fd, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return object->name && errno == ENOENT ? 0 : OVER_ALL;
	if (map_has(uid_map, st.st_uid)) {
		if (map_has(gid_map, st.st_gid))
			return 0;
		/* a name in a sticky directory needs both owner and group (__check_sticky()) */
		if (!object->name)
			over &= ~(uint32_t)OVER_OWNER;
	}
	return (over & OVER_MOVED) && S_ISDIR(st.st_mode) ? over | OVER_ACCESS : over;
}

/*
 * The rights over all of its objects that CALLER, with CAPS, has from the namespace with these
 * maps. Before the act, a name may come to lead to another user's file. Removing or renaming that
 * one takes the rights of the directory's owner, which CALLER can only become by CAP_SETUID.
 */
static uint32_t over_objects(const struct caller *caller, uint64_t caps, const char *uid_map,
			     const char *gid_map)
{
	uint32_t over = caller->objects ? OVER_ALL : 0;

	for (uint32_t i = 0; i < caller->objects; i++) {
		over &= ~not_over(&caller->object[i], uid_map, gid_map);
		if (caller->object[i].name && !set_has(caps, CAP_SETUID))
			over &= ~(uint32_t)OVER_OWNER;
	}
	return over;
}

/*
 * Whether the thread PID is known to be in our user namespace. Its maps can't tell, because another
 * namespace may have the same maps.
 */
static bool is_in_our_namespace(uint32_t pid)
{
	char name[NAMESPACE_LEN];

	return !own.namespace[0] ||
	       (read_namespace(pid, name) == 0 && strcmp(name, own.namespace) == 0);
}

/* The capabilities that CALLER, which has CAPS in its own user namespace, gets in ours. */
static uint64_t caps_here(const struct caller *caller, uint64_t caps)
{
	char uid_map[MAP_LEN], gid_map[MAP_LEN];
	uint64_t here = 0;
	uint32_t over;

	if (!caps || is_in_our_namespace(caller->pid))
		return caps;
	if (proc_read(caller->pid, "uid_map", uid_map, sizeof(uid_map)) < 0 ||
	    proc_read(caller->pid, "gid_map", gid_map, sizeof(gid_map)) < 0)
		return 0;
	over = over_objects(caller, caps, uid_map, gid_map);
	for (size_t i = 0; i < ARRAY_SIZE(inode_caps); i++) {
		if (over & inode_caps[i].over)
			here |= caps & CAPS_BIT(inode_caps[i].cap);
	}
	return here;
}

static void add_group(struct rights *rights, gid_t gid)
{
	if (gid == UINT32_MAX || rights->count == CREDS_GROUPS)
		return;
	for (int i = 0; i < rights->count; i++) {
		if (rights->groups[i] == gid)
			return;
	}
	rights->groups[rights->count++] = gid;
}

/*
 * Fills in the rights of CALLER, whose thread has CAPS. The thread waits for our answer, so its pid
 * is still its own unless it has been killed. If anything goes wrong, CALLER gets fewer rights than
 * it has, never more.
 */
static void find_rights(const struct caller *caller, uint64_t caps, struct rights *rights)
{
	char text[STATUS_LEN];

	if (!caller->pid || !own.seeing)
		rights->trusted = caller->checked;
	else if (proc_read(caller->pid, "status", text, sizeof(text)) < 0)
		rights->caps = 0; /* the thread has gone */
	else if (parse_status(text, caller->uid, rights))
		rights->caps = caps_here(caller, caps);
	else
		rights->trusted = caller->checked && is_kernel_thread(caller->pid);
	if (rights->trusted)
		rights->caps = ~CAPS_BIT(CAP_FOWNER);
	add_group(rights, caller->supp_gid);
}

/* The effective capabilities of the thread PID, or 0 if it has gone. */
static uint64_t caps_of(uint32_t pid)
{
	struct caps caps;

	(void)caps_get((pid_t)pid, &caps); /* it leaves none on failure */
	return caps.effective;
}

/* Whether CAPS include all filesystem capabilities that we have. */
static bool has_all(uint64_t caps)
{
	for (size_t i = 0; i < ARRAY_SIZE(fs_caps); i++) {
		if (set_has(mine.caps.effective, fs_caps[i]) && !set_has(caps, fs_caps[i]))
			return false;
	}
	return true;
}

/* Whether CALLER, which has uid 0 and CAPS, may do all that we may. */
static bool is_root(const struct caller *caller, uint64_t caps)
{
	if (!caller->pid)
		return caller->checked;
	if (!has_all(caps))
		return false;
	return own.seeing ? is_in_our_namespace(caller->pid) : caller->checked;
}

static int take_on(const struct caller *caller, const struct rights *rights)
{
	struct caps caps = mine.caps;

	if (!rights->trusted) {
		/* set before the call, so that creds_resume() restores them even if it fails */
		mine.groups_changed = true;
		if (syscall(SYS_setgroups, rights->count, rights->groups) < 0)
			return -errno;
	}
	/* these two calls don't tell whether they have succeeded */
	(void)syscall(SYS_setfsgid, caller->gid);
	(void)syscall(SYS_setfsuid, caller->uid);
	if (fsgid_get() != caller->gid || fsuid_get() != caller->uid)
		return -EPERM;

	/*
	 * changing the fsuid from 0 has lowered the filesystem capabilities, but changing it from
	 * another one hasn't (cap_task_fix_setuid()), so all of them are set here
	 */
	for (size_t i = 0; i < ARRAY_SIZE(fs_caps); i++) {
		if (!set_has(rights->caps, fs_caps[i]))
			caps.effective &= ~CAPS_BIT(fs_caps[i]);
	}
	if (caller->without_fsetid)
		caps.effective &= ~CAPS_BIT(CAP_FSETID);
	return caps_set(&caps);
}

int creds_assume(const struct caller *caller)
{
	struct rights rights = { .groups = mine.groups };
	uint64_t caps;
	int r;

	assert(mine.ready && !mine.assumed);
	if (!own.acting)
		return 0;
	/* -1 is no valid id, and the calls below would leave the id as it is */
	if (caller->uid == UINT32_MAX || caller->gid == UINT32_MAX)
		return -EPERM;
	caps = caller->pid ? caps_of(caller->pid) : 0;
	if (caller->uid == 0 && is_root(caller, caps)) {
		/* the common case: the caller is the daemon's user, root, and loses no right */
		if (mine.fsuid == 0 && caller->gid == mine.fsgid && !caller->without_fsetid)
			return 0;
		rights.trusted = true;
		rights.caps = UINT64_MAX;
	} else {
		find_rights(caller, caps, &rights);
	}

	mine.assumed = true;
	r = take_on(caller, &rights);
	if (r < 0)
		creds_resume();
	return r;
}

bool creds_may_keep_setid(void)
{
	struct caps caps;

	return !own.acting || caps_get(0, &caps) < 0 || set_has(caps.effective, CAP_FSETID);
}

void creds_resume(void)
{
	if (!mine.assumed)
		return;

	/* this can't fail for lack of CAP_SETUID or CAP_SETGID, which are never lowered */
	(void)syscall(SYS_setfsuid, mine.fsuid);
	(void)syscall(SYS_setfsgid, mine.fsgid);
	if (fsuid_get() != mine.fsuid || fsgid_get() != mine.fsgid)
		abort();
	if (mine.groups_changed && syscall(SYS_setgroups, own.group_count, own.groups) < 0)
		abort();
	/* last, because changing the fsuid to 0 has raised capabilities */
	if (caps_set(&mine.caps) < 0)
		abort();
	mine.groups_changed = false;
	mine.assumed = false;
}
