/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks of options against this machine: its paths and its limits. */
#include "host/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/mountinfo.h"
#include "base/procfs.h"

#define FILES_DEFAULT 16384u

/*
 * Descriptors of one open file: one with and one without O_DIRECT, and its inode's sync_fd. The
 * inode has another one, which it keeps while the file is open.
 */
#define FDS_PER_FILE   3u
#define FDS_PER_INODE  1u
/*
 * Descriptors of the daemon itself; of a queue (ring, device, eventfd, sentinel); of a thread in a
 * handler.
 */
#define FDS_OWN	       64u
#define FDS_PER_QUEUE  4u
#define FDS_PER_WORKER 6u
/* Descriptors of inodes that aren't open: enough for all handlers, and some more. */
#define FDS_IDLE       128u

static int refuse_path(const char *path, const char *action, int error)
{
	log_fail("%s: %s: %s", path, action, strerror(-error));
	return error;
}

static void replace(char **path, char *resolved)
{
	free(*path);
	*path = resolved;
}

static int check_backing(struct options *options)
{
	char *resolved = realpath(options->backing, NULL);
	struct stat st;

	if (!resolved)
		return refuse_path(options->backing, "serve", -errno);
	replace(&options->backing, resolved);
	if (stat(options->backing, &st) < 0)
		return refuse_path(options->backing, "serve", -errno);
	if (!S_ISDIR(st.st_mode))
		return refuse_path(options->backing, "serve", -ENOTDIR);
	if (faccessat(AT_FDCWD, options->backing, R_OK | X_OK, AT_EACCESS) < 0)
		return refuse_path(options->backing, "serve", -errno);
	return 0;
}

static int check_mountpoint(struct options *options)
{
	struct mountinfo info;
	char *resolved;
	struct stat st;
	int r;

	r = mountinfo_path(options->mountpoint, &resolved);
	if (r < 0)
		return refuse_path(options->mountpoint, "mount on", r);
	replace(&options->mountpoint, resolved);

	/* comes first, because a filesystem mounted there may hang in stat() */
	r = mountinfo_find(options->mountpoint, &info);
	if (r < 0 && r != -ENOENT)
		return refuse_path("/proc/self/mountinfo", "read", r);
	if (r == 0 && info.is_fuse) {
		log_fail("%s: mount on: in use, a filesystem of type %s is mounted there",
			 options->mountpoint, info.type);
		return -EBUSY;
	}
	if (stat(options->mountpoint, &st) < 0)
		return refuse_path(options->mountpoint, "mount on", -errno);
	if (!S_ISDIR(st.st_mode))
		return refuse_path(options->mountpoint, "mount on", -ENOTDIR);
	return 0;
}

/* Whether PATH is DIR or below it; both absolute and without symlinks. */
static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return true;
	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

int options_check_paths(struct options *options)
{
	const char *relation = NULL;
	int r;

	r = check_backing(options);
	if (!r)
		r = check_mountpoint(options);
	if (r < 0)
		return r;

	if (strcmp(options->backing, options->mountpoint) == 0)
		relation = "is the same directory as";
	else if (is_within(options->backing, options->mountpoint))
		relation = "is inside of"; /* S8: the mount would hide it */
	else if (is_within(options->mountpoint, options->backing))
		relation = "contains"; /* the mount would contain itself without end */
	if (relation) {
		log_fail("%s: serve: it %s the mountpoint %s", options->backing, relation,
			 options->mountpoint);
		return -EINVAL;
	}
	return 0;
}

/* Reads fs.nr_open, the highest possible RLIMIT_NOFILE. */
static rlim_t read_nr_open(void)
{
	uint64_t value;

	return procfs_read_setting("/proc/sys/fs/nr_open", &value) < 0 ? 0 : (rlim_t)value;
}

/* Raises the limit to WANTED (with CAP_SYS_RESOURCE), or else to the hard limit. */
static struct rlimit raise_limit(int resource, rlim_t wanted)
{
	struct rlimit limit = { 0 }, higher;

	if (getrlimit(resource, &limit) < 0)
		return limit; /* can't fail for these */
	higher = (struct rlimit){ .rlim_cur = wanted, .rlim_max = wanted };
	if (wanted > limit.rlim_max && setrlimit(resource, &higher) == 0)
		return higher;
	higher = (struct rlimit){ .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
	return setrlimit(resource, &higher) == 0 ? higher : limit;
}

/* Descriptors besides those of files and inodes. */
static uint64_t fds_of_its_own(const struct serve_config *config)
{
	uint64_t own = FDS_OWN + (uint64_t)config->queues * (FDS_PER_QUEUE + FDS_PER_WORKER) +
		       (uint64_t)config->workers * FDS_PER_WORKER + FDS_IDLE;

	if (config->recovery) /* a spare, and a server that has died, in the same table */
		own += 2 * (FDS_OWN + (uint64_t)config->queues * FDS_PER_QUEUE);
	return own;
}

/* The fewest descriptors that do. */
static uint64_t fds_needed(const struct serve_config *config)
{
	return fds_of_its_own(config) + (uint64_t)MAX(config->files, (uint32_t)SERVE_FILES_MIN) *
						(FDS_PER_FILE + FDS_PER_INODE);
}

int options_fit(struct options *options, uint64_t nofile)
{
	struct serve_config *config = &options->serve;
	uint64_t files = config->files, needed = fds_needed(config), room;

	if (nofile < needed && config->recovery && !options->recovery_given) {
		uint64_t with_recovery = needed;

		config->recovery = false;
		options->hang_timeout_ns = 0;
		needed = fds_needed(config);
		if (nofile >= needed)
			log_warn("RLIMIT_NOFILE: serve without recovery: too few descriptors, %llu "
				 "of %llu",
				 (unsigned long long)nofile, (unsigned long long)with_recovery);
	}
	if (nofile < needed) {
		log_fail("RLIMIT_NOFILE: serve files=%llu: too few descriptors, %llu of %llu",
			 (unsigned long long)MAX(files, (uint64_t)SERVE_FILES_MIN),
			 (unsigned long long)nofile, (unsigned long long)needed);
		return -EMFILE;
	}
	room = nofile - fds_of_its_own(config);
	/* three quarters, so that some stay for inodes that aren't open */
	if (!files)
		files = MIN((uint64_t)FILES_DEFAULT, room / 4 * 3 / (FDS_PER_FILE + FDS_PER_INODE));
	files = MAX(files, (uint64_t)SERVE_FILES_MIN);
	config->files = (uint32_t)files;
	config->inode_fds =
		(uint32_t)MIN(FDS_IDLE + room - files * FDS_PER_FILE, (uint64_t)UINT32_MAX);
	return 0;
}

int options_fit_limits(struct options *options)
{
	rlim_t nofile, fsize;

	/*
	 * when CAP_IPC_LOCK is gone, later mappings, such as stacks, count against it
	 */
	(void)raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	fsize = raise_limit(RLIMIT_FSIZE, RLIM_INFINITY).rlim_cur;
	if (fsize != RLIM_INFINITY)
		log_warn("RLIMIT_FSIZE: serve files of more than %llu bytes: the limit is in the "
			 "way, and writes beyond it fail with EFBIG: raise it (LimitFSIZE=)",
			 (unsigned long long)fsize);
	nofile = raise_limit(RLIMIT_NOFILE, read_nr_open()).rlim_cur;
	return options_fit(options, nofile);
}
