/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/macro.h"
#include "handlers/op-attr.h"
#include "handlers/op-dir.h"
#include "handlers/op-ioctl.h"
#include "handlers/op-meta.h"
#include "handlers/op-name.h"
#include "handlers/op-open.h"
#include "handlers/op-setid.h"
#include "handlers/op-xattr.h"
#include "store/fs.h"

#define NSEC_PER_SEC 1000000000u

/* The limits of include/uapi/linux/limits.h; CALL_OUT_LEN is the same as XATTR_SIZE_MAX. */
#define XATTR_NAME_LEN_MAX  255u
#define XATTR_VALUE_LEN_MAX CALL_OUT_LEN

_Static_assert(sizeof(struct fuse_in_header) == 40 &&
		       offsetof(struct fuse_in_header, total_extlen) == 36,
	       "the header as of 7.38; before, the extensions' length was padding, and 0");

/* Checks that [OFF, OFF + LEN) ends within the largest possible file. */
static int check_range(uint64_t off, uint64_t len)
{
	uint64_t end;

	if (__builtin_add_overflow(off, len, &end) || end > INT64_MAX)
		return -EFBIG;
	return 0;
}

static int check_read(const struct call *call, uint32_t max_write)
{
	const struct fuse_read_in *in = call->arg;

	if (in->size > max_write)
		return -EINVAL;
	return check_range(in->offset, in->size);
}

static int check_write(const struct call *call, uint32_t max_write)
{
	const struct fuse_write_in *in = call->arg;

	if (in->size != call->data_len || in->size > max_write)
		return -EINVAL;
	return check_range(in->offset, in->size);
}

static int check_fallocate(const struct call *call, uint32_t max_write)
{
	const struct fuse_fallocate_in *in = call->arg;

	(void)max_write;
	return check_range(in->offset, in->length);
}

static int check_copy(const struct call *call, uint32_t max_write)
{
	const struct fuse_copy_file_range_in *in = call->arg;
	int r = check_range(in->off_in, in->len);

	(void)max_write;
	return r < 0 ? r : check_range(in->off_out, in->len);
}

/* Some invalid numbers of nanoseconds would mean UTIME_NOW or UTIME_OMIT to utimensat(). */
static bool time_is_sound(uint32_t valid, uint32_t set, uint32_t now, uint32_t nsec)
{
	return !(valid & set) || (valid & now) || nsec < NSEC_PER_SEC;
}

static int check_setattr(const struct call *call, uint32_t max_write)
{
	const struct fuse_setattr_in *in = call->arg;

	(void)max_write;
	if (!time_is_sound(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atimensec) ||
	    !time_is_sound(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtimensec))
		return -EINVAL;
	return in->valid & FATTR_SIZE ? check_range(in->size, 0) : 0;
}

static int check_setxattr(const struct call *call, uint32_t max_write)
{
	const struct fuse_setxattr_in *in = call->arg;

	(void)max_write;
	if (in->size > XATTR_VALUE_LEN_MAX)
		return -E2BIG;
	return in->size == call->data_len ? 0 : -EINVAL;
}

static int check_getxattr(const struct call *call, uint32_t max_write)
{
	const struct fuse_getxattr_in *in = call->arg;

	(void)max_write;
	return in->size > XATTR_VALUE_LEN_MAX ? -EINVAL : 0;
}

static int check_batch_forget(const struct call *call, uint32_t max_write)
{
	const struct fuse_batch_forget_in *in = call->arg;

	(void)max_write;
	/* the product can't overflow in 64 bits */
	if ((uint64_t)in->count * sizeof(struct fuse_forget_one) != call->data_len)
		return -EINVAL;
	return 0;
}

static int check_ioctl(const struct call *call, uint32_t max_write)
{
	const struct fuse_ioctl_in *in = call->arg;

	(void)max_write;
	return in->in_size == call->data_len ? 0 : -EINVAL;
}

#define ENTRY(opcode_, class_, ...)                                                                \
	[FUSE_##opcode_] = {                                                                       \
		.name = #opcode_, .opcode = FUSE_##opcode_, .class = class_, __VA_ARGS__           \
	}
#define META(opcode, ...) ENTRY(opcode, DISPATCH_META, __VA_ARGS__)
#define DATA(opcode, ...) ENTRY(opcode, DISPATCH_DATA, __VA_ARGS__)
#define ARG(type)	  .arg_len = sizeof(struct type)
#define COMPONENT	  .strings = { STRING_COMPONENT }
#define TWO_COMPONENTS	  .strings = { STRING_COMPONENT, STRING_COMPONENT }

