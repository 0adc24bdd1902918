/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/zone-mark.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/macro.h"
#include "base/procfs.h"

#define MIB (1ull << 20)

/* ZLOOP_MAX_ZONE_SIZE_MB in drivers/block/zloop.c */
#define ZONE_LEN_MAX (16384 * MIB)

#define NAME_PREFIX_LEN 4 /* "cnv-" */

const char *zone_geometry_fault(const struct zone_geometry *geometry)
{
	if (!is_power_of_two(geometry->zone_len) || geometry->zone_len < MIB ||
	    geometry->zone_len > ZONE_LEN_MAX)
		return "the zone size isn't a power of two from 1M to 16G";
	if (geometry->capacity_len == 0 || geometry->capacity_len % MIB)
		return "the zone capacity isn't a multiple of 1M";
	if (geometry->capacity_len > geometry->zone_len)
		return "the zone capacity is larger than the zone size";
	if (geometry->zones < 2 || geometry->zones > ZONES_MAX)
		return "there must be 2 to 1000000 zones";
	if (geometry->conventional >= geometry->zones)
		return "at least one zone must be sequential";
	return NULL;
}

void zone_name(const struct zone_geometry *geometry, uint32_t number,
	       char name[static ZONE_NAME_LEN])
{
	bool conventional = zone_geometry_kind(geometry, number) == ZONE_CONVENTIONAL;

	/* the number is below ZONES_MAX; the % shows the compiler that the name fits */
	(void)snprintf(name, ZONE_NAME_LEN, "%s-%06u", conventional ? "cnv" : "seq",
		       number % ZONES_MAX);
}

bool zone_name_is_likely(const char *name)
{
	return strncmp(name, "cnv-", NAME_PREFIX_LEN) == 0 ||
	       strncmp(name, "seq-", NAME_PREFIX_LEN) == 0;
}

/*
 * Reads the decimal number at *AT and moves *AT behind it. Returns false if there is none or it is
 * too large.
 */
static bool take_number(const char **at, const char *end, uint64_t *ret_number)
{
	const char *start = *at;
	uint64_t number = 0;

	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
		if (__builtin_mul_overflow(number, 10u, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(**at - '0'), &number))
			return false;
	}
	*ret_number = number;
	return *at > start;
}

static bool take_word(const char **at, const char *end, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

bool zone_name_parse(const struct zone_geometry *geometry, const char *name, uint32_t *ret_number)
{
	const char *at = name + NAME_PREFIX_LEN;
	char expected[ZONE_NAME_LEN];
	uint64_t number;

	if (!zone_name_is_likely(name) || !take_number(&at, name + strlen(name), &number) ||
	    number >= geometry->zones)
		return false;
	/* zloop writes each number in one way only, and each zone has one kind */
	zone_name(geometry, (uint32_t)number, expected);
	if (strcmp(name, expected) != 0)
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

void zone_mark_print(const struct zone_geometry *geometry, char text[static ZONE_MARK_LEN])
{
	(void)snprintf(
		text, ZONE_MARK_LEN, "1 zone_size=%llu zone_capacity=%llu conventional=%u zones=%u",
		(unsigned long long)geometry->zone_len, (unsigned long long)geometry->capacity_len,
		geometry->conventional, geometry->zones);
}

int zone_mark_parse(const char *text, uint64_t len, struct zone_geometry *ret_geometry)
{
	const char *at = text, *end = text + len;
	struct zone_geometry geometry;
	uint64_t conventional, zones;

	if (!take_word(&at, end, "1 zone_size=") || !take_number(&at, end, &geometry.zone_len) ||
	    !take_word(&at, end, " zone_capacity=") ||
	    !take_number(&at, end, &geometry.capacity_len) ||
	    !take_word(&at, end, " conventional=") || !take_number(&at, end, &conventional) ||
	    !take_word(&at, end, " zones=") || !take_number(&at, end, &zones) || at != end)
		return -EBADMSG;
	if (conventional > ZONES_MAX || zones > ZONES_MAX)
		return -EBADMSG;
	geometry.conventional = (uint32_t)conventional;
	geometry.zones = (uint32_t)zones;
	if (zone_geometry_fault(&geometry))
		return -EBADMSG;
	*ret_geometry = geometry;
	return 0;
}

int zone_mark_write(int fd, const struct zone_geometry *geometry)
{
	char text[ZONE_MARK_LEN];

	zone_mark_print(geometry, text);
	return fsetxattr(fd, ZONE_MARK_NAME, text, strlen(text), 0) < 0 ? -errno : 0;
}

int zone_mark_read(int fd, struct zone_geometry *ret_geometry)
{
	char path[PROCFS_FD_PATH_LEN], text[ZONE_MARK_LEN];
	ssize_t len;

	/* fgetxattr() refuses O_PATH; the magic link leads to the very inode */
	procfs_fd_path(fd, path);
	len = getxattr(path, ZONE_MARK_NAME, text, sizeof(text));
	if (len >= 0)
		return zone_mark_parse(text, (uint64_t)len, ret_geometry);
	if (errno == EOPNOTSUPP)
		return -ENODATA;
	return errno == ERANGE ? -EBADMSG : -errno;
}
