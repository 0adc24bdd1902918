/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File handles: each names an inode on its filesystem for ever, also when nobody has it open.
 * Unlike an inode number, a handle isn't given to another file later.
 */
#ifndef CAISSON_HANDLE_H
#define CAISSON_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

struct statx;

/* The longest handle that is kept: btrfs has 20 bytes, ext4 8, XFS and tmpfs 12. */
#define HANDLE_LEN_MAX 24

/* All zeroes: none. Unused bytes are 0, so that equal handles are equal byte by byte. */
struct handle {
	int32_t type;
	uint8_t len;	/* bytes, or 0 where they can't be opened again */
	bool is_digest; /* of a longer handle, or of what else tells inodes apart */
	uint8_t bytes[HANDLE_LEN_MAX];
};

/*
 * Reads the handle of the inode behind FD (O_PATH will do). A filesystem that has none gives a
 * digest of the birth time in STX, or nothing: *RET_HANDLE is all zeroes then.
 */
void handle_read(int fd, const struct statx *stx, struct handle *ret_handle);

/*
 * Opens the inode of HANDLE, which has a length, with FLAGS, on the filesystem of MOUNT_FD (not
 * O_PATH). Needs CAP_DAC_READ_SEARCH. 0 or -errno: -ESTALE where the inode has gone.
 */
int handle_open(int mount_fd, const struct handle *handle, int flags, int *ret_fd);

bool handle_equal(const struct handle *a, const struct handle *b);

/*
 * Where in the handle ROOT of the directory FD the generation of its inode is, if the filesystem
 * is one whose handles differ in 64 bits alone: the generation, and the first 32 bits, which are
 * the inode number's. 0 where it isn't.
 */
uint32_t handle_generation_off(int fd, const struct handle *root);

/* The handle, like LIKE otherwise, with these 64 bits, and its generation at OFF. */
void handle_unpack(uint64_t bits, const struct handle *like, uint32_t off,
		   struct handle *ret_handle);

/* The 64 bits of HANDLE, or 0 where it isn't like LIKE. */
uint64_t handle_pack(const struct handle *handle, const struct handle *like, uint32_t off);

/*
 * Whether the filesystem behind FD keeps an inode's number for it while a descriptor refers to it,
 * and finds each of its inodes by handle for as long as it exists. Others may answer -ESTALE as
 * soon as the inode isn't cached (vfat), or depend on a server.
 */
bool handle_is_lasting(int fd);

#endif
