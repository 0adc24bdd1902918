/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/succession.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/procfs.h"
#include "caisson/reclaim.h"
#include "store/privdrop.h"

/* Longest wait for the terms, ms: they are sent at once. */
#define TERMS_MS 5000

/* Descriptors that the old server may open until it is killed. */
#define GROWTH 8192u

/* In the flags of a task that is ending (include/linux/sched.h). */
#define PF_EXITING 0x4u

/* Numbers of our own come in regions of this size, or of a power of two times that. */
#define REGION_MIN 64u

static int receive_terms(struct succession *succession)
{
	struct pollfd link = { .fd = succession->fd, .events = POLLIN };
	struct upgrade_terms *terms = &succession->terms;

	if (poll(&link, 1, TERMS_MS) != 1 ||
	    recv(succession->fd, terms, sizeof(*terms), MSG_DONTWAIT) != (ssize_t)sizeof(*terms) ||
	    terms->version != UPGRADE_TERMS || !memchr(terms->program, '\0', PATH_MAX))
		return -EBADMSG;
	return 0;
}

/* The numbers of a process's open descriptors. */
struct numbers {
	uint32_t *fds; /* ascending */
	uint32_t count;
};

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Whether PID has ended, or has lost its memory on the way to that. */
static bool is_ending(pid_t pid)
{
	char path[32], value[32];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid); /* fits */
	r = procfs_read_value(path, "VmSize", value, sizeof(value));
	return r == -ENOENT || r == -ESRCH;
}

/*
 * Opens the list of PID's descriptors, which is empty when PID has ended. The list of a process
 * that is ending is root's (task_dump_owner() in fs/proc/base.c). Returns 0 or -errno: -ESRCH if
 * PID has ended or is ending.
 */
static int open_list(pid_t pid, DIR **ret_dir)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid); /* fits */
	*ret_dir = opendir(path);
	if (*ret_dir)
		return 0;
	return errno == ENOENT || (errno == EACCES && is_ending(pid)) ? -ESRCH : -errno;
}

static int list(pid_t pid, struct numbers *ret_numbers)
{
	struct numbers numbers = { 0 };
	uint32_t room = 0;
	struct dirent *entry;
	DIR *dir;
	int r = open_list(pid, &dir);

	if (r < 0)
		return r;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (numbers.count == room) {
			uint32_t *more = realloc(numbers.fds, (2 * room + 64) * sizeof(*more));

			if (!more) {
				free(numbers.fds);
				(void)closedir(dir);
				return -ENOMEM;
			}
			numbers.fds = more;
			room = 2 * room + 64;
		}
		numbers.fds[numbers.count++] = (uint32_t)strtoul(entry->d_name, NULL, 10);
	}
	(void)closedir(dir);
	if (numbers.count)
		qsort(numbers.fds, numbers.count, sizeof(*numbers.fds), compare);
	*ret_numbers = numbers;
	return 0;
}

/* Returns 0 if PID has descriptors; -ESRCH if it has none, as it has ended; or -errno. */
static int look_for_any(pid_t pid)
{
	struct dirent *entry = NULL;
	DIR *dir;
	int r = open_list(pid, &dir);

	if (r < 0)
		return r;
	do
		entry = readdir(dir);
	while (entry && entry->d_name[0] == '.');
	(void)closedir(dir);
	return entry ? 0 : -ESRCH;
}

static bool has_one_in(const struct numbers *numbers, uint64_t first, uint64_t count)
{
	for (uint32_t i = 0; i < numbers->count; i++) {
		if (numbers->fds[i] >= first && numbers->fds[i] < first + count)
			return true;
	}
	return false;
}

/*
 * Chooses COUNT numbers that the old table doesn't use, and won't use soon, as the kernel gives out
 * the lowest that is free. From one upgrade to the next this goes back and forth between two.
 */
static int choose_region(struct succession *succession, const struct numbers *numbers,
			 uint32_t count)
{
	uint64_t step = REGION_MIN, first;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	while (step < count)
		step *= 2;
	if (limit.rlim_cur < step)
		return -EMFILE;
	first = MIN(round_up(2ull * numbers->count + GROWTH, step),
		    (limit.rlim_cur / step - 1) * step);
	while (first > numbers->count && has_one_in(numbers, first, step))
		first -= step;
	if (first <= numbers->count)
		return -EMFILE;
	succession->first = (uint32_t)first;
	succession->count = (uint32_t)step;
	return 0;
}

/* Fills all numbers below our own, so that what is opened from now on gets one of ours. */
static int fill(const struct succession *succession)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* it stays, like its copies */

	if (null_fd < 0)
		return -errno;
	for (;;) {
		int fd = fcntl(null_fd, F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		if ((uint32_t)fd >= succession->first) {
			(void)close(fd);
			return 0;
		}
	}
}

static bool is_own(const struct succession *succession, uint32_t fd)
{
	return fd >= succession->first && fd < succession->first + succession->count;
}

/* Copies descriptor FD of the old keeper. The standard ones were inherited. */
static int copy(const struct succession *succession, uint32_t fd)
{
	autoclose int got = -1;

	if (fd <= STDERR_FILENO)
		return 0;
	if (is_own(succession, fd))
		return -EBUSY;
	got = (int)syscall(SYS_pidfd_getfd, succession->keeper_fd, fd, 0);
	if (got < 0)
		return errno == EBADF ? 0 : -errno; /* it was closed just now */
	if (!is_own(succession, (uint32_t)got))
		return -EMFILE;
	return dup3(got, (int)fd, O_CLOEXEC) < 0 ? -errno : 0;
}

