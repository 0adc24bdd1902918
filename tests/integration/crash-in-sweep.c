/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For a caissond of which each server fails while it takes over (upgrade.sh). */
#include <stdlib.h>

#include "base/fd-marks.h"

/* A name that the linker makes (--wrap). */
void __wrap_fd_marks_sweep(const struct fd_marks *marks);

void __wrap_fd_marks_sweep(const struct fd_marks *marks)
{
	(void)marks;
	abort();
}
