/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/op-open.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "handlers/op-meta.h"
#include "handlers/op-setid.h"
#include "handlers/op-zone.h"
#include "store/cached-open.h"
#include "store/creds.h"
#include "store/fs.h"
#include "store/passthrough.h"
#include "store/room.h"

/*
 * The flags of the client that are passed on to the backing file. Others are not passed on, for
 * these reasons:
 *
 *   O_APPEND		the kernel sends the offset of every write
 *   O_DIRECT		the option cache= decides it
 *   O_NONBLOCK		I/O on the descriptor must be able to wait
 *   O_TRUNC		the kernel sends a SETATTR (session.c)
 */
#define OPEN_FLAGS (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME)

/* __FMODE_EXEC in the kernel's include/linux/fs.h: a program is opened to be executed. */
#define OPEN_TO_EXECUTE 040u

/* Bounds for the alignment of O_DIRECT if statx() doesn't report it. */
#define DIO_ALIGN_LEAST 4096u
#define DIO_ALIGN_MOST	65536u

/* The unit of stx_blocks, whatever the filesystem's block size is. */
#define STAT_BLOCK_BYTES 512u

/*
 * One COPY_FILE_RANGE copies at most this many bytes, so that it doesn't occupy a worker for long.
 * A short count is a valid answer, after which the kernel or the client continues. It is a multiple
 * of all block sizes, so that a filesystem can still share blocks instead of copying them.
 */
#define COPY_LEN (64u << 20)

/* The answer to CREATE and TMPFILE: two structs in a row. */
struct created_out {
	struct fuse_entry_out entry;
	struct caisson_fuse_open_out open;
};

_Static_assert(sizeof(struct created_out) ==
		       sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out),
	       "no padding between what the kernel takes for two structs");
_Static_assert(offsetof(struct statx, stx_dio_mem_align) == 152, "as in Linux 6.1");

static struct file unopened(void)
{
	return (struct file){ .fd = -1, .buffered_fd = -1 };
}

static void close_both(struct file *fill)
{
	close_fd(&fill->fd);
	close_fd(&fill->buffered_fd);
}

/* Returns true if the file FD may support O_DIRECT, and the alignments that it then needs. */
static bool dio_alignment(int fd, uint32_t *ret_mem, uint32_t *ret_off)
{
	struct statx stx;

	/* STATX_DIOALIGN came with Linux 6.1; some filesystems don't support it */
	if (store_statx(fd, STATX_BASIC_STATS | STATX_DIOALIGN, &stx) < 0)
		return false;
	if (stx.stx_mask & STATX_DIOALIGN) {
		*ret_mem = stx.stx_dio_mem_align;
		*ret_off = stx.stx_dio_offset_align;
	} else if (is_power_of_two(stx.stx_blksize) && stx.stx_blksize <= DIO_ALIGN_MOST) {
		*ret_mem = *ret_off = MAX(stx.stx_blksize, DIO_ALIGN_LEAST);
	} else {
		*ret_mem = *ret_off = DIO_ALIGN_LEAST;
	}
	/* the alignments are 0 if the file can't (encryption, compression, journalled data …) */
	return is_power_of_two(*ret_mem) && is_power_of_two(*ret_off);
}

/*
 * Adds an O_DIRECT descriptor to FILL, whose fd is a buffered descriptor opened with FLAGS, if the
 * mount has cache=none. The buffered one becomes FILL->buffered_fd, for I/O that isn't aligned. If
 * the file doesn't support O_DIRECT, it stays buffered. That is allowed, because O_DIRECT is our
 * means against dirty pages (S2) and not a promise. Returns 0, or -errno if descriptors or memory
 * are short.
 */
static int add_direct(struct call *call, struct file *fill, int flags)
{
	uint32_t mem_align, off_align;
	int fd, r;

	if (call->fs->cache != CACHE_NONE || !dio_alignment(fill->fd, &mem_align, &off_align))
		return 0;
	flags |= O_DIRECT;
	r = store_reopen(&call->fs->store, fill->fd, flags, &fd);
	if (r == -EACCES || r == -EPERM) {
		/* a new file's mode may deny its creator; the first open has checked the rights */
		creds_resume();
		r = store_reopen(&call->fs->store, fill->fd, flags, &fd);
	}
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return r;
	if (r < 0)
		return 0;
	fill->buffered_fd = fill->fd;
	fill->fd = fd;
	fill->dio_mem_align = mem_align;
	fill->dio_off_align = off_align;
	return 0;
}

