/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handlers for ioctls on file attributes (chattr, lsattr, xfs_io's chproj and extsize) and for
 * SYNCFS. call.h has the contract.
 */
#ifndef CAISSON_OP_IOCTL_H
#define CAISSON_OP_IOCTL_H

struct call;

int op_ioctl(struct call *call);
int op_syncfs(struct call *call);

#endif
