/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directory for what a daemon keeps while it runs: /run/caisson for root, caisson below
 * $XDG_RUNTIME_DIR, or else below /run/user/UID, for others. Nobody but its owner can make, remove
 * or rename anything there.
 */
#ifndef CAISSON_RUNTIME_DIR_H
#define CAISSON_RUNTIME_DIR_H

#include <stdint.h>
#include <sys/types.h>

#define RUNTIME_DIR_ROOT "/run/caisson"

/*
 * Makes the directory of the process's effective user and writes its path to DIR of LEN bytes.
 * Returns 0; -ENOENT where an ordinary user has no such place; -EPERM where the directory belongs
 * to somebody else or others may write to it; -ENAMETOOLONG; or -errno. Except for -ENAMETOOLONG
 * and -ENOENT, DIR is set for the message.
 */
int runtime_dir_make(char *dir, size_t len);

/* The calling user's $XDG_RUNTIME_DIR, or NULL. */
const char *runtime_dir_of_session(void);

#endif
