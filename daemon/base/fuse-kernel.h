/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Constants and structures of the kernel's FUSE protocol that <linux/fuse.h> may lack; Debian 12's
 * ends at protocol 7.38. A comment names the protocol version and the kernel that introduced each.
 * A constant here doesn't mean that the running kernel has the feature: the INIT handshake or a
 * probe decides that.
 */
#ifndef CAISSON_FUSE_KERNEL_H
#define CAISSON_FUSE_KERNEL_H

#include <linux/fuse.h>
#include <stddef.h>
#include <sys/ioctl.h>

/* 7.39, Linux 6.6 */
#define CAISSON_FUSE_STATX		  52
#define CAISSON_FUSE_DIRECT_IO_ALLOW_MMAP (1ull << 36)

/* 7.38, Linux 6.3. Headers of distributions with Linux 6.1 say 7.38 but lack these names. */
#define CAISSON_FUSE_CREATE_SUPP_GROUP (1ull << 34)
#define CAISSON_FUSE_EXT_GROUPS	       32

/* 7.40, Linux 6.9 */
#define CAISSON_FUSE_PASSTHROUGH  (1ull << 37)
#define CAISSON_FOPEN_PASSTHROUGH (1u << 7)
#define CAISSON_FUSE_HAS_RESEND	  (1ull << 39)
#define CAISSON_UNIQUE_RESEND	  (1ull << 63)

/* fuse_open_out of 7.40; the last field was padding before. */
struct caisson_fuse_open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

/* Offset of max_stack_depth in fuse_init_out. Before 7.40 the field was the first unused one. */
#define CAISSON_FUSE_INIT_OUT_STACK_DEPTH                                                          \
	(offsetof(struct fuse_init_out, flags2) + sizeof(uint32_t))

struct caisson_fuse_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define CAISSON_FUSE_DEV_IOC_BACKING_OPEN  _IOW(229, 1, struct caisson_fuse_backing_map)
#define CAISSON_FUSE_DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

/* 7.42, Linux 6.14 */
#define CAISSON_FUSE_OVER_IO_URING (1ull << 41)

enum caisson_fuse_uring_cmd {
	CAISSON_FUSE_URING_REGISTER = 1,
	CAISSON_FUSE_URING_COMMIT_AND_FETCH = 2,
};

/* Command of an IORING_OP_URING_CMD; it lies in the second half of the 128-byte SQE. */
struct caisson_fuse_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id; /* fuse_in_header.unique of the answered request */
	uint16_t qid;	    /* kernel queue; the kernel has one for each possible CPU */
	uint8_t padding[6];
};

/* Header of a ring entry: the kernel writes a request into it and reads the answer from it. */
struct caisson_fuse_uring_req_header {
	uint8_t in_out[128]; /* fuse_in_header, then fuse_out_header */
	uint8_t op_in[128];  /* the opcode's struct fuse_…_in */
	struct {
		uint64_t flags;
		uint64_t commit_id;
		uint32_t payload_sz;
		uint32_t padding;
		uint64_t reserved;
	} ent_in_out;
};

/* 7.45, Linux 6.18. The kernel drops cached dentries and inodes that are not in use. */
#define CAISSON_FUSE_NOTIFY_PRUNE 9

/* `count` nodeids of 64 bits follow. */
struct caisson_fuse_notify_prune_out {
	uint32_t count;
	uint32_t padding;
	uint64_t spare;
};

struct caisson_fuse_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};

struct caisson_fuse_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0[1];
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct caisson_fuse_sx_time atime;
	struct caisson_fuse_sx_time btime;
	struct caisson_fuse_sx_time ctime;
	struct caisson_fuse_sx_time mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t spare2[14];
};

struct caisson_fuse_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};

struct caisson_fuse_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct caisson_fuse_statx stat;
};

/* Header of an extension. Extensions end a message; in_header.total_extlen counts 8-byte units. */
struct caisson_fuse_ext_header {
	uint32_t size;
	uint32_t type;
};

struct caisson_fuse_supp_groups {
	uint32_t nr_groups;
	uint32_t groups[];
};

_Static_assert(sizeof(struct caisson_fuse_open_out) == sizeof(struct fuse_open_out),
	       "wire size of fuse_open_out");
_Static_assert(sizeof(struct caisson_fuse_uring_cmd_req) == 24, "wire size of a command");
_Static_assert(sizeof(struct caisson_fuse_uring_req_header) == 288, "wire size of a header");
_Static_assert(sizeof(struct caisson_fuse_statx) == 256, "wire size of fuse_statx");
_Static_assert(sizeof(struct caisson_fuse_statx_out) == 288, "wire size of fuse_statx_out");

#endif
