/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file handle names an inode on its filesystem, whether the inode is open or not. Unlike an inode
 * number, a handle never names another inode later.
 */
#ifndef CAISSON_HANDLE_H
#define CAISSON_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

struct statx;

/* Longer handles aren't kept. btrfs has 20 bytes, XFS and tmpfs 12, ext4 8. */
#define HANDLE_LEN_MAX 24

/* No handle is all zeroes. Unused bytes are 0, so that handles can be compared byte by byte. */
struct handle {
	int32_t type;
	uint8_t len;	/* bytes that handle_open() uses; 0: the inode can't be opened by them */
	bool is_digest; /* the bytes are a hash of a longer handle or of the birth time */
	uint8_t bytes[HANDLE_LEN_MAX];
};

/*
 * Reads the handle of the inode behind FD, which may be O_PATH. On a filesystem without handles,
 * the result is a hash of the birth time in STX, or all zeroes if STX has none.
 */
void handle_read(int fd, const struct statx *stx, struct handle *ret_handle);

/*
 * Opens the inode of HANDLE, whose len isn't 0, with FLAGS. MOUNT_FD, not O_PATH, is on the inode's
 * filesystem. Needs CAP_DAC_READ_SEARCH. Returns 0 or -errno: -ESTALE if the inode no longer
 * exists.
 */
int handle_open(int mount_fd, const struct handle *handle, int flags, int *ret_fd);

bool handle_equal(const struct handle *a, const struct handle *b);

/*
 * On some filesystems, handles differ only in 64 bits: the inode's number in the first four bytes,
 * and its generation in four bytes further on. For ROOT, the handle of the directory FD on such a
 * filesystem, returns the byte offset of the generation. Returns 0 for any other filesystem.
 */
uint32_t handle_generation_off(int fd, const struct handle *root);

/* Makes the handle that has these 64 BITS, its generation at OFF, and all else from LIKE. */
void handle_unpack(uint64_t bits, const struct handle *like, uint32_t off,
		   struct handle *ret_handle);

/* The 64 bits of HANDLE, or 0 if HANDLE differs from LIKE in anything else. */
uint64_t handle_pack(const struct handle *handle, const struct handle *like, uint32_t off);

/*
 * Whether the filesystem behind FD is known to have these properties. While a descriptor refers to
 * an inode, no other inode gets its number. While an inode exists, its handle leads to it. And it
 * is a local one, as store.c needs it: statx() does no I/O, and close() finds no errors. Other
 * filesystems may answer -ESTALE when the inode isn't cached (vfat), or depend on a server.
 */
bool handle_is_lasting(int fd);

#endif
