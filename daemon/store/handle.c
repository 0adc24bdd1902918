/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/macro.h"

/* Since Linux 6.5: any handle that tells inodes apart will do, even if it can't be opened. */
#define AT_HANDLE_FID_ 0x200

/* The type of a digest of the birth time. Digests of handles have the handle's type. */
#define BIRTH_TIME_TYPE (-1)

/* The kernel's form of a handle, with space for the longest. */
union kernel_handle {
	struct file_handle head;
	uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static void digest(struct handle *handle, int type, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint64_t hash[2] = { len, ~(uint64_t)len };

	for (size_t i = 0; i < len; i++) {
		hash[0] = mix_bits(hash[0] ^ at[i]);
		hash[1] = mix_bits(hash[1] + at[i] + 1);
	}
	*handle = (struct handle){ .type = type, .is_digest = true };
	memcpy(handle->bytes, hash, sizeof(hash));
}

static bool read_kernel_handle(int fd, int flags, union kernel_handle *ret)
{
	int mount_id;

	ret->head.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(fd, "", &ret->head, &mount_id, AT_EMPTY_PATH | flags) == 0;
}

void handle_read(int fd, const struct statx *stx, struct handle *ret_handle)
{
	union kernel_handle found;
	bool opens = read_kernel_handle(fd, 0, &found);

	if (opens || read_kernel_handle(fd, AT_HANDLE_FID_, &found)) {
		if (!opens || found.head.handle_bytes > HANDLE_LEN_MAX) {
			digest(ret_handle, found.head.handle_type, found.head.f_handle,
			       found.head.handle_bytes);
			return;
		}
		*ret_handle = (struct handle){
			.type = found.head.handle_type,
			.len = (uint8_t)found.head.handle_bytes,
		};
		memcpy(ret_handle->bytes, found.head.f_handle, found.head.handle_bytes);
	} else if (stx->stx_mask & STATX_BTIME) {
		uint8_t born[sizeof(stx->stx_btime.tv_sec) + sizeof(stx->stx_btime.tv_nsec)];

		memcpy(born, &stx->stx_btime.tv_sec, sizeof(stx->stx_btime.tv_sec));
		memcpy(born + sizeof(stx->stx_btime.tv_sec), &stx->stx_btime.tv_nsec,
		       sizeof(stx->stx_btime.tv_nsec));
		digest(ret_handle, BIRTH_TIME_TYPE, born, sizeof(born));
	} else {
		*ret_handle = (struct handle){ 0 };
	}
}

int handle_open(int mount_fd, const struct handle *handle, int flags, int *ret_fd)
{
	union kernel_handle wanted = {
		.head = { .handle_bytes = handle->len, .handle_type = handle->type },
	};
	int fd;

	memcpy(wanted.head.f_handle, handle->bytes, handle->len);
	fd = open_by_handle_at(mount_fd, &wanted.head, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

bool handle_equal(const struct handle *a, const struct handle *b)
{
	return a->type == b->type && a->len == b->len && a->is_digest == b->is_digest &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

uint32_t handle_generation_off(int fd, const struct handle *root)
{
	/*
	 * the longer handles have 64-bit inode numbers; in btrfs' handles, the subvolume's number
	 * comes before the generation
	 */
	static const struct {
		unsigned long type;
		uint8_t len, generation_off;
	} layouts[] = {
		{ EXT4_SUPER_MAGIC, 8, 4 },    { F2FS_SUPER_MAGIC, 8, 4 },
		{ XFS_SUPER_MAGIC, 8, 4 },     { XFS_SUPER_MAGIC, 12, 8 },
		{ BTRFS_SUPER_MAGIC, 20, 16 },
	};
	struct statfs statfs;

	if (fstatfs(fd, &statfs) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (layouts[i].type == (unsigned long)statfs.f_type && layouts[i].len == root->len)
			return layouts[i].generation_off;
	}
	return 0;
}

void handle_unpack(uint64_t bits, const struct handle *like, uint32_t off,
		   struct handle *ret_handle)
{
	uint32_t ino = (uint32_t)bits, generation = (uint32_t)(bits >> 32);

	*ret_handle = *like;
	memcpy(ret_handle->bytes, &ino, sizeof(ino));
	memcpy(ret_handle->bytes + off, &generation, sizeof(generation));
}

uint64_t handle_pack(const struct handle *handle, const struct handle *like, uint32_t off)
{
	uint32_t ino, generation;
	struct handle again;
	uint64_t bits;

	memcpy(&ino, handle->bytes, sizeof(ino));
	memcpy(&generation, handle->bytes + off, sizeof(generation));
	bits = (uint64_t)generation << 32 | ino;
	handle_unpack(bits, like, off, &again);
	return handle_equal(handle, &again) ? bits : 0;
}

bool handle_is_lasting(int fd)
{
	static const unsigned long types[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC,
	};
	struct statfs statfs;

	if (fstatfs(fd, &statfs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if ((unsigned long)statfs.f_type == types[i])
			return true;
	}
	return false;
}