/*
 * Notes in INODE, which was opened as FILL, its size and whether it has holes. The preallocation
 * for first writes needs to know both (prealloc.h).
 */
static void look_for_holes(const struct fs *fs, struct inode *inode, const struct file *fill)
{
	struct statx stx;

	if (!fs->prealloc.piece_len || !fill->dio_off_align ||
	    (fill->flags & O_ACCMODE) == O_RDONLY ||
	    store_statx(fill->fd, STATX_SIZE | STATX_BLOCKS, &stx) < 0)
		return;
	if (atomic_load(&inode->known_len) < stx.stx_size)
		atomic_store(&inode->known_len, stx.stx_size);
	if (stx.stx_blocks * STAT_BLOCK_BYTES < stx.stx_size)
		atomic_store(&inode->thin, true);
}

/*
 * Chooses how the kernel accesses the file FH. ASKED has the flags of the client's open.
 *
 * With passthrough, a file that was opened to read only is read by the kernel itself. A write by
 * passthrough would hold the inode's lock in the client's kernel, so that writes to one file took
 * turns (fuse_passthrough_write_iter()). Therefore files that were opened to write read and write
 * through us, by FOPEN_DIRECT_IO, which takes precedence. They also name the backing file, because
 * the kernel refuses to mix opens with and without it. All of them map the backing file itself.
 *
 * Without passthrough, a file is opened through the kernel's page cache. The exception is an open
 * with O_DIRECT if the kernel can have several direct writes in flight; see cached-open.h.
 */
static void fill_open_out(struct call *call, uint32_t asked, uint64_t fh,
			  struct caisson_fuse_open_out *ret_out)
{
	struct file *file = file_get(&call->fs->files, fh);
	struct inode *inode = inode_at(&call->fs->inodes, file->inode);
	struct inode *known = inode_at(&call->fs->inodes, file->known);
	bool is_zone = zone_is_file(&inode->zone);
	bool is_direct = (asked & O_DIRECT) && call->fs->parallel_direct_writes;
	int32_t backing_id = PASSTHROUGH_NONE;
	bool may_cache;

	*ret_out = (struct caisson_fuse_open_out){ .fh = fh };
	if (call->fs->passthrough && !is_zone)
		backing_id = file_backing_id(&call->fs->files, file);
	if (backing_id != PASSTHROUGH_NONE) {
		ret_out->open_flags |= CAISSON_FOPEN_PASSTHROUGH;
		ret_out->backing_id = backing_id;
		if ((file->flags & O_ACCMODE) == O_RDONLY)
			return;
	}
	may_cache = !is_zone && !call->fs->passthrough;
	/* no open may make the kernel drop pages that others write to */
	if (may_cache)
		ret_out->open_flags |= FOPEN_KEEP_CACHE;
	/* a file that is mounted twice below BACKING has two page caches, which don't agree */
	if (may_cache && !is_direct && !inode_is_shared(&call->fs->inodes, inode)) {
		call->drops = cached_open_begin(&call->fs->inodes, known, file, &call->drop);
		return;
	}
	cached_open_begin_around(known, file);
	ret_out->open_flags |= FOPEN_DIRECT_IO;
	if (call->fs->parallel_direct_writes)
		ret_out->open_flags |= FOPEN_PARALLEL_DIRECT_WRITES;
}

/*
 * Opens INODE with *FLAGS, and changes them if they can't be had. ASKED has the flags of the
 * client's open.
 */
static int open_inode(struct call *call, const struct inode *inode, uint32_t asked, int *flags,
		      int *ret_fd)
{
	const struct store *store = &call->fs->store;
	int r = store_reopen(store, inode->fd, *flags, ret_fd);

	if (r == -EPERM && (*flags & O_NOATIME)) {
		/* the file isn't the caller's; O_NOATIME may be ignored */
		*flags &= ~O_NOATIME;
		r = store_reopen(store, inode->fd, *flags, ret_fd);
	}
	if (r == -EPERM && (asked & O_APPEND)) {
		/* an append-only inode (chattr +a) needs O_APPEND, which the client has set */
		*flags |= O_APPEND;
		r = store_reopen(store, inode->fd, *flags, ret_fd);
	}
	return r;
}