/*
 * These opcodes are missing for a reason:
 *
 *   POLL			without it the kernel calls every file ready (fuse_file_poll())
 *   BMAP			swapping to a file would need it, but would be unsafe
 *   COPY_FILE_RANGE_64		the kernel falls back to COPY_FILE_RANGE (7.45)
 *   SETUPMAPPING, REMOVEMAPPING	only virtiofs uses them
 *   GETLK, SETLK, SETLKW	the kernel keeps file locks itself (session.c)
 *
 * INTERRUPT ends the wait for a lease. It needs no answer: the kernel accepts only errors as
 * answers to it (fuse_dev_do_write() in fs/fuse/dev.c).
 */
static const struct dispatch_entry table[] = {
	META(LOOKUP, .handler = op_lookup, .strings = { STRING_LOOKUP }, .nonblocking = true),
	META(FORGET, .changes = true, .handler = op_forget, ARG(fuse_forget_in), .no_reply = true),
	META(GETATTR, .handler = op_getattr, ARG(fuse_getattr_in), .nonblocking = true),
	META(SETATTR, .changes = true, .handler = op_setattr, ARG(fuse_setattr_in),
	     .check = check_setattr),
	META(READLINK, .handler = op_readlink),
	META(SYMLINK, .changes = true, .handler = op_symlink,
	     .strings = { STRING_COMPONENT, STRING_TARGET }),
	META(MKNOD, .changes = true, .handler = op_mknod, ARG(fuse_mknod_in), COMPONENT),
	META(MKDIR, .changes = true, .handler = op_mkdir, ARG(fuse_mkdir_in), COMPONENT),
	META(UNLINK, .changes = true, .handler = op_unlink, COMPONENT),
	META(RMDIR, .changes = true, .handler = op_rmdir, COMPONENT),
	META(RENAME, .changes = true, .handler = op_rename, ARG(fuse_rename_in), TWO_COMPONENTS),
	META(LINK, .changes = true, .handler = op_link, ARG(fuse_link_in), COMPONENT),
	META(OPEN, .handler = op_open, ARG(fuse_open_in)),
	DATA(READ, ARG(fuse_read_in), .check = check_read),
	DATA(WRITE, .handler = op_worker_write, ARG(fuse_write_in), .data = true,
	     .check = check_write),
	META(STATFS, .handler = op_statfs),
	META(RELEASE, .changes = true, .handler = op_release, ARG(fuse_release_in)),
	DATA(FSYNC, ARG(fuse_fsync_in)),
	META(SETXATTR, .changes = true, .handler = op_setxattr, ARG(fuse_setxattr_in), .data = true,
	     .strings = { STRING_XATTR }, .check = check_setxattr),
	META(GETXATTR, .handler = op_getxattr, ARG(fuse_getxattr_in),
	     .strings = { STRING_XATTR }, .check = check_getxattr),
	META(LISTXATTR, .handler = op_listxattr, ARG(fuse_getxattr_in), .check = check_getxattr),
	META(REMOVEXATTR, .changes = true, .handler = op_removexattr, .strings = { STRING_XATTR }),
	META(FLUSH, .handler = op_flush, ARG(fuse_flush_in), .nonblocking = true),
	/* the struct grows with the protocol, so session.c reads the part that it knows */
	ENTRY(INIT, DISPATCH_SESSION, .arg_len = offsetof(struct fuse_init_in, flags2),
	      .data = true),
	META(OPENDIR, .handler = op_opendir, ARG(fuse_open_in)),
	META(READDIR, .handler = op_readdir, ARG(fuse_read_in)),
	META(RELEASEDIR, .handler = op_releasedir, ARG(fuse_release_in)),
	DATA(FSYNCDIR, ARG(fuse_fsync_in)),
	META(ACCESS, .handler = op_access, ARG(fuse_access_in)),
	META(CREATE, .changes = true, .handler = op_create, ARG(fuse_create_in), COMPONENT),
	ENTRY(INTERRUPT, DISPATCH_SESSION, ARG(fuse_interrupt_in), .no_reply = true),
	ENTRY(DESTROY, DISPATCH_SESSION),
	META(IOCTL, .handler = op_ioctl, ARG(fuse_ioctl_in), .data = true, .check = check_ioctl),
	META(BATCH_FORGET, .changes = true, .handler = op_batch_forget, ARG(fuse_batch_forget_in),
	     .data = true,
	     .no_reply = true, .check = check_batch_forget),
	DATA(FALLOCATE, .handler = op_worker_fallocate, ARG(fuse_fallocate_in),
	     .check = check_fallocate),
	META(READDIRPLUS, .handler = op_readdirplus, ARG(fuse_read_in)),
	META(RENAME2, .changes = true, .handler = op_rename2, ARG(fuse_rename2_in), TWO_COMPONENTS),
	META(LSEEK, .handler = op_lseek, ARG(fuse_lseek_in)),
	META(COPY_FILE_RANGE, .changes = true, .handler = op_copy_file_range,
	     ARG(fuse_copy_file_range_in),
	     .check = check_copy),
	META(SYNCFS, .changes = true, .handler = op_syncfs, ARG(fuse_syncfs_in)),
	META(TMPFILE, .changes = true, .handler = op_tmpfile, ARG(fuse_create_in),
	     .strings = { STRING_IGNORED }),
	[CAISSON_FUSE_STATX] = {
		.name = "STATX",
		.opcode = CAISSON_FUSE_STATX,
		.class = DISPATCH_META,
		.handler = op_statx,
		ARG(caisson_fuse_statx_in),
	},
};

