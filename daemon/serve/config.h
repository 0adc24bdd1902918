/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration of a server. host/options.h fills it in from the command line and checks it:
 * inodes, files and inode_fds fit the limits of the process.
 */
#ifndef CAISSON_CONFIG_H
#define CAISSON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "store/fs.h"

#define SERVE_QUEUES_MAX     64 /* as many as struct status has room for */
#define SERVE_QUEUES_DEFAULT 16 /* at most */

/* The fewest with which a mount is useful. */
#define SERVE_INODES_MIN 256u
#define SERVE_FILES_MIN	 64u

enum transport_mode { TRANSPORT_AUTO, TRANSPORT_DEV, TRANSPORT_URING };
enum passthrough_mode { PASSTHROUGH_OFF, PASSTHROUGH_AUTO, PASSTHROUGH_ON };

struct serve_config {
	uint32_t queues, queue_depth; /* the default depth is for transport=dev; see plan.h */
	bool queue_depth_given;
	uint32_t workers;
	uint32_t inodes, files;
	uint32_t inode_fds;	   /* most inodes with a descriptor */
	uint32_t max_write;	   /* bytes, a multiple of the page size */
	uint32_t extent_size_hint; /* bytes to preallocate at a time in sparse files; 0: off */
	uint64_t memory;	   /* most bytes of the arena */
	enum cache_mode cache;
	enum transport_mode transport;
	enum passthrough_mode passthrough; /* unless off, CAP_SYS_ADMIN is kept */
	uint64_t attr_timeout_ns, entry_timeout_ns;
	bool default_permissions, noatime;
	bool recovery; /* another process can take over (takeover.h) */
};

#endif
