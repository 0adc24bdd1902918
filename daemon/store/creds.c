/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/creds.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define CAP_WORDS 2

/* What a thread may do below BACKING; the kernel's CAP_FS_SET and what sets privileged xattrs. */
static const unsigned fs_caps[] = {
	CAP_CHOWN,  CAP_MKNOD,		 CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
	CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MAC_OVERRIDE, CAP_SETFCAP,		CAP_SYS_ADMIN,
};

/* Those of them that a user namespace gives over its own inodes (capable_wrt_inode_uidgid()). */
static const struct {
	unsigned cap;
	uint32_t over; /* the rights that it is */
} inode_caps[] = {
	{ CAP_CHOWN, OVER_CHANGE },	      { CAP_DAC_OVERRIDE, OVER_ACCESS },
	{ CAP_DAC_READ_SEARCH, OVER_ACCESS }, { CAP_FOWNER, OVER_OWNER },
	{ CAP_FSETID, OVER_CHANGE },	      { CAP_SETFCAP, OVER_CHANGE },
};

/* The link to a thread's user namespace, "user:[N]". */
#define NAMESPACE     "ns/user"
#define NAMESPACE_LEN 32u

/* DEFAULT_OVERFLOWGID in include/linux/highuid.h of the kernel. */
#define OVERFLOW_GID 65534u

/* PF_KTHREAD in include/linux/sched.h of the kernel, in field 9 of /proc/PID/stat. */
#define KERNEL_THREAD 0x00200000u

/* Of a file of /proc/PID: CREDS_GROUPS groups of any common number, a hundred extents of a map. */
#define STATUS_LEN (16u << 10)
#define MAP_LEN	   4096u

/* Written by creds_init(), before there are threads. */
static struct {
	bool acting, seeing, telling;
	int proc_fd;		       /* /proc */
	char namespace[NAMESPACE_LEN]; /* "": the kernel has no user namespaces */
	gid_t unmapped_gid; /* as /proc shows groups without a number here; or UINT32_MAX */
	gid_t *groups;
	int group_count;
} own = { .proc_fd = -1 };

/* The calling thread: what it goes back to, and what it has on. */
static _Thread_local struct {
	bool ready, assumed, groups_changed;
	uid_t fsuid;
	gid_t fsgid;
	struct __user_cap_data_struct caps[CAP_WORDS];
	gid_t groups[CREDS_GROUPS];
} mine;

static int caps_get(struct __user_cap_data_struct caps[CAP_WORDS])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, caps) < 0 ? -errno : 0;
}

/* Of this thread only, and without the allocations that libcap's cap_t needs. */
static int caps_set(const struct __user_cap_data_struct caps[CAP_WORDS])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}

static bool set_has(uint64_t set, unsigned cap)
{
	return set & 1ull << cap;
}

