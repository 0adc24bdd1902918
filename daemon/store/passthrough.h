/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FUSE passthrough (Linux 6.9, fs/fuse/passthrough.c and fs/fuse/backing.c) lets the kernel read
 * and map a backing file itself, without a message to the daemon. It needs CAP_SYS_ADMIN. All who
 * have an inode open at the same time must share one backing file. Any thread may call these
 * functions.
 */
#ifndef CAISSON_PASSTHROUGH_H
#define CAISSON_PASSTHROUGH_H

#include <stdint.h>

#define PASSTHROUGH_NONE 0 /* the id of no backing file */

/*
 * Registers the open file FD with the kernel as a backing file. Returns its id, above 0, for
 * passthrough_close(); or -errno: -EPERM without CAP_SYS_ADMIN, -ELOOP if the backing filesystem is
 * stacked itself, -ENOMEM.
 */
int32_t passthrough_open(int session_fd, int fd);

/*
 * Takes back the registration ID. Files that were opened with it keep using the backing file.
 */
void passthrough_close(int session_fd, int32_t id);

#endif
