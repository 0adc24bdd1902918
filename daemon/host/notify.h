/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notification of a service manager by the protocol of sd_notify(3): a datagram of lines KEY=VALUE
 * to the socket that $NOTIFY_SOCKET names. libsystemd isn't linked for that, because it would
 * bring more code into a process whose memory is locked than the rest of the keeper has.
 */
#ifndef CAISSON_NOTIFY_H
#define CAISSON_NOTIFY_H

#include <stdbool.h>

/* Whether there is a service manager. */
bool notify_is_wanted(void);

/*
 * Sends STATE, such as "READY=1\nSTATUS=serving". Doesn't block. Returns 0, also without a service
 * manager; or -errno.
 */
int notify(const char *state);

#endif
