/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/control-path.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "host/runtime-dir.h"

/* DIR/MAJOR:MINOR.sock */
static int name_socket(struct sockaddr_un *address, const char *dir, uint32_t major, uint32_t minor)
{
	int n = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%u:%u.sock", dir, major,
			 minor);

	if (n >= 0 && (size_t)n < sizeof(address->sun_path))
		return 0;
	address->sun_path[0] = '\0';
	return -ENAMETOOLONG;
}

int control_path_make(struct sockaddr_un *address, uint32_t major, uint32_t minor)
{
	char dir[sizeof(address->sun_path)];
	int r;

	address->sun_family = AF_UNIX;
	r = runtime_dir_make(dir, sizeof(dir));
	return r < 0 ? r : name_socket(address, dir, major, minor);
}

int control_path_find(struct sockaddr_un *address, uint32_t major, uint32_t minor, uid_t owner,
		      uint32_t place)
{
	char dir[sizeof(address->sun_path)] = RUNTIME_DIR_ROOT;
	int n = 0;

	address->sun_family = AF_UNIX;
	switch (place) {
	case 0:
		break;
	case 1:
		if (!runtime_dir_of_session())
			return -ENOENT;
		n = snprintf(dir, sizeof(dir), "%s/caisson", runtime_dir_of_session());
		break;
	case 2: /* when root asks, whose XDG_RUNTIME_DIR differs; pam_systemd(8) makes it */
		n = snprintf(dir, sizeof(dir), "/run/user/%u/caisson", (unsigned)owner);
		break;
	default:
		return -ENOENT;
	}
	if (n < 0 || (size_t)n >= sizeof(dir))
		return -ENAMETOOLONG;
	return name_socket(address, dir, major, minor);
}
