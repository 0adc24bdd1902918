/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mark of a zoned directory is the extended attribute user.caisson.zoned. It is one line of
 * text with the geometry of the directory's zones.
 *
 * The mark is an attribute, not a file, for three reasons. It is made, copied, moved and removed
 * together with the directory. It adds no name to those that zloop and the administrator see. Two
 * checks keep it from being changed through the mount, while a file would need a check in every
 * handler of names. It is in the namespace "user." because common filesystems have that one, and
 * because the server keeps no capability to read "trusted." attributes. cp -a, rsync -X and tar
 * --xattrs copy the mark. A copy without attributes is a directory of ordinary files.
 */
#ifndef CAISSON_ZONE_MARK_H
#define CAISSON_ZONE_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "store/zone.h"

#define ZONE_MARK_NAME "user.caisson.zoned"

/* zloop's names have at least six digits. With so many zones they have no more. */
#define ZONES_MAX 1000000u

struct zone_geometry {
	uint64_t zone_len;     /* bytes */
	uint64_t capacity_len; /* bytes that can be written of a sequential zone */
	uint32_t zones;
	uint32_t conventional; /* the first so many zones are conventional */
};

/*
 * Returns NULL if zloop can make a device of GEOMETRY, otherwise a message that says what is wrong.
 * The rules are those of zloop_parse_options() and zloop_ctl_add() in drivers/block/zloop.c, which
 * take all sizes in MiB.
 */
const char *zone_geometry_fault(const struct zone_geometry *geometry);

static inline enum zone_kind zone_geometry_kind(const struct zone_geometry *geometry,
						uint32_t number)
{
	return number < geometry->conventional ? ZONE_CONVENTIONAL : ZONE_SEQUENTIAL;
}

/* Bytes of a zone's name, such as "cnv-000000" or "seq-000000", with its NUL. */
#define ZONE_NAME_LEN 11

void zone_name(const struct zone_geometry *geometry, uint32_t number,
	       char name[static ZONE_NAME_LEN]);

/* Whether NAME begins as the name of a zone does. */
bool zone_name_is_likely(const char *name);

/* Whether NAME is the name of a zone of GEOMETRY. If so, *RET_NUMBER is the zone's number. */
bool zone_name_parse(const struct zone_geometry *geometry, const char *name, uint32_t *ret_number);

/* Bytes for the mark's text, with its NUL. */
#define ZONE_MARK_LEN 128

void zone_mark_print(const struct zone_geometry *geometry, char text[static ZONE_MARK_LEN]);

/*
 * Reads the mark TEXT of LEN bytes. Returns 0, or -EBADMSG if it isn't a mark or its geometry has a
 * fault.
 */
int zone_mark_parse(const char *text, uint64_t len, struct zone_geometry *ret_geometry);

/*
 * Marks the directory FD, which isn't O_PATH. Returns 0 or -errno: -EOPNOTSUPP if the filesystem
 * has no attributes.
 */
int zone_mark_write(int fd, const struct zone_geometry *geometry);

/*
 * Reads the mark of the directory FD, which may be O_PATH, with the calling thread's rights.
 * Returns 0 or -errno: -ENODATA if there is no mark or the filesystem has no attributes, -EBADMSG
 * if the mark isn't understood.
 */
int zone_mark_read(int fd, struct zone_geometry *ret_geometry);

#endif