/*
 * Opens a program that the caller may execute but not read. The kernel reads it on the caller's
 * behalf and needs only the right to execute it (do_open_execat() in fs/exec.c). Ends the caller's
 * identity.
 */
static int open_for_exec(struct call *call, const struct inode *inode, int *ret_fd)
{
	if (syscall(SYS_faccessat2, inode->fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
		return -errno;
	creds_resume();
	return store_reopen(&call->fs->store, inode->fd, O_RDONLY, ret_fd);
}

/*
 * Keeps reads through the new descriptors from changing access times if the mount is noatime. Call
 * it with the daemon's identity, which may do that for any file.
 */
static void keep_atime(const struct fs *fs, const struct file *fill)
{
	if (!fs->noatime)
		return;
	store_keep_atime(fill->fd);
	if (fill->buffered_fd >= 0)
		store_keep_atime(fill->buffered_fd);
}

/* Opens the descriptors of INODE with the caller's identity. On error none is open. */
static int open_descriptors(struct call *call, const struct inode *inode, struct file *ret_fill)
{
	const struct fuse_open_in *arg = call->arg;
	int flags = (int)arg->flags & OPEN_FLAGS;
	int r = op_assume(call);

	if (r < 0)
		return r;
	r = open_inode(call, inode, arg->flags, &flags, &ret_fill->fd);
	if (r == -EACCES && (arg->flags & OPEN_TO_EXECUTE))
		r = open_for_exec(call, inode, &ret_fill->fd);
	if (r == 0)
		r = add_direct(call, ret_fill, flags);
	creds_resume();
	if (r < 0) {
		close_both(ret_fill);
		return r;
	}
	ret_fill->flags = (uint32_t)flags;
	keep_atime(call->fs, ret_fill);
	return 0;
}

/* Opens INODE. Returns 0 or -errno; -EAGAIN means that it has to wait for a lease. */
static int open_file(struct call *call, struct inode *inode, uint64_t *ret_fh)
{
	struct inode *primary = inode_primary(&call->fs->inodes, inode);
	struct file fill = unopened(), *file;
	int r = open_descriptors(call, inode, &fill);

	if (r == 0)
		r = file_open(&call->fs->files, inode, &fill, ret_fh);
	if (r < 0)
		return r;
	file = file_get(&call->fs->files, *ret_fh);
	if (zone_is_file(&primary->zone))
		op_zone_load(primary, file->fd);
	look_for_holes(call->fs, primary, file);
	return 0;
}

int op_open(struct call *call)
{
	const struct fuse_open_in *arg = call->arg;
	struct inode *inode = inode_get(&call->fs->inodes, call->in->nodeid);
	uint64_t fh;
	int r;

	if (!inode)
		return -ESTALE;
	/* the kernel opens FIFOs and devices itself; to open them here would have side effects */
	if (!S_ISREG(inode->mode))
		return S_ISDIR(inode->mode) ? -EISDIR : -EINVAL;
	r = open_file(call, inode, &fh);
	if (r == -EAGAIN && !(arg->flags & O_NONBLOCK))
		return CALL_WAITS;
	if (r < 0)
		return op_error(call->fs, r);
	fill_open_out(call, arg->flags, fh, call->out);
	call->out_len = sizeof(struct fuse_open_out);
	return 0;
}

/*
 * Answers with the entry and the handle of the new file, whose descriptors are in FILL. The entry
 * is found by the descriptor, because another file may have the name by now. ROOM has rows for the
 * inode and the handle. Takes the descriptors, also on error.
 */
static int reply_created(struct call *call, struct room *room, struct file *fill)
{
	struct created_out *out = call->out;
	struct inode *inode = NULL;
	uint64_t fh;
	int path_fd, r;

	r = op_path_fd(call->fs, fill->fd, &path_fd);
	if (r == 0)
		r = op_entry_of(room, &path_fd, &out->entry, &inode);
	if (r < 0) {
		close_both(fill);
		return op_error(call->fs, r);
	}
	fh = file_publish(&call->fs->files, room->file_row, inode, fill);
	room->file_row = POOL_NONE;
	fill_open_out(call, ((const struct fuse_create_in *)call->arg)->flags, fh, &out->open);
	call->out_len = sizeof(*out);
	return 0;
}

/* Whether FD is as CALL's caller would just have made it. */
static bool is_new(const struct call *call, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_size == 0 &&
	       (!creds_act_for_callers() || st.st_uid == call->in->uid);
}

/*
 * Opens the file NAME in DIR, which a process that has died has made for this request. Its mode may
 * deny that to the caller, who has made it nevertheless. Returns -EEXIST if it is another file.
 * Ends the caller's identity.
 */
static int open_made(struct call *call, const struct inode *dir, const char *name, int flags,
		     int *ret_fd)
{
	autoclose int fd = -1;
	int r;

	creds_resume();
	r = store_open_child(dir->fd, name, &fd);
	if (r < 0)
		return r;
	return is_new(call, fd) ? store_reopen(&call->fs->store, fd, flags, ret_fd) : -EEXIST;
}

/*
 * Creates and opens the file NAME in DIR, or a nameless file if NAME is NULL. If DONE, it was
 * created before. Call it with the caller's identity.
 */
static int make_file(struct call *call, const struct inode *dir, const char *name, bool done,
		     struct file *ret_fill)
{
	const struct fuse_create_in *arg = call->arg;
	int flags = (int)arg->flags & OPEN_FLAGS;
	int r;

	if (done)
		r = open_made(call, dir, name, flags, &ret_fill->fd);
	else if (name)
		r = store_create_child(dir->fd, name, flags, arg->mode, &ret_fill->fd);
	else
		r = store_create_tmpfile(dir->fd, flags | ((int)arg->flags & O_EXCL), arg->mode,
					 &ret_fill->fd);
	/*
	 * Another file has appeared under this name. The kernel has only checked that the caller
	 * may create a file, so it must not get this one. On -ESTALE the kernel looks up the name
	 * again, once, and checks the file that it finds (do_filp_open() in fs/namei.c).
	 */
	if (r == -EEXIST && !(arg->flags & O_EXCL))
		return -ESTALE;
	if (r < 0)
		return r;
	ret_fill->flags = (uint32_t)flags;
	return add_direct(call, ret_fill, flags);
}

/* Handles CREATE, or TMPFILE if NAME is NULL. */
static int create(struct call *call, const char *name)
{
	const struct fuse_create_in *arg = call->arg;
	struct inode *dir = inode_get(&call->fs->inodes, call->in->nodeid);
	autoroom room = room_none(call->fs);
	struct file fill = unopened();
	bool done;
	int r;

	if (!dir)
		return -ESTALE;
	done = name && progress_names_changed(call->progress, dir->fd, name, -1, NULL);
	r = op_zone_allow_name(call->fs, dir, name ? name : "");
	if (r == 0)
		r = room_for_inode(&room);
	if (r == 0)
		r = room_for_file(&room);
	if (r == 0)
		r = op_assume_to_create(call, arg->umask);
	if (r < 0)
		return r;
	r = make_file(call, dir, name, done, &fill);
	creds_resume();
	if (r < 0) {
		close_both(&fill);
		return op_error(call->fs, r);
	}
	keep_atime(call->fs, &fill);
	return reply_created(call, &room, &fill);
}

int op_create(struct call *call)
{
	return create(call, call->name[0]);
}

int op_tmpfile(struct call *call)
{
	return create(call, NULL);
}

static struct file *call_file(const struct call *call, uint64_t fh)
{
	struct file *file = file_get(&call->fs->files, fh);

	return file && !file->directory ? file : NULL;
}

static void close_file(struct fs *fs, struct file *file)
{
	cached_open_close(inode_at(&fs->inodes, file->known), file);
	file_close(&fs->files, file);
}

int op_release(struct call *call)
{
	const struct fuse_release_in *arg = call->arg;
	struct file *file = call_file(call, arg->fh);

	if (!file)
		return op_released(call);
	op_note_release(call);
	close_file(call->fs, file);
	return 0;
}

void op_close_made(struct fs *fs, uint64_t fh)
{
	struct file *file = file_get(&fs->files, fh);

	if (file)
		close_file(fs, file);
}

/*
 * Returns the result for close(2) of one of the client's descriptors. Network filesystems write
 * back and report errors when a descriptor is closed, so this closes a duplicate.
 */
int op_flush(struct call *call)
{
	const struct fuse_flush_in *arg = call->arg;
	struct file *file = call_file(call, arg->fh);
	struct inode *inode;
	int fd, r = 0;
	bool local;

	if (!file)
		return -EBADF;
	inode = inode_at(&call->fs->inodes, file->inode);
	local = op_is_local(call->fs, inode);
	if (call->nonblocking && !local)
		return CALL_WAITS;
	cached_open_flushed(inode_at(&call->fs->inodes, file->known), file);
	if (!local && (file->flags & O_ACCMODE) != O_RDONLY) {
		fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0 || close(fd) < 0)
			r = -errno;
	}
	return r < 0 ? op_error(call->fs, r) : file_report_error(&call->fs->files, file);
}

int op_lseek(struct call *call)
{
	const struct fuse_lseek_in *arg = call->arg;
	const struct file *file = call_file(call, arg->fh);
	struct fuse_lseek_out *out = call->out;
	off_t off;

	if (!file)
		return -EBADF;
	/* the kernel handles other values itself; nobody uses the descriptor's position */
	if (arg->whence != SEEK_DATA && arg->whence != SEEK_HOLE)
		return -EINVAL;
	off = lseek(file_buffered_fd(file), (off_t)arg->offset, (int)arg->whence);
	if (off < 0)
		return -errno;
	*out = (struct fuse_lseek_out){ .offset = (uint64_t)off };
	call->out_len = sizeof(*out);
	return 0;
}

/*
 * Returns how many bytes of the copy from IN to make now, 0 at the end of IN, or -errno. Only whole
 * pages are copied. After the answer the kernel drops each page that the copy has touched, together
 * with data that others stored to a mapping of that page meanwhile (__fuse_copy_file_range() in
 * fs/fuse/file.c). On -EOPNOTSUPP the kernel copies the rest itself, through its page cache.
 */
static int64_t copy_len(const struct fuse_copy_file_range_in *arg, const struct file *in)
{
	uint64_t len = MIN(arg->len, (uint64_t)COPY_LEN);
	struct stat st;

	if (fstat(in->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size <= arg->off_in)
		return 0;
	len = MIN(len, (uint64_t)st.st_size - arg->off_in) & ~(uint64_t)(PAGE_BYTES - 1);
	if (!len || !is_aligned(arg->off_out, PAGE_BYTES))
		return -EOPNOTSUPP;
	return (int64_t)len;
}

/*
 * Copies between two files by their buffered descriptors. If the filesystem can't share blocks, the
 * kernel copies through the page cache, at any alignment. Writeback of the copy starts at once, so
 * that dirty pages stay few (S2). Its errors are reported by fsync.
 */
int op_copy_file_range(struct call *call)
{
	const struct fuse_copy_file_range_in *arg = call->arg;
	const struct file *in = call_file(call, arg->fh_in), *out = call_file(call, arg->fh_out);
	struct fuse_write_out *reply = call->out;
	off_t in_off = (off_t)arg->off_in, out_off = (off_t)arg->off_out;
	struct inode *out_inode;
	ssize_t copied;
	int64_t len;
	int r;

	if (!in || !out)
		return -EBADF;
	if (arg->flags)
		return -EINVAL;
	out_inode = inode_at(&call->fs->inodes, out->inode);
	/* the kernel then copies by READ and WRITE, which obey the rules of the zone */
	if (zone_is_file(&out_inode->zone))
		return -EOPNOTSUPP;
	len = copy_len(arg, in);
	if (len < 0)
		return (int)len;
	/* the request doesn't tell whether the caller has CAP_FSETID */
	r = op_assume_with_groups(call, false);
	if (r < 0)
		return r;
	copied = copy_file_range(file_buffered_fd(in), &in_off, file_buffered_fd(out), &out_off,
				 len, 0);
	r = copied < 0 ? -errno : 0;
	creds_resume();
	if (r < 0)
		return r;
	op_setid_cleared(call->fs, out_inode);
	if (call->fs->cache == CACHE_NONE && copied > 0)
		(void)sync_file_range(file_buffered_fd(out), (off_t)arg->off_out, copied,
				      SYNC_FILE_RANGE_WRITE); /* fsync reports errors */
	*reply = (struct fuse_write_out){ .size = (uint32_t)copied };
	call->out_len = sizeof(*reply);
	return 0;
}
