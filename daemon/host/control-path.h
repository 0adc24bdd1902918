/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The paths of a mount's control socket. */
#ifndef CAISSON_CONTROL_PATH_H
#define CAISSON_CONTROL_PATH_H

#include <stdint.h>
#include <sys/types.h>

struct sockaddr_un;

/*
 * Server: makes the runtime directory and sets ADDRESS to the socket of the mount MAJOR:MINOR in
 * it. Returns 0, -ENAMETOOLONG, or an error of runtime_dir_make().
 */
int control_path_make(struct sockaddr_un *address, uint32_t major, uint32_t minor);

/* Client: the number of places that control_path_find() knows. */
#define CONTROL_PATHS 3

/*
 * Client: sets ADDRESS to place number PLACE, from 0, at which the daemon of OWNER may have its
 * socket. Returns 0, -ENOENT if there is no such place, or -ENAMETOOLONG.
 */
int control_path_find(struct sockaddr_un *address, uint32_t major, uint32_t minor, uid_t owner,
		      uint32_t place);

#endif
