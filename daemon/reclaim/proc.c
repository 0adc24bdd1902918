/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reclaim/proc.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "reclaim/proc-text.h"

/* Room for the first twelve fields: a name of 64 bytes and 21 bytes for each number. */
#define STAT_BYTES 512

void caisson_proc_path(char path[PROC_PATH_SIZE], pid_t id, const char *self, const char *file)
{
	char digits[16];
	size_t first = sizeof(digits);
	size_t len;

	digits[--first] = '\0';
	for (unsigned int rest = (unsigned int)id; rest > 0; rest /= 10)
		digits[--first] = (char)('0' + rest % 10);
	if (id > 0)
		self = digits + first;
	len = strlen(self);
	assert(len + 1 + strlen(file) < PROC_PATH_SIZE);
	memcpy(path, self, len);
	path[len] = '/';
	memcpy(path + len + 1, file, strlen(file) + 1);
}

int caisson_proc_parse_tid(const char *text, pid_t *ret_tid)
{
	uint64_t value;
	int r = caisson_text_number(&text, 10, INT_MAX, &value);

	if (r < 0)
		return r;
	if (*text || value == 0)
		return -EINVAL;
	*ret_tid = (pid_t)value;
	return 0;
}

static enum caisson_task_kind kind_of(const struct caisson_task *task)
{
	/* the process can set names, so they only tell apart the two kinds of io_uring workers */
	if (task->flags & CAISSON_PF_IO_WORKER)
		return strncmp(task->comm, "iou-sqp-", 8) == 0 ? CAISSON_TASK_SQPOLL
							       : CAISSON_TASK_IO_WORKER;
	if (task->flags & CAISSON_PF_USER_WORKER)
		return CAISSON_TASK_USER_WORKER;
	return CAISSON_TASK_THREAD;
}

/* Parses the fields 3 to 12: state, five that we don't use, flags, and page faults. */
static int parse_fields(const char *at, struct caisson_task *task)
{
	uint64_t values[13] = { 0 };

	text_skip_spaces(&at);
	task->state = *at;
	if (!*at || text_is_space(*at) || !text_is_space(at[1]))
		return -EBADMSG;
	at++;
	for (int field = 4; field <= 12; field++) {
		text_skip_spaces(&at);
		/* ppid, pgrp, session, tty_nr and tpgid may be negative and aren't used */
		if (field < 9 && *at == '-')
			at++;
		if (caisson_text_number(&at, 10, field == 9 ? UINT32_MAX : UINT64_MAX,
					&values[field]) < 0 ||
		    (!text_is_space(*at) && *at != '\n'))
			return -EBADMSG;
	}
	task->flags = (uint32_t)values[9];
	task->minflt = values[10];
	task->majflt = values[12];
	return 0;
}

int caisson_proc_parse_stat(const char *line, size_t len, struct caisson_task *ret_task)
{
	struct caisson_task task = { 0 };
	char text[STAT_BYTES + 1];
	const char *at = text;
	const char *open, *close;
	uint64_t tid;
	size_t name_len;

	if (len > STAT_BYTES || memchr(line, '\0', len))
		return -EBADMSG;
	memcpy(text, line, len);
	text[len] = '\0';
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open)
		return -EBADMSG;
	if (caisson_text_number(&at, 10, INT_MAX, &tid) < 0 || tid == 0 || at + 1 != open ||
	    *at != ' ')
		return -EBADMSG;
	task.tid = (pid_t)tid;
	/* only kernel workers have longer names */
	name_len = (size_t)(close - open) - 1;
	if (name_len > CAISSON_COMM_SIZE - 1)
		name_len = CAISSON_COMM_SIZE - 1;
	memcpy(task.comm, open + 1, name_len);
	if (parse_fields(close + 1, &task) < 0)
		return -EBADMSG;
	task.kind = kind_of(&task);
	*ret_task = task;
	return 0;
}

int caisson_proc_stat(int dirfd, const char *path, struct caisson_task *ret_task)
{
	char line[STAT_BYTES];
	ssize_t n = caisson_text_read(dirfd, path, line, sizeof(line));

	return n < 0 ? (int)n : caisson_proc_parse_stat(line, (size_t)n, ret_task);
}

/* Parses the line "Uid: REAL EFFECTIVE SAVED FS". */
static bool match_euid(const char *line, int *ret_error, uid_t *ret_euid)
{
	uint64_t real, effective;

	if (!caisson_text_match(line, "Uid", 10, UINT32_MAX, ret_error, &real))
		return false;
	line += strlen("Uid:");
	text_skip_spaces(&line);
	(void)caisson_text_number(&line, 10, UINT32_MAX, &real); /* it was parsed above */
	text_skip_spaces(&line);
	if (*ret_error || caisson_text_number(&line, 10, UINT32_MAX, &effective) < 0)
		*ret_error = -EBADMSG;
	else
		*ret_euid = (uid_t)effective;
	return true;
}

/* The lines of a status file that have been found. */
enum { TGID = 1, EUID = 2, CAPS = 4, SIZE = 8, LOCKED = 16, PRESENT = 32 };

struct status_reader {
	struct proc_status status;
	unsigned int seen;
};

static int take_status_line(void *arg, const char *line)
{
	struct status_reader *reader = arg;
	struct proc_status *status = &reader->status;
	uint64_t value = 0;
	int error = 0;

	if (caisson_text_match(line, "Tgid", 10, INT_MAX, &error, &value)) {
		status->tgid = (pid_t)value;
		reader->seen |= TGID;
	} else if (match_euid(line, &error, &status->euid)) {
		reader->seen |= EUID;
	} else if (caisson_text_match(line, "CapEff", 16, UINT64_MAX, &error,
				      &status->cap_effective)) {
		reader->seen |= CAPS;
	} else if (caisson_text_match_size(line, "VmSize", &error, &status->vm_size_bytes)) {
		reader->seen |= SIZE;
	} else if (caisson_text_match_size(line, "VmLck", &error, &status->vm_lck_bytes)) {
		reader->seen |= LOCKED;
	} else if (caisson_text_match_size(line, "VmRSS", &error, &status->vm_rss_bytes)) {
		reader->seen |= PRESENT;
	}
	return error;
}

int caisson_proc_status(int dirfd, const char *path, struct proc_status *ret_status)
{
	struct status_reader reader = { 0 };
	unsigned int seen;
	int r;

	r = caisson_text_lines(dirfd, path, take_status_line, &reader);
	if (r < 0)
		return r;
	seen = reader.seen;
	if ((seen & (TGID | EUID | CAPS)) != (TGID | EUID | CAPS))
		return -EBADMSG;
	/* the kernel writes all three lines or none: task_mem() in fs/proc/task_mmu.c */
	reader.status.has_memory = seen & SIZE;
	if (reader.status.has_memory && (seen & (LOCKED | PRESENT)) != (LOCKED | PRESENT))
		return -EBADMSG;
	*ret_status = reader.status;
	return 0;
}

/* Parses the first line, which is a number, and ends the reading. */
static int take_number_line(void *arg, const char *line)
{
	int32_t *ret_number = arg;
	bool negative = *line == '-';
	uint64_t value;

	if (negative)
		line++;
	if (caisson_text_number(&line, 10, INT32_MAX, &value) < 0 || *line)
		return -EBADMSG;
	*ret_number = negative ? -(int32_t)value : (int32_t)value;
	return 1;
}

int caisson_proc_number(int dirfd, const char *path, int32_t *ret_number)
{
	int r = caisson_text_lines(dirfd, path, take_number_line, ret_number);

	return r > 0 ? 0 : r < 0 ? r : -EBADMSG;
}