static const struct dispatch_entry unknown = { .name = "unknown", .class = DISPATCH_UNKNOWN };

const struct dispatch_entry *dispatch_entry(uint32_t opcode)
{
	if (opcode >= ARRAY_SIZE(table) || table[opcode].class == DISPATCH_UNKNOWN)
		return &unknown;
	return &table[opcode];
}

int dispatch_handle(const struct dispatch_entry *entry, struct call *call)
{
	int r;

	progress_begin(call->progress, call->nodeids, call->nodeids_count);
	r = inode_unpin(entry->handler(call));
	progress_end();
	return r;
}

void dispatch_take_back(const struct call *call)
{
	struct fs *fs = call->fs;
	struct progress *progress = call->progress;

	if (call->in->opcode == FUSE_FORGET || call->in->opcode == FUSE_BATCH_FORGET)
		return;
	progress_begin(progress, call->nodeids, call->nodeids_count);
	op_close_made(fs, progress->fh);
	progress->fh = 0;
	while (progress->counted)
		inode_take_back(&fs->inodes, progress_nodeids()[progress->counted - 1]);
	progress_end();
}

void dispatch_slow_down(const struct dispatch_entry *entry, const struct fs *fs)
{
	/* FORGET has no answer, and RELEASE frees room */
	if (entry->class == DISPATCH_META && !entry->no_reply && entry->opcode != FUSE_RELEASE &&
	    entry->opcode != FUSE_RELEASEDIR)
		op_slow_down(fs);
}

bool dispatch_changes(const struct call *call)
{
	const struct fuse_ioctl_in *ioctl = call->arg;

	if (call->in->opcode == FUSE_IOCTL)
		return ioctl->in_size > 0; /* only an ioctl that sets something has input */
	return dispatch_entry(call->in->opcode)->changes;
}

/* The part of a message that hasn't been parsed yet. */
struct rest {
	const uint8_t *at;
	uint32_t len;
};

/* Takes the next LEN bytes. Returns NULL if there are fewer. */
static const void *take(struct rest *rest, uint32_t len)
{
	const uint8_t *at = rest->at;

	if (len > rest->len)
		return NULL;
	rest->at += len;
	rest->len -= len;
	return at;
}

