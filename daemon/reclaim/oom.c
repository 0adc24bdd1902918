/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reclaim/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

int oom_protect(void)
{
	static const char score[] = "-1000";
	autoclose int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, score, strlen(score)) < 0)
		return -errno;
	return 0;
}