static bool caps_have(const struct __user_cap_data_struct caps[CAP_WORDS], unsigned cap)
{
	return caps[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

static void caps_lower(struct __user_cap_data_struct caps[CAP_WORDS], unsigned cap)
{
	caps[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
}

/* "PID/NAME", without stdio. */
static void proc_path(uint32_t pid, const char *name, char path[static 24])
{
	char digits[10];
	unsigned len = 0;

	do
		digits[len++] = (char)('0' + pid % 10);
	while (pid /= 10);
	while (len)
		*path++ = digits[--len];
	*path++ = '/';
	memcpy(path, name, strlen(name) + 1);
}

/*
 * The first SIZE - 1 bytes of the file PATH of /proc, with a NUL behind them. How many, or -errno.
 */
static ssize_t read_text(const char *path, char *text, size_t size)
{
	autoclose int fd = openat(own.proc_fd, path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t len;

	if (fd < 0)
		return -errno;
	while (used < size - 1 && (len = read(fd, text + used, size - 1 - used)) != 0) {
		if (len < 0)
			return -errno;
		used += (size_t)len;
	}
	text[used] = '\0';
	return (ssize_t)used;
}

/* The same of the file NAME of PID: -ENOENT and -ESRCH where there is no such process. */
static ssize_t proc_read(uint32_t pid, const char *name, char *text, size_t size)
{
	char path[24];

	proc_path(pid, name, path);
	return read_text(path, text, size);
}

/*
 * The user namespace of the thread PID, as a number that no other has while this one is there. 0 or
 * -errno: -EACCES where we may not know (no CAP_SYS_PTRACE).
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

/* A decimal number at *AT, which moves behind it; false where there is none. */
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

/* Whether MAP, lines of "inside outside count", has a number for everybody. */
static bool is_whole_map(const char *map)
{
	uint64_t inside, outside, count;

	return parse_number(&map, &inside) && parse_number(&map, &outside) &&
	       parse_number(&map, &count) && inside == 0 && outside == 0 && count == UINT32_MAX;
}

/*
 * What stands in /proc/PID/status for every group that has no number in our namespace, where
 * there may be such groups. A real group may have the same number.
 */
static gid_t read_unmapped_gid(void)
{
	char text[MAP_LEN];
	const char *at = text;
	uint64_t gid;

	if (proc_read((uint32_t)getpid(), "gid_map", text, sizeof(text)) > 0 && is_whole_map(text))
		return UINT32_MAX;
	if (read_text("sys/kernel/overflowgid", text, sizeof(text)) <= 0 ||
	    !parse_number(&at, &gid))
		return OVERFLOW_GID;
	return (gid_t)gid;
}

int creds_init(void)
{
	struct __user_cap_data_struct caps[CAP_WORDS];
	autoclose int proc_fd = -1;
	autofree gid_t *groups = NULL;
	int count, r;
	char byte[2];

	assert(own.proc_fd < 0);
	r = caps_get(caps);
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

	own.acting = caps_have(caps, CAP_SETUID) && caps_have(caps, CAP_SETGID);
	own.proc_fd = steal_fd(&proc_fd);
	own.groups = groups;
	own.group_count = count;
	groups = NULL;
	/*
	 * the one process that is always there; hidepid= hides it from whoever has fewer
	 * capabilities
	 */
	own.seeing = proc_read(1, "status", byte, sizeof(byte)) > 0;
	r = read_namespace((uint32_t)getpid(), own.namespace);
	own.unmapped_gid = read_unmapped_gid();
	own.telling = r == -ENOENT || caps_have(caps, CAP_SYS_PTRACE);
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

/* They answer with what was set before, and an id of -1 changes nothing: that is how to read. */
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
	(void)umask(0); /* op-meta.c sets the caller's where the kernel hasn't applied it */
	r = caps_get(mine.caps);
	if (r < 0)
		return r;
	mine.fsuid = fsuid_get();
	mine.fsgid = fsgid_get();
	mine.ready = true;
	return 0;
}

/* What a caller may do. */
struct rights {
	bool trusted;  /* we don't know: groups and capabilities stay the daemon's, but for some */
	uint64_t caps; /* as CapEff */
	int count;     /* of groups */
	gid_t *groups;
};

/* The value of the line that begins with KEY in TEXT, or NULL. */
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
 * Reads from TEXT, /proc/PID/status, the end of which may be missing:
 *	Uid:	real	effective	saved	filesystem
 *	Groups:	gid gid …
 * Returns whether it is the status of somebody whose filesystem uid is UID.
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

/* PID is a thread of the kernel: who it acts for isn't who it is. */
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

/* Whether ID has a number in MAP: lines of "inside outside count", seen from our namespace. */
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

/* Which rights over OBJECT the namespace with these maps doesn't give. */
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
		/* unless it is about a name in a sticky directory: __check_sticky() wants both */
		if (!object->name)
			over &= ~(uint32_t)OVER_OWNER;
	}
	return (over & OVER_MOVED) && S_ISDIR(st.st_mode) ? over | OVER_ACCESS : over;
}

/*
 * Which rights the namespace with these maps gives CALLER, which has CAPS there, over all that it
 * acts on. A name may have come to lead to somebody else's file before the act. To remove or
 * rename that takes the rights of the directory's owner, whom CALLER could be by CAP_SETUID.
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
 * Whether the thread PID is known to be in our user namespace. Its maps don't tell: those of
 * another one may be the same.
 */
static bool is_in_our_namespace(uint32_t pid)
{
	char name[NAMESPACE_LEN];

	return !own.namespace[0] ||
	       (read_namespace(pid, name) == 0 && strcmp(name, own.namespace) == 0);
}

/* What CAPS, which CALLER has in its user namespace, are in ours. */
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
			here |= caps & 1ull << inode_caps[i].cap;
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
 * Finds out what CALLER, whose thread has the capabilities CAPS, may do. It waits for our answer,
 * so its pid is still its own, unless it has been killed. Whatever goes wrong leaves it fewer
 * rights than it has, never more.
 */
static void find_rights(const struct caller *caller, uint64_t caps, struct rights *rights)
{
	char text[STATUS_LEN];

	if (!caller->pid || !own.seeing)
		rights->trusted = caller->checked;
	else if (proc_read(caller->pid, "status", text, sizeof(text)) < 0)
		rights->caps = 0; /* it has gone */
	else if (parse_status(text, caller->uid, rights))
		rights->caps = caps_here(caller, caps);
	else
		rights->trusted = caller->checked && is_kernel_thread(caller->pid);
	if (rights->trusted)
		rights->caps = ~(1ull << CAP_FOWNER);
	add_group(rights, caller->supp_gid);
}

/* The effective capabilities of the thread PID; none where it has gone. */
static uint64_t caps_of(uint32_t pid)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3,
						   .pid = (int)pid };
	struct __user_cap_data_struct caps[CAP_WORDS];

	if (syscall(SYS_capget, &header, caps) < 0)
		return 0;
	return caps[0].effective | (uint64_t)caps[1].effective << 32;
}

