/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

/* Enough for the first twelve fields: a name of 64 bytes and 21 for each number. */
#define STAT_BYTES 512

/* A line of status or smaps is used up to this many bytes: what is looked for is shorter. */
#define LINE_BYTES  256
#define CHUNK_BYTES 1024

/* Lines of a file, in turn; what is beyond LINE_BYTES - 1 bytes of a line is dropped. */
struct lines {
	int fd;
	size_t at, end; /* of what is read and not used yet, in chunk */
	char line[LINE_BYTES];
	char chunk[CHUNK_BYTES];
};

/* Returns the number of bytes read, less than LEN only at the end of the file, or -errno. */
static ssize_t read_whole(int fd, char *buffer, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, buffer + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Returns 1 and a line without its newline in lines->line, 0 at the end, or -errno. */
static int lines_next(struct lines *lines)
{
	size_t len = 0;
	bool any = false;

	for (;;) {
		if (lines->at == lines->end) {
			ssize_t n = read_whole(lines->fd, lines->chunk, sizeof(lines->chunk));

			if (n < 0)
				return (int)n;
			if (n == 0)
				break;
			lines->at = 0;
			lines->end = (size_t)n;
		}
		char c = lines->chunk[lines->at++];

		any = true;
		if (c == '\n')
			break;
		if (len < sizeof(lines->line) - 1)
			lines->line[len++] = c;
	}
	lines->line[len] = '\0';
	return any;
}

static int open_file(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_spaces(const char **at)
{
	while (is_space(**at))
		(*at)++;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return INT_MAX;
}

/* Takes the digits at *AT, at least one, as a number of at most MAX. */
static int take_number(const char **at, int base, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *start = *at;

	for (; digit_value(**at) < base; (*at)++) {
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit_value(**at), &value) ||
		    value > max)
			return -ERANGE;
	}
	if (*at == start)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

/* If LINE is "KEY:" and a number, takes that number. False if it is another line. */
static bool match_number(const char *line, const char *key, int base, uint64_t max, int *ret_error,
			 uint64_t *ret_value)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) != 0 || line[len] != ':')
		return false;
	line += len + 1;
	skip_spaces(&line);
	if (take_number(&line, base, max, ret_value) < 0)
		*ret_error = -EBADMSG;
	return true;
}

/* The same for "KEY: 123 kB", in bytes. */
static bool match_size(const char *line, const char *key, int *ret_error, uint64_t *ret_bytes)
{
	uint64_t kib;

	if (!match_number(line, key, 10, UINT64_MAX / 1024, ret_error, &kib))
		return false;
	if (!*ret_error)
		*ret_bytes = kib * 1024;
	return true;
}

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
	int r = take_number(&text, 10, INT_MAX, &value);

	if (r < 0)
		return r;
	if (*text || value == 0)
		return -EINVAL;
	*ret_tid = (pid_t)value;
	return 0;
}

static enum caisson_task_kind kind_of(const struct caisson_task *task)
{
	/* the bits say who made it; names can be set by anyone, so they only tell the two apart */
	if (task->flags & CAISSON_PF_IO_WORKER)
		return strncmp(task->comm, "iou-sqp-", 8) == 0 ? CAISSON_TASK_SQPOLL
							       : CAISSON_TASK_IO_WORKER;
	if (task->flags & CAISSON_PF_USER_WORKER)
		return CAISSON_TASK_USER_WORKER;
	return CAISSON_TASK_THREAD;
}