/*
 * Whether the process has had its descriptors up to now: it loses all at once when it ends. Returns
 * 0; -ESRCH if it has ended; or -errno.
 */
static int check_kept(const struct succession *succession)
{
	struct pollfd end = { .fd = succession->keeper_fd, .events = POLLIN };
	int r = look_for_any(succession->keeper);

	/* in this order: as long as it hasn't ended, its number is nobody else's */
	return poll(&end, 1, 0) == 0 ? r : -ESRCH;
}

/* Returns 0; -ESRCH if the process has ended, and perhaps not all was copied; or -errno. */
static int copy_all(const struct succession *succession, const struct numbers *numbers)
{
	int r = 0;

	for (uint32_t i = 0; i < numbers->count && !r; i++)
		r = copy(succession, numbers->fds[i]);
	return r ? r : check_kept(succession);
}

/* Moves *FD to one of our own numbers. */
static int move(const struct succession *succession, int *fd)
{
	int moved = fcntl(*fd, F_DUPFD_CLOEXEC, (int)succession->first);

	if (moved < 0)
		return -errno;
	close_fd(fd);
	*fd = moved;
	return 0;
}

static int make_table(struct succession *succession, uint32_t count)
{
	struct numbers numbers = { 0 };
	int r;

	succession->keeper_fd = pidfd_open(succession->keeper, 0);
	if (succession->keeper_fd < 0)
		return -errno;
	r = list(succession->keeper, &numbers);
	if (!r)
		r = choose_region(succession, &numbers, count);
	if (!r && succession->fd >= 0)
		r = move(succession, &succession->fd);
	if (!r && succession->server_fd >= 0)
		r = move(succession, &succession->server_fd);
	if (!r)
		r = move(succession, &succession->keeper_fd);
	if (!r)
		r = fill(succession);
	if (!r)
		r = copy_all(succession, &numbers);
	free(numbers.fds);
	return r;
}

void succession_init(struct succession *succession, int fd)
{
	*succession = (struct succession){ .fd = fd, .keeper_fd = -1, .server_fd = -1 };
}

int succession_begin(struct succession *succession, uint32_t count)
{
	int r = receive_terms(succession);

	if (!r && succession->terms.server) {
		succession->server_fd = pidfd_open(succession->terms.server, 0);
		r = succession->server_fd < 0 ? -errno : 0;
	}
	return r < 0 ? r : succession_copy(succession, succession->terms.keeper, count);
}

int succession_copy(struct succession *succession, pid_t pid, uint32_t count)
{
	succession->keeper = pid;
	return make_table(succession, count);
}

int succession_fetch(const struct succession *succession)
{
	struct numbers numbers = { 0 };
	int r, saved;

	r = privdrop_keeper_trace(true);
	if (!r)
		r = list(succession->keeper, &numbers);
	if (!r)
		r = copy_all(succession, &numbers);
	free(numbers.fds);
	saved = privdrop_keeper_trace(false);
	return r ? r : saved;
}

/* The main thread of process PID, as far as it lives. */
struct main_thread {
	pid_t pid;
	bool is_alive;
};

static int look_at_main(const struct caisson_task *task, void *arg)
{
	struct main_thread *thread = arg;

	if (task->tid != thread->pid)
		return 0;
	thread->is_alive = !(task->flags & PF_EXITING);
	return 1;
}

int succession_seal(const struct succession *succession)
{
	struct pollfd end = { .fd = succession->keeper_fd, .events = POLLIN };
	struct main_thread keeper = { .pid = succession->keeper };
	struct caisson_audit_summary summary;

	if (succession->server_fd < 0)
		return 0; /* it was dead from the beginning */
	(void)pidfd_send_signal(succession->server_fd, SIGKILL, NULL, 0); /* or it has ended */

	/* its main thread lets the server go on (PR_SET_PDEATHSIG); a pidfd tells of all */
	(void)caisson_audit(keeper.pid, look_at_main, &keeper, &summary); /* or it has ended */

	/* last: as long as it hasn't ended, its number is nobody else's */
	return keeper.is_alive && poll(&end, 1, 0) == 0 ? 0 : -ESRCH;
}

int succession_follow(struct succession *succession)
{
	struct pollfd end = { .fd = succession->server_fd, .events = POLLIN };

	if (succession->server_fd < 0 || poll(&end, 1, 0) != 0)
		return -ESRCH;
	close_fd(&succession->keeper_fd);
	succession->keeper_fd = steal_fd(&succession->server_fd);
	succession->keeper = succession->terms.server;
	return 0;
}

void succession_give_up(const struct succession *succession, enum upgrade_outcome outcome)
{
	const struct upgrade_message message = { .word = UPGRADE_GAVE_UP, .outcome = outcome };

	(void)upgrade_send(succession->fd, &message); /* without it, our end tells */
}

void succession_end(struct succession *succession)
{
	close_fd(&succession->fd);
	close_fd(&succession->keeper_fd);
	close_fd(&succession->server_fd);
}
