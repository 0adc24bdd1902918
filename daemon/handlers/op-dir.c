/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/op-dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"
#include "handlers/op-meta.h"
#include "handlers/op-zone.h"
#include "store/creds.h"
#include "store/fs.h"

/* An entry as getdents64() returns it; the C library doesn't declare this layout. */
struct backing_dirent {
	uint64_t ino;
	int64_t off; /* of the next entry */
	uint16_t len;
	uint8_t type;
	char name[];
};

/* Room for the longest possible entry. */
#define LEAST_PIECE 1024u

/* An entry with attributes is about this many times larger than one of getdents64(). */
#define PLUS_FACTOR 5u

/* The reply to a READDIR or READDIRPLUS while it is being filled. */
struct listing {
	struct fs *fs;
	struct file *file;
	struct inode *dir;
	bool plus;
	uint8_t *out;
	uint32_t used, room;
};

int op_opendir(struct call *call)
{
	struct inode *inode = inode_get(&call->fs->inodes, call->in->nodeid);
	struct file fill = { .fd = -1, .buffered_fd = -1, .directory = true };
	struct fuse_open_out *out = call->out;
	uint64_t fh;
	int r;

	if (!inode)
		return -ESTALE;
	r = op_assume(call);
	if (r < 0)
		return r;
	r = store_reopen(&call->fs->store, inode->fd, O_RDONLY | O_DIRECTORY, &fill.fd);
	creds_resume();
	if (r == 0 && call->fs->noatime)
		store_keep_atime(fill.fd);
	if (r == 0)
		r = file_open(&call->fs->files, inode, &fill, &fh);
	if (r < 0)
		return op_error(call->fs, r);
	*out = (struct fuse_open_out){ .fh = fh };
	call->out_len = sizeof(*out);
	return 0;
}

static struct file *call_directory(const struct call *call, uint64_t fh)
{
	struct file *file = file_get(&call->fs->files, fh);

	return file && file->directory ? file : NULL;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/*
 * Fills in the attributes of NAME and counts a lookup. Zeroes mean that there are no attributes.
 * The kernel then looks up the name when it needs it (fuse_direntplus_link() in
 * fs/fuse/readdir.c). This is so for "." and "..", for names that can't be looked up, and if inodes
 * are scarce.
 */
static void fill_entry(const struct listing *listing, const char *name,
		       struct fuse_entry_out *entry)
{
	if (is_dot(name) || inode_is_pressed(&listing->fs->inodes) || !progress_has_room() ||
	    op_lookup_entry(listing->fs, listing->dir, name, entry) < 0)
		*entry = (struct fuse_entry_out){ .nodeid = 0 };
}

/* Appends DIRENT. Returns false, without counting a lookup, if there is no room for it. */
static bool append(struct listing *listing, const struct backing_dirent *dirent)
{
	size_t name_len = strlen(dirent->name);
	size_t head = listing->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	uint32_t len = (uint32_t)FUSE_DIRENT_ALIGN(head + name_len);
	uint8_t *at = listing->out + listing->used;
	struct fuse_dirent *out;

	if (len > listing->room - listing->used)
		return false;
	memset(at, 0, len); /* also clears the padding */
	if (listing->plus) {
		struct fuse_direntplus *plus = (struct fuse_direntplus *)at;

		fill_entry(listing, dirent->name, &plus->entry_out);
		out = &plus->dirent;
	} else {
		out = (struct fuse_dirent *)at;
	}
	out->ino = inode_shown_ino(&listing->fs->inodes, listing->dir->dev, dirent->ino);
	out->off = (uint64_t)dirent->off;
	out->namelen = (uint32_t)name_len;
	out->type = dirent->type;
	memcpy(out->name, dirent->name, name_len);
	listing->used += len;
	return true;
}

static int seek(struct file *file, uint64_t off)
{
	if (lseek(file->fd, (off_t)off, SEEK_SET) < 0) {
		file->dir_off = FILE_NOWHERE;
		return -errno;
	}
	file->dir_off = off;
	return 0;
}

/*
 * Fills the reply with as many entries as fit. Then it seeks back to the first entry that was read
 * but didn't fit. Entries aren't kept for the next request, which may ask for another offset.
 */
static int list(struct listing *listing, void *scratch)
{
	struct file *file = listing->file;

	for (;;) {
		uint32_t rest = listing->room - listing->used;
		uint32_t piece = MAX(listing->plus ? rest / PLUS_FACTOR : rest, LEAST_PIECE);
		long len = syscall(SYS_getdents64, file->fd, scratch, MIN(piece, CALL_SCRATCH_LEN));

		if (len < 0 && listing->used == 0)
			return -errno;
		if (len <= 0)
			return 0; /* the end, or an error that the next request meets again */
		for (long at = 0; at < len;) {
			const struct backing_dirent *dirent =
				(const void *)((const uint8_t *)scratch + at);

			if (!append(listing, dirent)) {
				int r = seek(file, file->dir_off);

				/* an error will be met again by the next request */
				if (listing->used)
					return 0;
				/* an empty reply would mean the end of the directory */
				return r < 0 ? r : -EINVAL;
			}
			file->dir_off = (uint64_t)dirent->off;
			at += dirent->len;
		}
	}
}

static int read_directory(struct call *call, bool plus)
{
	const struct fuse_read_in *arg = call->arg;
	struct file *file = call_directory(call, arg->fh);
	struct listing listing = {
		.fs = call->fs,
		.file = file,
		.plus = plus,
		.out = call->out,
		.room = MIN(arg->size, call->out_cap),
	};
	bool assume = plus && !call->fs->default_permissions;
	int r;

	if (!file)
		return -EBADF;
	listing.dir = inode_get(&call->fs->inodes, call->in->nodeid);
	if (!listing.dir)
		return -ESTALE;
	/* offset 0 may come from rewinddir(), after which new entries must appear */
	if (arg->offset == 0 || arg->offset != file->dir_off) {
		r = seek(file, arg->offset);
		if (r < 0)
			return r;
	}
	if (plus) {
		r = op_zone_ask(listing.dir);
		if (r < 0)
			return r;
	}
	if (assume) {
		/* to look up the entries needs more rights than to list the directory */
		r = op_assume(call);
		if (r < 0)
			return r;
	}
	r = list(&listing, call->scratch);
	creds_resume();
	if (r == 0)
		call->out_len = listing.used;
	return r;
}

int op_readdir(struct call *call)
{
	return read_directory(call, false);
}

int op_readdirplus(struct call *call)
{
	return read_directory(call, true);
}

int op_releasedir(struct call *call)
{
	const struct fuse_release_in *arg = call->arg;
	struct file *file = call_directory(call, arg->fh);

	if (!file)
		return op_released(call);
	op_note_release(call);
	file_close(&call->fs->files, file);
	return 0;
}
