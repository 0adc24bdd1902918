/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For a caissond of which each server fails when it has told that it is ready (upgrade.sh). */
#include <stdlib.h>

#include "host/link.h"

/* Names that the linker makes (--wrap). */
int __real_keeper_ready(const struct keeper_link *link, int arena_fd);
int __wrap_keeper_ready(const struct keeper_link *link, int arena_fd);

int __wrap_keeper_ready(const struct keeper_link *link, int arena_fd)
{
	(void)__real_keeper_ready(link, arena_fd);
	abort();
}
