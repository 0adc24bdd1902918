/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FUSE passthrough (Linux 6.9, fs/fuse/passthrough.c, fs/fuse/backing.c): the kernel is told of a
 * backing file and reads and maps it itself, without a message. It takes CAP_SYS_ADMIN, and one
 * backing file for all who have an inode open at the same time. Any thread.
 */
#ifndef CAISSON_PASSTHROUGH_H
#define CAISSON_PASSTHROUGH_H

#include <stdint.h>

#define PASSTHROUGH_NONE 0 /* no id of a backing file */

/*
 * Tells the kernel of the file that FD is open on. Returns its id, above 0, for
 * passthrough_close(); or -errno: -EPERM without the capability, -ELOOP where the backing
 * filesystem is itself stacked, -ENOMEM.
 */
int32_t passthrough_open(int session_fd, int fd);

/* Who has a file open with ID goes on; nobody else will. */
void passthrough_close(int session_fd, int32_t id);

#endif