/* Whether CAPS are all the filesystem capabilities that we have. */
static bool has_all(uint64_t caps)
{
	for (size_t i = 0; i < ARRAY_SIZE(fs_caps); i++) {
		if (caps_have(mine.caps, fs_caps[i]) && !set_has(caps, fs_caps[i]))
			return false;
	}
	return true;
}

/* Whether CALLER, of uid 0 and with CAPS, may do all that we may. */
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
	struct __user_cap_data_struct caps[CAP_WORDS];

	if (!rights->trusted) {
		/* noted first: creds_resume() then sets them back also where this fails */
		mine.groups_changed = true;
		if (syscall(SYS_setgroups, rights->count, rights->groups) < 0)
			return -errno;
	}
	/* these two don't tell whether they did it */
	(void)syscall(SYS_setfsgid, caller->gid);
	(void)syscall(SYS_setfsuid, caller->uid);
	if (fsgid_get() != caller->gid || fsuid_get() != caller->uid)
		return -EPERM;

	/*
	 * Leaving uid 0 has lowered the filesystem capabilities, and leaving another one hasn't
	 * (cap_task_fix_setuid()): say what is meant.
	 */
	memcpy(caps, mine.caps, sizeof(caps));
	for (size_t i = 0; i < ARRAY_SIZE(fs_caps); i++) {
		if (!set_has(rights->caps, fs_caps[i]))
			caps_lower(caps, fs_caps[i]);
	}
	if (caller->without_fsetid)
		caps_lower(caps, CAP_FSETID);
	return caps_set(caps);
}

int creds_assume(const struct caller *caller)
{
	struct rights rights = { .groups = mine.groups };
	uint64_t caps;
	int r;

	assert(mine.ready && !mine.assumed);
	if (!own.acting)
		return 0;
	/* -1 is nobody, and the calls below take it for "leave it as it is" */
	if (caller->uid == UINT32_MAX || caller->gid == UINT32_MAX)
		return -EPERM;
	caps = caller->pid ? caps_of(caller->pid) : 0;
	if (caller->uid == 0 && is_root(caller, caps)) {
		/* the daemon's own user, and nothing to take away: the common case of root */
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
	struct __user_cap_data_struct caps[CAP_WORDS];

	return !own.acting || caps_get(caps) < 0 || caps_have(caps, CAP_FSETID);
}

void creds_resume(void)
{
	if (!mine.assumed)
		return;

	/* CAP_SETUID and CAP_SETGID were never lowered */
	(void)syscall(SYS_setfsuid, mine.fsuid);
	(void)syscall(SYS_setfsgid, mine.fsgid);
	if (fsuid_get() != mine.fsuid || fsgid_get() != mine.fsgid)
		abort();
	if (mine.groups_changed && syscall(SYS_setgroups, own.group_count, own.groups) < 0)
		abort();
	/* last: becoming uid 0 again raises all that is permitted */
	if (caps_set(mine.caps) < 0)
		abort();
	mine.groups_changed = false;
	mine.assumed = false;
}
