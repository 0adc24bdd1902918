/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the handlers work on: the served filesystem as a whole. */
#ifndef CAISSON_FS_H
#define CAISSON_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/file.h"
#include "store/inode.h"
#include "store/prealloc.h"
#include "store/store.h"

/* How backing files are opened; the names are QEMU's. */
enum cache_mode { CACHE_NONE, CACHE_WRITEBACK, CACHE_WRITETHROUGH };

struct fs {
	struct store store;
	struct inode_table inodes;
	struct file_table files;
	struct prealloc prealloc;
	_Atomic uint64_t zone_refusals; /* what zones don't allow, for status */

	/* fixed before serving */
	enum cache_mode cache;
	bool default_permissions; /* the kernel has checked the caller's rights already */
	bool noatime;		  /* what is read below keeps its access time */
	uint64_t entry_timeout_ns, attr_timeout_ns;

	/* what INIT agreed on; fixed before the first request */
	bool posix_acl, parallel_direct_writes, killpriv_v2, dont_mask;
	bool setxattr_ext; /* SETXATTR has its long form */
	bool passthrough;
};

#endif
