/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The served filesystem as a whole, on which the handlers work. */
#ifndef CAISSON_FS_H
#define CAISSON_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/file.h"
#include "store/inode.h"
#include "store/prealloc.h"
#include "store/store.h"

/* How backing files are opened. The names are QEMU's. */
enum cache_mode { CACHE_NONE, CACHE_WRITEBACK, CACHE_WRITETHROUGH };

struct fs {
	struct store store;
	struct inode_table inodes;
	struct file_table files;
	struct prealloc prealloc;
	_Atomic uint64_t zone_refusals; /* requests that broke a rule of zones, for status */

	/* fixed before serving */
	enum cache_mode cache;
	bool default_permissions; /* the kernel checks the callers' rights */
	bool noatime;		  /* reads keep the access times of backing files */
	uint64_t entry_timeout_ns, attr_timeout_ns;

	/* agreed on in INIT; fixed before the first request */
	bool posix_acl, parallel_direct_writes, killpriv_v2, dont_mask;
	bool setxattr_ext; /* SETXATTR messages have the long form of their arguments */
	bool passthrough;
};

#endif
