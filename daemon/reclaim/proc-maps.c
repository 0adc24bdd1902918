/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reclaim/proc-maps.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "reclaim/proc-text.h"

/* One mapping while its lines are read. */
struct map {
	bool open;	 /* the mapping's first line has been read, but not yet its flags */
	bool accessible; /* readable, writable or executable, so a lock populates it */
	uint64_t start, bytes, present_bytes;
};

/*
 * Opens a mapping if LINE is the first of one, such as "55ffbb240000-55ffbb241000 r--p …".
 * Returns false if it is another line.
 */
static bool map_begin(struct map *map, const char *line, int *ret_error)
{
	uint64_t start, end;

	if (caisson_text_number(&line, 16, UINT64_MAX, &start) < 0 || *line != '-')
		return false;
	line++;
	if (map->open || caisson_text_number(&line, 16, UINT64_MAX, &end) < 0 || end <= start ||
	    *line != ' ') {
		*ret_error = -EBADMSG;
		return true;
	}
	line++;
	*map = (struct map){ .open = true, .start = start, .bytes = end - start };
	map->accessible = strncmp(line, "---", 3) != 0;
	return true;
}

/* Returns true if FLAGS, a list of two-letter words, contains FLAG. */
static bool has_flag(const char *flags, const char *flag)
{
	for (;;) {
		text_skip_spaces(&flags);
		if (!*flags)
			return false;
		if (strncmp(flags, flag, 2) == 0 && (text_is_space(flags[2]) || !flags[2]))
			return true;
		while (*flags && !text_is_space(*flags))
			flags++;
	}
}

/*
 * Returns true for a mapping that mlock_fixup() ignores because the kernel never pages it out. The
 * kinds are VM_SPECIAL (io, pf, de, mm), huge pages (ht), droppable memory of vgetrandom() (dp),
 * and the vsyscall page in the kernel's half of the address space. Other kinds, such as DAX files,
 * count as unlocked, which is the safe error.
 */
static bool is_special(const struct map *map, const char *flags)
{
	static const char kinds[][3] = { "io", "pf", "de", "mm", "ht", "dp" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (has_flag(flags, kinds[i]))
			return true;
	return map->start >> 63;
}

/* Counts and closes a mapping; FLAGS are its last line. */
static void map_end(struct map *map, const char *flags, struct proc_maps *maps)
{
	uint64_t absent = 0;
	bool locked;

	if (map->accessible && map->present_bytes < map->bytes)
		absent = map->bytes - map->present_bytes;
	/* memory that is locked on fault (lf, shown since Linux 6.2) faults where it is absent */
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

struct reader {
	struct map map;
	struct proc_maps maps;
};

static int take_line(void *arg, const char *line)
{
	static const char flags_key[] = "VmFlags:";
	struct reader *reader = arg;
	int error = 0;

	if (map_begin(&reader->map, line, &error) ||
	    caisson_text_match_size(line, "Rss", &error, &reader->map.present_bytes))
		return error;
	if (strncmp(line, flags_key, strlen(flags_key)) != 0)
		return 0;
	if (!reader->map.open)
		return -EBADMSG;
	map_end(&reader->map, line + strlen(flags_key), &reader->maps);
	return 0;
}

int caisson_proc_maps(int dirfd, const char *path, struct proc_maps *ret_maps)
{
	struct reader reader = { 0 };
	int r;

	r = caisson_text_lines(dirfd, path, take_line, &reader);
	if (r < 0)
		return r;
	if (reader.map.open)
		return -EBADMSG;
	if (reader.maps.count == 0)
		return -ESRCH; /* the task is exiting and has no memory any more */
	*ret_maps = reader.maps;
	return 0;
}
