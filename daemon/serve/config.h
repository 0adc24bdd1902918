/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a server is made from: the part of the command line that it needs. Values are checked
 * (host/options.h); inodes, files and inode_fds fit the limits of the process.
 */
#ifndef CAISSON_CONFIG_H
#define CAISSON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "store/fs.h"

#define SERVE_QUEUES_MAX     64 /* as many as struct status has room for */
#define SERVE_QUEUES_DEFAULT 16 /* at most */

/* The fewest that a mount is of use with. */
#define SERVE_INODES_MIN 256u
#define SERVE_FILES_MIN	 64u

enum transport_mode { TRANSPORT_AUTO, TRANSPORT_DEV, TRANSPORT_URING };
enum passthrough_mode { PASSTHROUGH_OFF, PASSTHROUGH_AUTO, PASSTHROUGH_ON };

struct serve_config {
	uint32_t queues, queue_depth; /* the depth with transport=dev, unless given; see plan.h */
	bool queue_depth_given;
	uint32_t workers;
	uint32_t inodes, files;
	uint32_t inode_fds;	   /* inodes that may have a descriptor */
	uint32_t max_write;	   /* bytes, a multiple of the page size */
	uint32_t extent_size_hint; /* bytes that are allocated at once in sparse files; 0: off */
	uint64_t memory;	   /* bytes that the arena may have */
	enum cache_mode cache;
	enum transport_mode transport;
	enum passthrough_mode passthrough; /* anything but off keeps CAP_SYS_ADMIN */
	uint64_t attr_timeout_ns, entry_timeout_ns;
	bool default_permissions, noatime;
};

#endif
