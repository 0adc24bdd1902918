/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The runtime directory, for files that a daemon keeps while it runs. It is /run/caisson for root.
 * For others it is caisson in $XDG_RUNTIME_DIR, or else in /run/user/UID. Only its owner can make,
 * remove or rename files there.
 */
#ifndef CAISSON_RUNTIME_DIR_H
#define CAISSON_RUNTIME_DIR_H

#include <stdint.h>
#include <sys/types.h>

#define RUNTIME_DIR_ROOT "/run/caisson"

/*
 * Makes the directory of the process's effective user and writes its path to DIR of LEN bytes.
 * Returns 0; -ENOENT if an ordinary user has no place for it; -EPERM if the directory belongs to
 * somebody else or others may write to it; -ENAMETOOLONG; or -errno. Except for -ENAMETOOLONG and
 * -ENOENT, DIR is set for the message.
 */
int runtime_dir_make(char *dir, size_t len);

/* The calling user's $XDG_RUNTIME_DIR, or NULL. */
const char *runtime_dir_of_session(void);

#endif
