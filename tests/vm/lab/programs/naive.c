/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * naive: the control of the lab. A storage daemon as they are commonly written: a FUSE filesystem
 * of one file, disk.img, served from one file below by pread(2) and pwrite(2) through the page
 * cache, with memory allocated for each request. By itself it knows nothing of memory reclaim;
 * options add one protection at a time.
 *
 *	naive [--mark | --late-mark] [--threads N] [--direct] [--lock] [--no-sync] FILE MOUNTPOINT
 *
 *	--mark		PR_SET_IO_FLUSHER first, so that all threads inherit it
 *	--late-mark	the same after the threads were made: only the first one has it
 *	--direct	O_DIRECT below
 *	--lock		mlockall()
 *	--no-sync	fsync(2) is answered, and nothing is done
 *
 * Stays in the foreground; says "naive: serving" when it is mounted.
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57 /* Linux 5.6 */
#endif

#define IMAGE_NAME  "disk.img"
#define IMAGE_INO   2
#define FOREVER_S   3600.0
#define ALIGNMENT   4096
#define THREADS_MAX 16

static struct {
	bool mark, late_mark, direct, lock, no_sync;
	int threads;
	const char *file, *mountpoint;
} options = { .threads = 1 };

static int image_fd;

static void fail(const char *object, const char *action)
{
	fprintf(stderr, "naive: %s: %s: %s\n", object, action, strerror(errno));
	exit(1);
}

static int attributes(fuse_ino_t ino, struct stat *ret_st)
{
	struct stat st;

	if (fstat(image_fd, &st) < 0)
		return errno;
	if (ino == FUSE_ROOT_ID) {
		st.st_mode = S_IFDIR | 0755;
		st.st_size = 0;
	}
	st.st_ino = ino;
	*ret_st = st;
	return 0;
}

static void reply_attributes(fuse_req_t request, fuse_ino_t ino)
{
	struct stat st;
	int error = attributes(ino, &st);

	if (error)
		fuse_reply_err(request, error);
	else
		fuse_reply_attr(request, &st, FOREVER_S);
}

static void do_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = IMAGE_INO,
		.attr_timeout = FOREVER_S,
		.entry_timeout = FOREVER_S,
	};
	int error = attributes(IMAGE_INO, &entry.attr);

	if (parent != FUSE_ROOT_ID || strcmp(name, IMAGE_NAME) != 0)
		error = ENOENT;
	if (error)
		fuse_reply_err(request, error);
	else
		fuse_reply_entry(request, &entry);
}

static void do_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)info;
	reply_attributes(request, ino);
}

static void do_setattr(fuse_req_t request, fuse_ino_t ino, struct stat *wanted, int which,
		       struct fuse_file_info *info)
{
	(void)info;
	if ((which & FUSE_SET_ATTR_SIZE) && ftruncate(image_fd, wanted->st_size) < 0)
		fuse_reply_err(request, errno);
	else
		reply_attributes(request, ino);
}

static void do_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	info->keep_cache = 1;
	fuse_reply_open(request, info);
}

static void do_read(fuse_req_t request, fuse_ino_t ino, size_t len, off_t off,
		    struct fuse_file_info *info)
{
	void *data;
	ssize_t n;

	(void)ino;
	(void)info;
	if (posix_memalign(&data, ALIGNMENT, len) != 0) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	n = pread(image_fd, data, len, off);
	if (n < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_buf(request, data, (size_t)n);
	free(data);
}

static void do_write(fuse_req_t request, fuse_ino_t ino, const char *data, size_t len, off_t off,
		     struct fuse_file_info *info)
{
	void *aligned = NULL;
	ssize_t n;

	(void)ino;
	(void)info;
	if (options.direct) {
		if (posix_memalign(&aligned, ALIGNMENT, len) != 0) {
			fuse_reply_err(request, ENOMEM);
			return;
		}
		memcpy(aligned, data, len);
		data = aligned;
	}
	n = pwrite(image_fd, data, len, off);
	if (n < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_write(request, (size_t)n);
	free(aligned);
}

static void do_fsync(fuse_req_t request, fuse_ino_t ino, int only_data, struct fuse_file_info *info)
{
	(void)ino;
	(void)only_data;
	(void)info;
	fuse_reply_err(request, !options.no_sync && fdatasync(image_fd) < 0 ? errno : 0);
}

static void do_fallocate(fuse_req_t request, fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *info)
{
	(void)ino;
	(void)info;
	fuse_reply_err(request, fallocate(image_fd, mode, off, len) < 0 ? errno : 0);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = do_lookup,
	.getattr = do_getattr,
	.setattr = do_setattr,
	.open = do_open,
	.read = do_read,
	.write = do_write,
	.fsync = do_fsync,
	.fallocate = do_fallocate,
};

static void mark(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		fail("PR_SET_IO_FLUSHER", "set");
}

static void *serve(void *arg)
{
	struct fuse_session *session = arg;
	struct fuse_buf message = { 0 };

	while (!fuse_session_exited(session)) {
		int n = fuse_session_receive_buf(session, &message);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		fuse_session_process_buf(session, &message);
	}
	free(message.mem);
	return NULL;
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--mark") == 0)
			options.mark = true;
		else if (strcmp(argv[i], "--late-mark") == 0)
			options.late_mark = true;
		else if (strcmp(argv[i], "--direct") == 0)
			options.direct = true;
		else if (strcmp(argv[i], "--lock") == 0)
			options.lock = true;
		else if (strcmp(argv[i], "--no-sync") == 0)
			options.no_sync = true;
		else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
			options.threads = atoi(argv[++i]);
		else if (!options.file)
			options.file = argv[i];
		else
			options.mountpoint = argv[i];
	}
	if (!options.mountpoint || options.threads < 1 || options.threads > THREADS_MAX) {
		fprintf(stderr, "usage: naive [--mark | --late-mark] [--threads N] [--direct] "
				"[--lock] [--no-sync] FILE MOUNTPOINT\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	char *mount_argv[] = { "naive", "-o", "fsname=naive,allow_other" };
	struct fuse_args args = FUSE_ARGS_INIT(3, mount_argv);
	pthread_t threads[THREADS_MAX];
	struct fuse_session *session;

	parse(argc, argv);
	if (options.mark)
		mark();
	image_fd = open(options.file, O_RDWR | O_CLOEXEC | (options.direct ? O_DIRECT : 0));
	if (image_fd < 0)
		fail(options.file, "open");
	session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!session || fuse_set_signal_handlers(session) < 0 ||
	    fuse_session_mount(session, options.mountpoint) < 0)
		return 1;
	if (options.lock && mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		fail("memory", "lock");
	for (int i = 1; i < options.threads; i++) {
		errno = pthread_create(&threads[i], NULL, serve, session);
		if (errno)
			fail("thread", "create");
	}
	if (options.late_mark)
		mark();

	fprintf(stderr, "naive: serving %s at %s/" IMAGE_NAME "\n", options.file,
		options.mountpoint);
	(void)serve(session);
	fuse_session_unmount(session);
	for (int i = 1; i < options.threads; i++)
		pthread_join(threads[i], NULL);
	fuse_session_destroy(session);
	return 0;
}
