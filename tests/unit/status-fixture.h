/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A status to render. */
#ifndef CAISSON_TEST_STATUS_FIXTURE_H
#define CAISSON_TEST_STATUS_FIXTURE_H

#include <string.h>

#include "host/status.h"

static inline void fill_example(struct status *status)
{
	*status = (struct status){
		.version = "1.2.3",
		.backing = "/srv/a \"b\"\\\n\x7f \xc3\xa9 \xff\xc0\xaf",
		.mountpoint = "/mnt/x",
		.pid = 101,
		.keeper_pid = 100,
		.keeper_alive = true,
		.uptime_s = 90061,
		.recovery = "off",
		.last_upgrade = "",
		.io_flusher_required = true,
		.io_flusher = true,
		.mlock_required = true,
		.mlock = true,
		.cache = "none",
		.transport = "dev",
		.kernel_minor = 38,
		.features = "async_dio posix_acl",
		.max_write = 1 << 20,
		.queues = 2,
		.queue_depth = 16,
		.memory_bound = 1610612736,
		.oom_score_adj = -1000,
		.tasks = 9,
		.queue = { { .requests = UINT64_MAX, .read_bytes = 1023 }, { .starved = 7 } },
	};
	strcpy(status->capabilities, "chown fowner");
	status_judge(status);
}

#endif
