/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reservations: rows that an operation sets aside before it makes anything, so that nothing can
 * fail afterwards for lack of a row. Otherwise an open() could fail after it has made or truncated
 * a file, and nobody would have been told of the change.
 *
 * Descriptors need no reservation. There are as many as the rows of the file table need
 * (options_fit()), and inodes give up theirs (inode_make_room()).
 */
#ifndef CAISSON_ROOM_H
#define CAISSON_ROOM_H

#include <stdint.h>

struct fs;

struct room {
	struct fs *fs;
	uint32_t inode_row, file_row; /* POOL_NONE: not wanted, or used */
};

#define autoroom __attribute__((cleanup(room_end))) struct room

/* For an autoroom: nothing set aside. */
struct room room_none(struct fs *fs);

/* Sets a row of the inode table aside. 0 or -ENFILE. Any thread. */
int room_for_inode(struct room *room);

/* The same of the file table. */
int room_for_file(struct room *room);

/* Gives back what wasn't used. */
void room_end(struct room *room);

#endif
