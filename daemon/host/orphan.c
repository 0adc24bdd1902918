/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/orphan.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/procfs.h"
#include "host/control.h"

/* Longest time for a server to stop, ms, and how often to look. */
#define STOP_MS	     1000
#define STOP_LOOK_MS 1

#define FORM "terms 1\n%d %d %d %d %d\n%255s\n"

int orphan_render(const struct orphan *orphan, char *text, size_t len)
{
	int n = snprintf(text, len, "terms 1\n%d %d %d %d %d\n%s\n", orphan->session_fd,
			 orphan->root_fd, orphan->read_fd, orphan->lock_fd, orphan->arena_fd,
			 orphan->sizes);

	return n < 0 || (size_t)n >= len ? -ENOSPC : n;
}

static int parse(const char *text, struct orphan *orphan)
{
	int n = sscanf(text, FORM, &orphan->session_fd, &orphan->root_fd, &orphan->read_fd,
		       &orphan->lock_fd, &orphan->arena_fd, orphan->sizes);

	return n == 6 && orphan->arena_fd >= 0 ? 0 : -ENOENT;
}

int orphan_find(const char *mountpoint, struct orphan *ret_orphan)
{
	autofree char *path = NULL;
	char text[512];
	int r;

	*ret_orphan = (struct orphan){ 0 };
	r = mountinfo_path(mountpoint, &path);
	if (!r)
		r = mountinfo_find(path, &ret_orphan->mount);
	if (r < 0)
		return r;
	if (!ret_orphan->mount.is_fuse || ret_orphan->mount.owner != geteuid())
		return -ENOENT;
	r = control_ask(&ret_orphan->mount, "terms", text, sizeof(text), &ret_orphan->pid);
	if (r < 0 || !ret_orphan->pid)
		return -ENOENT;
	return parse(text, ret_orphan);
}

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
		return false;
	while (stopped && (entry = readdir(dir)))
		stopped = entry->d_name[0] == '.' || thread_has_stopped(pid, entry->d_name);
	(void)closedir(dir);
	return stopped;
}

bool orphan_stop(pid_t pid, int pidfd)
{
	const struct timespec pause = { .tv_nsec = STOP_LOOK_MS * 1000000L };

	if (pidfd_send_signal(pidfd, SIGSTOP, NULL, 0) < 0)
		return false;
	for (int look = 0; look < STOP_MS / STOP_LOOK_MS; look++) {
		if (has_stopped(pid))
			return true;
		(void)nanosleep(&pause, NULL);
	}
	(void)pidfd_send_signal(pidfd, SIGCONT, NULL, 0);
	return false;
}
