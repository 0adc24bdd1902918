/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "creds.h"

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

#include "cleanup.h"

#define CAP_WORDS 2

/* What a thread may do below BACKING; the kernel's CAP_FS_SET and what sets privileged xattrs. */
static const unsigned fs_caps[] = {
	CAP_CHOWN,  CAP_MKNOD,		 CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
	CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MAC_OVERRIDE, CAP_SETFCAP,		CAP_SYS_ADMIN,
};

/* Written by creds_init(), before there are threads. */
static struct {
	bool acting;
	int proc_fd; /* /proc */
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

static bool caps_have(const struct __user_cap_data_struct caps[CAP_WORDS], unsigned cap)
{
	return caps[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

static void caps_lower(struct __user_cap_data_struct caps[CAP_WORDS], unsigned cap)
{
	caps[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
}

int creds_init(void)
{
	struct __user_cap_data_struct caps[CAP_WORDS];
	autoclose int proc_fd = -1;
	autofree gid_t *groups = NULL;
	int count, r;

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
	return 0;
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

/*
 * Reads /proc/PID/status as it comes, in pieces. Of interest are
 *	Uid:	real	effective	saved	filesystem
 *	Groups:	gid gid …
 */
struct status_reader {
	char key[8];
	unsigned key_len;
	bool in_value, in_number;
	unsigned field; /* of the line's value */
	uint32_t number;
	uint32_t fsuid;
	gid_t *groups;
	int count;
};

static bool key_is(const struct status_reader *reader, const char *key)
{
	return strlen(key) == reader->key_len && !memcmp(reader->key, key, reader->key_len);
}

static void number_ends(struct status_reader *reader)
{
	if (!reader->in_number)
		return;
	reader->in_number = false;
	if (key_is(reader, "Uid") && reader->field == 3)
		reader->fsuid = reader->number;
	else if (key_is(reader, "Groups") && reader->count < CREDS_GROUPS)
		reader->groups[reader->count++] = reader->number;
	reader->field++;
}

static void status_char(struct status_reader *reader, char c)
{
	if (c == '\n') {
		number_ends(reader);
		reader->in_value = false;
		reader->key_len = 0;
	} else if (!reader->in_value) {
		reader->in_value = c == ':';
		reader->field = 0;
		/* a longer key isn't one of ours: its length alone tells */
		if (!reader->in_value && reader->key_len < sizeof(reader->key))
			reader->key[reader->key_len++] = c;
	} else if (c >= '0' && c <= '9') {
		reader->number =
			(reader->in_number ? reader->number * 10 : 0) + (uint32_t)(c - '0');
		reader->in_number = true;
	} else {
		number_ends(reader);
	}
}

/* "PID/status", without stdio. */
static void status_path(uint32_t pid, char path[static 20])
{
	char digits[10];
	unsigned len = 0;

	do
		digits[len++] = (char)('0' + pid % 10);
	while (pid /= 10);
	while (len)
		*path++ = digits[--len];
	memcpy(path, "/status", sizeof("/status"));
}

/*
 * The groups of CALLER, which waits for our answer, so its pid is still its own. Whatever goes
 * wrong (it was killed meanwhile, /proc hides it) leaves it fewer groups than it has, never more.
 */
static int read_groups(const struct caller *caller, gid_t groups[static CREDS_GROUPS])
{
	struct status_reader reader = { .groups = groups, .fsuid = UINT32_MAX };
	autoclose int fd = -1;
	char path[20], piece[1024];
	ssize_t len;

	if (!caller->pid)
		return 0;
	status_path(caller->pid, path);
	fd = openat(own.proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while ((len = read(fd, piece, sizeof(piece))) > 0) {
		for (ssize_t i = 0; i < len; i++)
			status_char(&reader, piece[i]);
	}
	return len == 0 && reader.fsuid == caller->uid ? reader.count : 0;
}

static int collect_groups(const struct caller *caller, gid_t groups[static CREDS_GROUPS])
{
	int count = read_groups(caller, groups);

	if (caller->supp_gid == UINT32_MAX || count == CREDS_GROUPS)
		return count;
	for (int i = 0; i < count; i++) {
		if (groups[i] == caller->supp_gid)
			return count;
	}
	groups[count++] = caller->supp_gid;
	return count;
}

static int take_on(const struct caller *caller)
{
	bool limited = !caller->checked && caller->uid != 0;
	struct __user_cap_data_struct caps[CAP_WORDS];
	int count;

	if (limited) {
		count = collect_groups(caller, mine.groups);
		/* noted first: creds_resume() then sets them back also where this fails */
		mine.groups_changed = true;
		if (syscall(SYS_setgroups, count, mine.groups) < 0)
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
	if (limited) {
		for (unsigned i = 0; i < sizeof(fs_caps) / sizeof(fs_caps[0]); i++)
			caps_lower(caps, fs_caps[i]);
	}
	if (caller->without_fsetid)
		caps_lower(caps, CAP_FSETID);
	return caps_set(caps);
}

int creds_assume(const struct caller *caller)
{
	int r;

	assert(mine.ready && !mine.assumed);
	if (!own.acting)
		return 0;
	/* -1 is nobody, and the calls below take it for "leave it as it is" */
	if (caller->uid == UINT32_MAX || caller->gid == UINT32_MAX)
		return -EPERM;
	/* the daemon's own user, and nothing to take away: the common case of root */
	if (caller->uid == 0 && mine.fsuid == 0 && caller->gid == mine.fsgid &&
	    !caller->without_fsetid)
		return 0;

	mine.assumed = true;
	r = take_on(caller);
	if (r < 0)
		creds_resume();
	return r;
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
