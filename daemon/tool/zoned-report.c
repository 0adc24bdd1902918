/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson zoned report` lists the zones of a marked directory, from its files, or of a zoned block
 * device, from the kernel. The conditions in a directory are those that zloop would find when it
 * adds the directory. Only zloop itself knows which zones are open.
 */
#include "tool/tell.h"
#include "tool/zoned.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <linux/blkzoned.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/macro.h"
#include "store/zone-mark.h"
#include "tool/arguments.h"
#include "tool/json.h"

#define SECTOR_SHIFT 9
#define DEVICE_BATCH 256u

/* One zone. All values are bytes; a zone without a write pointer has NO_WP. */
struct report_zone {
	uint64_t number, start, len, capacity, wp;
	const char *kind, *condition;
};

#define NO_WP UINT64_MAX

struct report {
	bool json, begun;
};

/* A device may have a million zones, so each is printed at once, also as JSON. */
static void print_zone(struct report *report, const struct report_zone *zone)
{
	struct json_object *row;

	if (!report->json) {
		if (!report->begun)
			printf("%6s %-12s %15s %13s %13s %13s  %s\n", "zone", "kind", "start",
			       "length", "capacity", "written", "condition");
		report->begun = true;
		printf("%6" PRIu64 " %-12s %15" PRIu64 " %13" PRIu64 " %13" PRIu64 " ",
		       zone->number, zone->kind, zone->start, zone->len, zone->capacity);
		if (zone->wp == NO_WP)
			printf("%13s  %s\n", "-", zone->condition);
		else
			printf("%13" PRIu64 "  %s\n", zone->wp - zone->start, zone->condition);
		return;
	}
	row = json_object_new_object();
	json_add(row, "zone", json_object_new_uint64(zone->number));
	json_add(row, "kind", json_object_new_string(zone->kind));
	json_add(row, "start", json_object_new_uint64(zone->start));
	json_add(row, "length", json_object_new_uint64(zone->len));
	json_add(row, "capacity", json_object_new_uint64(zone->capacity));
	if (zone->wp == NO_WP)
		json_add_null(row, "write_pointer");
	else
		json_add(row, "write_pointer", json_object_new_uint64(zone->wp));
	json_add(row, "condition", json_object_new_string(zone->condition));
	printf("%s    ", report->begun ? ",\n" : "");
	json_print(stdout, row, JSON_C_TO_STRING_SPACED);
	(void)json_object_put(row);
	report->begun = true;
}

static void print_head(const struct report *report, uint64_t zone_len, uint64_t zones)
{
	if (report->json)
		printf("{\n  \"zone_size\": %" PRIu64 ",\n  \"zone_count\": %" PRIu64
		       ",\n  \"zones\": [\n",
		       zone_len, zones);
}

static void print_tail(const struct report *report)
{
	if (report->json)
		printf("\n  ]\n}\n");
}

/* --- a directory --- */

/*
 * Sets the write pointer and the condition that zloop_init_zone() and zloop_update_seq_zone() would
 * give to a file of SIZE bytes. Returns false if they would refuse it.
 */
static bool judge(struct report_zone *zone, enum zone_kind kind, uint64_t size)
{
	zone->condition = "invalid";
	if (kind == ZONE_CONVENTIONAL) {
		if (size != zone->len)
			return false;
		zone->condition = "not-wp";
	} else if (size == zone->capacity || size == zone->len) {
		zone->condition = "full";
		zone->wp = zone->start + zone->capacity;
	} else {
		zone->wp = zone->start + size;
		if (size > zone->capacity || !is_aligned(size, ZONE_BLOCK_LEN))
			return false;
		zone->condition = size ? "closed" : "empty";
	}
	return true;
}

/* Reads zone NUMBER of the directory FD. Returns false if zloop would refuse it. */
static bool report_file(struct report *report, const struct zone_geometry *geometry, int fd,
			uint32_t number)
{
	enum zone_kind kind = zone_geometry_kind(geometry, number);
	bool conventional = kind == ZONE_CONVENTIONAL;
	struct report_zone zone = {
		.number = number,
		.kind = conventional ? "conventional" : "sequential",
		.start = number * geometry->zone_len,
		.len = geometry->zone_len,
		.capacity = conventional ? geometry->zone_len : geometry->capacity_len,
		.wp = NO_WP,
		.condition = "missing",
	};
	char name[ZONE_NAME_LEN];
	bool sound = false;
	struct stat st;

	zone_name(geometry, number, name);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		sound = judge(&zone, kind, (uint64_t)st.st_size);
	print_zone(report, &zone);
	return sound;
}

static int report_directory(struct report *report, const char *dir, int fd)
{
	struct zone_geometry geometry;
	uint32_t bad = 0;
	int r = zone_mark_read(fd, &geometry);

	if (r < 0) {
		tell("%s: read its mark: %s", dir,
		     r == -ENODATA ? "it has none; caisson zoned create makes directories that do"
				   : strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	print_head(report, geometry.zone_len, geometry.zones);
	for (uint32_t i = 0; i < geometry.zones; i++)
		bad += !report_file(report, &geometry, fd, i);
	print_tail(report);
	if (!bad)
		return EXIT_FINE;
	tell("%s: check: %u of its zones are not as zloop needs them", dir, bad);
	return EXIT_CANNOT_SERVE;
}

/* --- a device --- */

static const char *device_condition(uint8_t condition)
{
	switch (condition) {
	case BLK_ZONE_COND_NOT_WP:
		return "not-wp";
	case BLK_ZONE_COND_EMPTY:
		return "empty";
	case BLK_ZONE_COND_IMP_OPEN:
		return "open-implicit";
	case BLK_ZONE_COND_EXP_OPEN:
		return "open-explicit";
	case BLK_ZONE_COND_CLOSED:
		return "closed";
	case BLK_ZONE_COND_FULL:
		return "full";
	case BLK_ZONE_COND_READONLY:
		return "read-only";
	case BLK_ZONE_COND_OFFLINE:
		return "offline";
	}
	return "unknown";
}

static void print_device_zone(struct report *report, const struct blk_zone *zone, bool has_capacity,
			      uint64_t number)
{
	struct report_zone row = {
		.number = number,
		.kind = zone->type == BLK_ZONE_TYPE_CONVENTIONAL ? "conventional" : "sequential",
		.start = zone->start << SECTOR_SHIFT,
		.len = zone->len << SECTOR_SHIFT,
		.capacity = (has_capacity ? zone->capacity : zone->len) << SECTOR_SHIFT,
		.wp = NO_WP,
		.condition = device_condition(zone->cond),
	};

	if (zone->cond == BLK_ZONE_COND_FULL)
		row.wp = row.start + row.capacity;
	else if (zone->type != BLK_ZONE_TYPE_CONVENTIONAL && zone->wp >= zone->start &&
		 zone->wp <= zone->start + zone->len)
		row.wp = zone->wp << SECTOR_SHIFT;
	print_zone(report, &row);
}

static int report_device(struct report *report, const char *device, int fd)
{
	autofree struct blk_zone_report *batch = NULL;
	uint32_t zone_sectors = 0, zones = 0;
	uint64_t sector = 0, number = 0;

	if (ioctl(fd, BLKGETZONESZ, &zone_sectors) < 0 || ioctl(fd, BLKGETNRZONES, &zones) < 0 ||
	    !zone_sectors) {
		tell("%s: report zones: it isn't a zoned device", device);
		return EXIT_CANNOT_SERVE;
	}
	batch = malloc(sizeof(*batch) + DEVICE_BATCH * sizeof(batch->zones[0]));
	if (!batch) {
		tell("%s: report zones: %s", device, strerror(ENOMEM));
		return EXIT_CANNOT_SERVE;
	}
	print_head(report, (uint64_t)zone_sectors << SECTOR_SHIFT, zones);
	while (number < zones) {
		memset(batch, 0, sizeof(*batch) + DEVICE_BATCH * sizeof(batch->zones[0]));
		batch->sector = sector;
		batch->nr_zones = DEVICE_BATCH;
		if (ioctl(fd, BLKREPORTZONE, batch) < 0) {
			print_tail(report);
			tell("%s: report zones: %s", device, strerror(errno));
			return EXIT_CANNOT_SERVE;
		}
		if (!batch->nr_zones)
			break;
		for (uint32_t i = 0; i < batch->nr_zones; i++) {
			print_device_zone(report, &batch->zones[i],
					  batch->flags & BLK_ZONE_REP_CAPACITY, number++);
			sector = batch->zones[i].start + batch->zones[i].len;
		}
	}
	print_tail(report);
	return EXIT_FINE;
}

int zoned_report(int argc, char **argv)
{
	static const struct option options[] = { ARGUMENTS_FLAG("json"), { 0 } };
	struct report report = { 0 };
	autoclose int fd = -1;
	const char *object, *json = NULL;
	struct stat st;

	if (!arguments_parse(argc, argv, options, &json, &object))
		return EXIT_USAGE;
	report.json = json;
	fd = open(object, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		tell("%s: open: %s", object, strerror(errno));
		return EXIT_CANNOT_SERVE;
	}
	if (S_ISDIR(st.st_mode))
		return report_directory(&report, object, fd);
	if (S_ISBLK(st.st_mode))
		return report_device(&report, object, fd);
	tell("%s: report zones: neither a directory nor a block device", object);
	return EXIT_CANNOT_SERVE;
}
