/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount -o remount: changes the flags of a mount in the kernel. No daemon is started or asked. */
#ifndef CAISSON_REMOUNT_H
#define CAISSON_REMOUNT_H

struct options;

/*
 * Sets options->remount_flags on the mount at options->mountpoint, which must be the caller's own.
 * Returns an exit code, logged.
 */
int remount_run(const struct options *options);

#endif
