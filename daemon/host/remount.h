/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `mount -o remount`: what the kernel can change of a mount. No daemon is started or asked. */
#ifndef CAISSON_REMOUNT_H
#define CAISSON_REMOUNT_H

struct options;

/*
 * Gives the mount at options->mountpoint, which has to be the caller's own,
 * options->remount_flags. An exit code, logged.
 */
int remount_run(const struct options *options);

#endif
