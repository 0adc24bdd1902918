/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handlers for what acts on the filesystem's own properties through an open descriptor: the file
 * attribute ioctls (chattr, lsattr, xfs_io's chproj and extsize) and SYNCFS. Contract: call.h.
 */
#ifndef CAISSON_OP_IOCTL_H
#define CAISSON_OP_IOCTL_H

struct call;

int op_ioctl(struct call *call);
int op_syncfs(struct call *call);

#endif
