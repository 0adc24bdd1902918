/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The abort of a FUSE connection: all clients that wait for an answer get ECONNABORTED, and the
 * kernel takes no more requests. It is done through the connection's file `abort` in fusectl. The
 * file is opened in advance, because opening it later might wait.
 */
#ifndef CAISSON_FUSE_ABORT_H
#define CAISSON_FUSE_ABORT_H

#include <stdint.h>

/*
 * Opens the abort file of the connection of the mount whose st_dev has MINOR. fusectl needn't be
 * mounted anywhere if we have CAP_SYS_ADMIN. Returns 0 or -errno.
 */
int fuse_abort_open(uint32_t minor, int *ret_fd);

/* Aborts the connection of FD. Doesn't block. Returns 0 or -errno. */
int fuse_abort(int fd);

#endif
