/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The path of a mount's control socket. */
#ifndef CAISSON_CONTROL_PATH_H
#define CAISSON_CONTROL_PATH_H

#include <stdint.h>
#include <sys/types.h>

struct sockaddr_un;

/*
 * Server: the socket of the mount MAJOR:MINOR, in the directory of runtime_dir_make(), whose errors
 * it returns; or -ENAMETOOLONG.
 */
int control_path_make(struct sockaddr_un *address, uint32_t major, uint32_t minor);

/* Client: the places of OWNER's daemon that control_path_find() knows. */
#define CONTROL_PATHS 3

/*
 * Client: the PLACE-th path at which the daemon of OWNER may have its socket, from 0. Returns 0,
 * or -ENOENT where there is no such place, or -ENAMETOOLONG.
 */
int control_path_find(struct sockaddr_un *address, uint32_t major, uint32_t minor, uid_t owner,
		      uint32_t place);

#endif
