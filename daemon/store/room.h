/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A room is a set of table rows that an operation reserves before it changes anything. After that
 * it can't fail for lack of a row. Otherwise an open() could fail although it has already made or
 * truncated a file.
 *
 * Descriptors need no reservation: there are enough for all rows of the file table (options_fit()),
 * and rows of the inode table can give up theirs (inode_make_room()).
 */
#ifndef CAISSON_ROOM_H
#define CAISSON_ROOM_H

#include <stdint.h>

struct fs;

struct room {
	struct fs *fs;
	uint32_t inode_row, file_row; /* POOL_NONE: not reserved, or used by now */
};

#define autoroom __attribute__((cleanup(room_end))) struct room

/* An empty room, to initialise an autoroom. */
struct room room_none(struct fs *fs);

/* Reserves a row of the inode table. Returns 0 or -ENFILE. Any thread. */
int room_for_inode(struct room *room);

/* Reserves a row of the file table. Returns 0 or -ENFILE. Any thread. */
int room_for_file(struct room *room);

/* Gives back the rows that weren't used. */
void room_end(struct room *room);

#endif