/* Fields 3 to 12 at AT, NUL-terminated: state, five that don't matter, flags and the faults. */
static int parse_fields(const char *at, struct caisson_task *task)
{
	uint64_t values[13] = { 0 };

	skip_spaces(&at);
	task->state = *at;
	if (!*at || is_space(*at) || !is_space(at[1]))
		return -EBADMSG;
	at++;
	for (int field = 4; field <= 12; field++) {
		skip_spaces(&at);
		/* ppid, pgrp, session, tty_nr and tpgid may be negative and aren't used */
		if (field < 9 && *at == '-')
			at++;
		if (take_number(&at, 10, field == 9 ? UINT32_MAX : UINT64_MAX, &values[field]) <
			    0 ||
		    (!is_space(*at) && *at != '\n'))
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
	if (take_number(&at, 10, INT_MAX, &tid) < 0 || tid == 0 || at + 1 != open || *at != ' ')
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
	autoclose int fd = open_file(dirfd, path);
	char line[STAT_BYTES];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read_whole(fd, line, sizeof(line));
	if (n < 0)
		return (int)n;
	return caisson_proc_parse_stat(line, (size_t)n, ret_task);
}

/* "Uid:", real, effective, saved, fs: takes the second. */
static bool match_euid(const char *line, int *ret_error, uid_t *ret_euid)
{
	uint64_t real, effective;

	if (!match_number(line, "Uid", 10, UINT32_MAX, ret_error, &real))
		return false;
	line += strlen("Uid:");
	skip_spaces(&line);
	(void)take_number(&line, 10, UINT32_MAX, &real); /* it has just been taken */
	skip_spaces(&line);
	if (*ret_error || take_number(&line, 10, UINT32_MAX, &effective) < 0)
		*ret_error = -EBADMSG;
	else
		*ret_euid = (uid_t)effective;
	return true;
}

int caisson_proc_status(int dirfd, const char *path, struct proc_status *ret_status)
{
	autoclose int fd = open_file(dirfd, path);
	struct lines lines = { .fd = fd };
	struct proc_status status = { 0 };
	enum { TGID = 1, EUID = 2, CAPS = 4, SIZE = 8, LOCKED = 16, PRESENT = 32 };
	unsigned int seen = 0;
	uint64_t value = 0;
	int error = 0;
	int r;

	if (fd < 0)
		return fd;
	while (!error && (r = lines_next(&lines)) != 0) {
		const char *line = lines.line;

		if (r < 0)
			return r;
		if (match_number(line, "Tgid", 10, INT_MAX, &error, &value)) {
			status.tgid = (pid_t)value;
			seen |= TGID;
		} else if (match_euid(line, &error, &status.euid)) {
			seen |= EUID;
		} else if (match_number(line, "CapEff", 16, UINT64_MAX, &error,
					&status.cap_effective)) {
			seen |= CAPS;
		} else if (match_size(line, "VmSize", &error, &status.vm_size_bytes)) {
			seen |= SIZE;
		} else if (match_size(line, "VmLck", &error, &status.vm_lck_bytes)) {
			seen |= LOCKED;
		} else if (match_size(line, "VmRSS", &error, &status.vm_rss_bytes)) {
			seen |= PRESENT;
		}
	}
	if (error)
		return error;
	if ((seen & (TGID | EUID | CAPS)) != (TGID | EUID | CAPS))
		return -EBADMSG;
	/* the three stand and fall together: task_mem() in fs/proc/task_mmu.c */
	status.has_memory = seen & SIZE;
	if (status.has_memory && (seen & (LOCKED | PRESENT)) != (LOCKED | PRESENT))
		return -EBADMSG;
	*ret_status = status;
	return 0;
}

/* One mapping while its lines are read. */
struct map {
	bool open;	 /* its first line has been read, its flags haven't */
	bool accessible; /* may be read, written or executed: populated when locked */
	uint64_t start, bytes, present_bytes;
};

/* "55ffbb240000-55ffbb241000 r--p …" opens a mapping. False if it is another line. */
static bool map_begin(struct map *map, const char *line, int *ret_error)
{
	uint64_t start, end;

	if (take_number(&line, 16, UINT64_MAX, &start) < 0 || *line != '-')
		return false;
	line++;
	if (map->open || take_number(&line, 16, UINT64_MAX, &end) < 0 || end <= start ||
	    *line != ' ') {
		*ret_error = -EBADMSG;
		return true;
	}
	line++;
	*map = (struct map){ .open = true, .start = start, .bytes = end - start };
	map->accessible = strncmp(line, "---", 3) != 0;
	return true;
}

/* Whether FLAGS, words of two letters, holds FLAG. */
static bool has_flag(const char *flags, const char *flag)
{
	for (;;) {
		skip_spaces(&flags);
		if (!*flags)
			return false;
		if (strncmp(flags, flag, 2) == 0 && (is_space(flags[2]) || !flags[2]))
			return true;
		while (*flags && !is_space(*flags))
			flags++;
	}
}

/*
 * Kinds that mlock_fixup() passes over, as none of them is ever paged out: VM_SPECIAL (io, pf,
 * de, mm), huge pages (ht), and memory that the kernel may drop but never writes anywhere (dp,
 * for vgetrandom()). And the vsyscall page, in the kernel's half of the addresses. DAX files and
 * whatever comes later are missing, so that they count as unlocked: it fails closed.
 */
static bool is_special(const struct map *map, const char *flags)
{
	static const char kinds[][3] = { "io", "pf", "de", "mm", "ht", "dp" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (has_flag(flags, kinds[i]))
			return true;
	return map->start >> 63;
}

/* The flags are the last line of a mapping: it is counted and closed. */
static void map_end(struct map *map, const char *flags, struct proc_maps *maps)
{
	uint64_t absent = 0;
	bool locked;

	if (map->accessible && map->present_bytes < map->bytes)
		absent = map->bytes - map->present_bytes;
	/* locked on fault: what isn't there yet will be waited for (shown as lf since Linux 6.2) */
	locked = has_flag(flags, "lo") && !(has_flag(flags, "lf") && absent);
	if (locked) {
		maps->absent_bytes += absent;
	} else if (is_special(map, flags)) {
		maps->special_bytes += map->bytes;
	} else {
		if (maps->unlocked_count++ == 0)
			maps->unlocked_address = map->start;
		maps->unlocked_bytes += map->bytes;
	}
	maps->count++;
	map->open = false;
}

int caisson_proc_maps(int dirfd, const char *path, struct proc_maps *ret_maps)
{
	static const char flags_key[] = "VmFlags:";
	autoclose int fd = open_file(dirfd, path);
	struct lines lines = { .fd = fd };
	struct proc_maps maps = { 0 };
	struct map map = { 0 };
	int error = 0;
	int r;

	if (fd < 0)
		return fd;
	while (!error && (r = lines_next(&lines)) != 0) {
		const char *line = lines.line;

		if (r < 0)
			return r;
		if (map_begin(&map, line, &error))
			continue;
		if (match_size(line, "Rss", &error, &map.present_bytes))
			continue;
		if (strncmp(line, flags_key, strlen(flags_key)) != 0)
			continue;
		if (!map.open)
			return -EBADMSG;
		map_end(&map, line + strlen(flags_key), &maps);
	}
	if (error)
		return error;
	if (map.open)
		return -EBADMSG;
	if (maps.count == 0)
		return -ESRCH; /* its memory has gone: it is exiting */
	*ret_maps = maps;
	return 0;
}

int caisson_proc_number(int dirfd, const char *path, int32_t *ret_number)
{
	autoclose int fd = open_file(dirfd, path);
	struct lines lines = { .fd = fd };
	const char *at = lines.line;
	uint64_t value;
	bool negative;
	int r;

	if (fd < 0)
		return fd;
	r = lines_next(&lines);
	if (r < 0)
		return r;
	negative = *at == '-';
	if (negative)
		at++;
	if (take_number(&at, 10, INT32_MAX, &value) < 0 || *at)
		return -EBADMSG;
	*ret_number = negative ? -(int32_t)value : (int32_t)value;
	return 0;
}
