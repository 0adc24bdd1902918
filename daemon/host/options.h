/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of caissond, also as mount(8) calls it, and the checks of what it names. All
 * functions run before there are threads. They log what is wrong, in one line each.
 */
#ifndef CAISSON_OPTIONS_H
#define CAISSON_OPTIONS_H

#include <fuse_opt.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "store/fs.h"

#define OPTIONS_QUEUES_MAX     64 /* as many as struct status has room for */
#define OPTIONS_QUEUES_DEFAULT 16 /* at most */

/* The fewest that a mount is of use with. */
#define OPTIONS_INODES_MIN 256u
#define OPTIONS_FILES_MIN  64u

enum transport_mode { TRANSPORT_AUTO, TRANSPORT_DEV, TRANSPORT_URING };
enum passthrough_mode { PASSTHROUGH_OFF, PASSTHROUGH_AUTO, PASSTHROUGH_ON };

struct options {
	/* as given; from options_check_paths() on absolute, without symlinks */
	char *backing, *mountpoint;
	bool foreground;
	bool require_io_flusher, require_mlock;
	uint32_t queues, queue_depth; /* the depth with transport=dev, unless given; see plan.h */
	bool queue_depth_given;
	uint32_t workers;
	uint32_t inodes, files;	   /* 0: default, until options_fit_limits() */
	uint32_t inode_fds;	   /* inodes that may have a descriptor; options_fit_limits() */
	uint32_t max_write;	   /* bytes, a multiple of the page size */
	uint32_t extent_size_hint; /* bytes that are allocated at once in sparse files; 0: off */
	uint32_t poll_us;	   /* for which a queue looks for requests before it sleeps */
	uint64_t memory;	   /* bytes that the arena may have */
	enum cache_mode cache;
	enum transport_mode transport;
	enum passthrough_mode passthrough; /* anything but off keeps CAP_SYS_ADMIN */
	uint64_t attr_timeout_ns, entry_timeout_ns;
	bool default_permissions, allow_other, noatime;
	bool trusted_xattr; /* keep CAP_SYS_ADMIN for trusted.* attributes */
	enum log_target log;
	/* for fuse_session_new(), with fsname and subtype; without MOUNTPOINT */
	struct fuse_args mount_args;

	bool remount; /* remount_run() and nothing else; only MOUNTPOINT and these count: */
	unsigned long remount_flags; /* MS_… */

	bool done; /* nothing to serve: --help, --version or mount's -f did all */
	bool log_given, sloppy, helper; /* while parsing */
	bool fsname_given, subtype_given;
};

/*
 * Fills OPTIONS from the command line, defaults first. Prints --help and --version itself and says
 * so in options->done. Returns 0; -EINVAL with one line logged (EXIT_USAGE); or -ENOMEM.
 * options_destroy() in any case.
 */
int options_parse(struct options *options, int argc, char **argv);
void options_destroy(struct options *options);

/*
 * Makes backing and mountpoint absolute and checks that they can be served and mounted on. Doesn't
 * touch what is mounted at MOUNTPOINT already: it could hang. Returns 0 or -errno, logged
 * (EXIT_CANNOT_SERVE).
 */
int options_check_paths(struct options *options);

/*
 * Raises RLIMIT_NOFILE and RLIMIT_MEMLOCK as far as permitted and fits inodes and files to what
 * there is. Returns 0, or -EMFILE, logged (EXIT_CANNOT_SERVE).
 */
int options_fit_limits(struct options *options);

/* As options_fit_limits() for NOFILE descriptors, without touching any limit. */
int options_fit(struct options *options, uint64_t nofile);

/* "none", "writeback", "writethrough" */
const char *options_cache_name(enum cache_mode cache);

#endif
