/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_UPGRADE_MOUNT_H
#define CAISSON_UPGRADE_MOUNT_H

/*
 * `caisson upgrade`: asks the keeper of MOUNTPOINT's daemon for an upgrade, waits for its end, and
 * prints what serves now. Returns an exit code: EXIT_FINE if the installed version does.
 */
int upgrade_command(const char *mountpoint);

#endif
