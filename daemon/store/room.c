/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/room.h"

#include <assert.h>

#include "store/fs.h"

struct room room_none(struct fs *fs)
{
	return (struct room){ .fs = fs, .inode_row = POOL_NONE, .file_row = POOL_NONE };
}

int room_for_inode(struct room *room)
{
	assert(room->inode_row == POOL_NONE);
	return inode_reserve(&room->fs->inodes, &room->inode_row);
}

int room_for_file(struct room *room)
{
	assert(room->file_row == POOL_NONE);
	return file_reserve(&room->fs->files, &room->file_row);
}

void room_end(struct room *room)
{
	if (room->inode_row != POOL_NONE)
		inode_unreserve(&room->fs->inodes, room->inode_row);
	if (room->file_row != POOL_NONE)
		file_unreserve(&room->fs->files, room->file_row);
	room->inode_row = room->file_row = POOL_NONE;
}
