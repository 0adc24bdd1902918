/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mark of a zoned directory: the extended attribute user.caisson.zoned, one line of text with
 * the geometry of its zones.
 *
 * It is an attribute because that is made, copied, moved and removed with the directory as one
 * thing. It adds no name to what zloop and the administrator see, and two checks keep it from
 * being changed through the mount; a file would need one in every handler of names. It is in the
 * user. namespace because the server keeps no capability to read trusted. ones, and common
 * filesystems have it. cp -a, rsync -X and tar --xattrs copy it. A copy made without attributes is
 * a directory of ordinary files.
 */
#ifndef CAISSON_ZONE_MARK_H
#define CAISSON_ZONE_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "store/zone.h"

#define ZONE_MARK_NAME "user.caisson.zoned"

/* zloop's names have six digits, so this many zones keep them so. */
#define ZONES_MAX 1000000u

struct zone_geometry {
	uint64_t zone_len;     /* bytes */
	uint64_t capacity_len; /* bytes of a sequential zone that can be written */
	uint32_t zones;
	uint32_t conventional; /* of them, the first so many */
};

/*
 * NULL where zloop can make a device of GEOMETRY; otherwise what is wrong, for people
 * (zloop_parse_options() and zloop_ctl_add() in drivers/block/zloop.c: all sizes in MiB).
 */
const char *zone_geometry_fault(const struct zone_geometry *geometry);

static inline enum zone_kind zone_geometry_kind(const struct zone_geometry *geometry,
						uint32_t number)
{
	return number < geometry->conventional ? ZONE_CONVENTIONAL : ZONE_SEQUENTIAL;
}

/* "cnv-000000" or "seq-000000", and the NUL. */
#define ZONE_NAME_LEN 11

void zone_name(const struct zone_geometry *geometry, uint32_t number,
	       char name[static ZONE_NAME_LEN]);

/* Whether NAME can be that of a zone at all; and is that of zone *RET_NUMBER of GEOMETRY. */
bool zone_name_is_likely(const char *name);
bool zone_name_parse(const struct zone_geometry *geometry, const char *name, uint32_t *ret_number);

/* The mark's text, without newline. */
#define ZONE_MARK_LEN 128

void zone_mark_print(const struct zone_geometry *geometry, char text[static ZONE_MARK_LEN]);

/* LEN bytes of TEXT are a mark of a geometry without fault: 0 or -EBADMSG. */
int zone_mark_parse(const char *text, uint64_t len, struct zone_geometry *ret_geometry);

/*
 * Marks the directory FD, opened for reading. 0 or -errno: -EOPNOTSUPP where there are no
 * attributes.
 */
int zone_mark_write(int fd, const struct zone_geometry *geometry);

/*
 * The mark of the directory FD (O_PATH too), with the calling thread's rights. Returns 0; -ENODATA
 * where there is none, for all that can be told: also where the filesystem has no attributes;
 * -EBADMSG for one that isn't understood; -errno.
 */
int zone_mark_read(int fd, struct zone_geometry *ret_geometry);

#endif
