/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of caissond, also as mount(8) passes it, and the checks of its values. All
 * functions run before there are threads, and log errors, one line each.
 */
#ifndef CAISSON_OPTIONS_H
#define CAISSON_OPTIONS_H

#include <fuse_opt.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "serve/config.h"

struct options {
	/* as given; after options_check_paths() absolute and without symlinks */
	char *backing, *mountpoint;
	const char *backing_word, *mountpoint_word; /* of argv */
	bool foreground;
	bool require_io_flusher, require_mlock;
	struct serve_config serve;
	bool allow_other;
	uint64_t recovery_timeout_ns; /* longest wait for the I/O of a server that has died */
	bool spare;		      /* start an heir before it is needed */
	uint32_t recoveries;	      /* at most, within a minute */
	uint64_t hang_timeout_ns;     /* a thread that hangs for so long ends its server; 0: off */
	bool trusted_xattr;	      /* keep CAP_SYS_ADMIN for trusted.* attributes */
	enum log_target log;
	/* for fuse_session_new(), with fsname and subtype; without MOUNTPOINT */
	struct fuse_args mount_args;

	bool remount;		     /* remount_run() only, which uses mountpoint and: */
	unsigned long remount_flags; /* MS_… */

	bool done; /* there is nothing to serve: --help, --version, or -f of a mount helper */
	bool recovery_given;
	bool log_given, sloppy, helper; /* while parsing */
	bool fsname_given, subtype_given;
};

/*
 * Fills OPTIONS with the defaults, then from the command line. For --help and --version it prints
 * them and sets options->done. Returns 0; -EINVAL with one line logged (EXIT_USAGE); or -ENOMEM.
 * options_destroy() is due in any case.
 */
int options_parse(struct options *options, int argc, char **argv);
void options_destroy(struct options *options);

/*
 * Makes backing and mountpoint absolute and checks that they can be served and mounted on. Doesn't
 * touch a filesystem that is mounted at MOUNTPOINT already, which could hang. Returns 0 or -errno,
 * logged (EXIT_CANNOT_SERVE).
 */
int options_check_paths(struct options *options);

/*
 * Raises RLIMIT_NOFILE and RLIMIT_MEMLOCK as far as permitted, and fits the number of files to the
 * descriptors. Returns 0, or -EMFILE, logged (EXIT_CANNOT_SERVE).
 */
int options_fit_limits(struct options *options);

/* As options_fit_limits() for NOFILE descriptors, without touching any limit. */
int options_fit(struct options *options, uint64_t nofile);

/* "none", "writeback", "writethrough" */
const char *options_cache_name(enum cache_mode cache);

/* "off", "auto", "on" */
const char *options_passthrough_name(enum passthrough_mode passthrough);

#endif
