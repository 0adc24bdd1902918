/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/stop.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>

#include "base/procfs.h"

/* Longest time for a process to stop, ms, and how often to look. */
#define STOP_MS	     1000
#define STOP_LOOK_MS 1

/* Whether thread TID of process PID has stopped, or has ended. */
static bool thread_has_stopped(pid_t pid, const char *tid)
{
	char path[300], state[16];

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, tid); /* fits */
	return procfs_read_value(path, "State", state, sizeof(state)) < 0 ||
	       strchr("TZX", state[0]);
}

static bool has_stopped(pid_t pid)
{
	bool stopped = true;
	struct dirent *entry;
	char path[32];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid); /* fits */
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT;
	while (stopped && (entry = readdir(dir)))
		stopped = entry->d_name[0] == '.' || thread_has_stopped(pid, entry->d_name);
	(void)closedir(dir);
	return stopped;
}

bool stop_process(pid_t pid, int pidfd)
{
	const struct timespec pause = { .tv_nsec = STOP_LOOK_MS * 1000000L };
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	(void)pidfd_send_signal(pidfd, SIGSTOP, NULL, 0); /* fails if it has ended */
	for (int look = 0; look < STOP_MS / STOP_LOOK_MS; look++) {
		/* its number may be another's once it has ended */
		if (has_stopped(pid) || poll(&end, 1, 0) == 1)
			return true;
		(void)nanosleep(&pause, NULL);
	}
	stop_undo(pidfd);
	return false;
}

void stop_undo(int pidfd)
{
	(void)pidfd_send_signal(pidfd, SIGCONT, NULL, 0); /* fails if it has ended */
}