static int check_component(const char *name, size_t len)
{
	if (len == 0 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	return len > NAME_MAX ? -ENAMETOOLONG : 0;
}

static int check_string(enum dispatch_string kind, const char *string, size_t len)
{
	switch (kind) {
	case STRING_LOOKUP:
		if (strcmp(string, ".") == 0 || strcmp(string, "..") == 0)
			return 0;
		return check_component(string, len);
	case STRING_COMPONENT:
		return check_component(string, len);
	case STRING_TARGET:
		if (len == 0)
			return -EINVAL;
		return len >= PATH_MAX ? -ENAMETOOLONG : 0;
	case STRING_XATTR:
		return len == 0 || len > XATTR_NAME_LEN_MAX ? -ERANGE : 0;
	case STRING_NONE:
	case STRING_IGNORED:
		break;
	}
	return 0;
}

static int take_string(struct rest *rest, enum dispatch_string kind, const char **ret_string)
{
	const char *string = (const char *)rest->at;
	size_t len = strnlen(string, rest->len);
	int r;

	if (!take(rest, (uint32_t)len + 1))
		return -EINVAL; /* the NUL is missing */
	r = check_string(kind, string, len);
	if (r < 0)
		return r;
	*ret_string = string;
	return 0;
}

/*
 * Parses CONTENT, the groups of an extension. The kernel sends at most one group: the parent
 * directory's, if the caller is in it (get_create_supp_group() in fs/fuse/dir.c).
 */
static int take_groups(struct rest content, uint32_t *supp_gid)
{
	const void *count_at = take(&content, sizeof(struct caisson_fuse_supp_groups));
	const void *group_at = take(&content, sizeof(*supp_gid));
	uint32_t count;

	if (!count_at)
		return -EINVAL;
	memcpy(&count, count_at, sizeof(count));
	if (count > 1 || (count == 1 && (!group_at || *supp_gid != UINT32_MAX)))
		return -EINVAL;
	if (count == 1)
		memcpy(supp_gid, group_at, sizeof(*supp_gid));
	return 0;
}

/* Parses the extensions, which may be unaligned, and skips unknown ones. */
static int take_extensions(struct rest rest, uint32_t *ret_supp_gid)
{
	uint32_t supp_gid = UINT32_MAX;

	while (rest.len) {
		struct caisson_fuse_ext_header ext;
		struct rest content = rest;
		int r = 0;

		if (rest.len < sizeof(ext))
			return -EINVAL;
		memcpy(&ext, rest.at, sizeof(ext));
		if (ext.size < sizeof(ext) || !is_aligned(ext.size, FUSE_REC_ALIGN(1)) ||
		    !take(&rest, ext.size))
			return -EINVAL;
		content.len = ext.size;
		(void)take(&content, sizeof(ext)); /* can't fail: size was checked */
		if (ext.type == CAISSON_FUSE_EXT_GROUPS)
			r = take_groups(content, &supp_gid);
		if (r < 0)
			return r;
	}
	*ret_supp_gid = supp_gid;
	return 0;
}

/* Splits the extensions off the end of REST. */
static int split_extensions(const struct fuse_in_header *in, struct rest *rest,
			    uint32_t *ret_supp_gid)
{
	uint32_t len = in->total_extlen * 8u;
	struct rest extensions;

	if (len > rest->len)
		return -EINVAL;
	rest->len -= len;
	extensions = (struct rest){ .at = rest->at + rest->len, .len = len };
	return take_extensions(extensions, ret_supp_gid);
}

static uint32_t arg_len(const struct dispatch_entry *entry, const struct call *call)
{
	if (entry->opcode == FUSE_SETXATTR && !call->fs->setxattr_ext)
		return FUSE_COMPAT_SETXATTR_IN_SIZE;
	return entry->arg_len;
}

static int parse_body(const struct dispatch_entry *entry, struct rest rest, struct call *call)
{
	uint32_t len = arg_len(entry, call);

	call->arg = len ? rest.at : NULL;
	if (!take(&rest, len))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(entry->strings); i++) {
		int r;

		call->name[i] = NULL;
		if (entry->strings[i] == STRING_NONE)
			continue;
		r = take_string(&rest, entry->strings[i], &call->name[i]);
		if (r < 0)
			return r;
	}
	if (!entry->data && rest.len)
		return -EINVAL;
	call->data = entry->data ? rest.at : NULL;
	call->data_len = rest.len;
	return 0;
}

int dispatch_parse(const void *msg, uint32_t len, uint32_t max_write, struct call *call)
{
	const struct fuse_in_header *in = msg;
	const struct dispatch_entry *entry;
	struct rest rest = { .at = msg, .len = len };
	int r;

	if (!take(&rest, sizeof(*in)) || in->len != len)
		return -EBADMSG;
	call->in = in;
	entry = dispatch_entry(in->opcode);
	if (entry->class == DISPATCH_UNKNOWN)
		return -ENOSYS;
	r = split_extensions(in, &rest, &call->supp_gid);
	if (r < 0)
		return r;
	r = parse_body(entry, rest, call);
	if (r < 0)
		return r;
	return entry->check ? entry->check(call, max_write) : 0;
}
