/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file table: handles, the descriptor that syncs, and errors told once to each opener. */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "store/fs.h"
#include "test.h"

enum { FILES = 4 };

static struct arena arena;
static struct fs fs;
static struct inode *inode;

static void make(void)
{
	int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx stx = { .stx_dev_major = 200, .stx_ino = 5, .stx_mode = S_IFREG };
	int fd = open("/dev/null", O_PATH | O_CLOEXEC);

	memset(&fs, 0, sizeof(fs));
	CHECK(root_fd >= 0 && fd >= 0);
	arena_init(&arena);
	CHECK_EQ(inode_table_plan(&arena, 8), 0);
	CHECK_EQ(file_table_plan(&arena, FILES), 0);
	CHECK_EQ(arena_create(&arena), 0);
	CHECK_EQ(inode_table_init(&fs.inodes, &arena), 0);
	CHECK_EQ(file_table_init(&fs.files, &arena, &fs.inodes), 0);
	CHECK_EQ(inode_table_set_root(&fs.inodes, root_fd), 0);
	CHECK(close(root_fd) == 0);
	CHECK_EQ(inode_remember(&fs.inodes, &fd, &stx, &inode), 0);
}

static void end(void)
{
	file_table_destroy(&fs.files);
	inode_table_destroy(&fs.inodes);
	arena_destroy(&arena);
}

static int open_file(int flags, uint64_t *ret_fh)
{
	struct file fill = { .fd = open("/dev/null", flags | O_CLOEXEC),
			     .buffered_fd = -1,
			     .flags = (uint32_t)flags };

	CHECK(fill.fd >= 0);
	return file_open(&fs.files, inode, &fill, ret_fh);
}

static struct file *opened(int flags, uint64_t *ret_fh)
{
	struct file *file;

	CHECK_EQ(open_file(flags, ret_fh), 0);
	file = file_get(&fs.files, *ret_fh);
	CHECK(file != NULL);
	return file;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void handles_name_one_opening(void)
{
	static const uint64_t none[] = { 0, 1, 1ull << 32 | FILES, 2ull << 32, UINT64_MAX };
	uint64_t fh, next;
	struct file *file;
	int fd;

	make();
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CHECK(file_get(&fs.files, none[i]) == NULL);
	file = opened(O_RDONLY, &fh);
	fd = file->fd;
	CHECK_EQ(inode->opens, 1u);
	file_close(&fs.files, file);
	CHECK(!is_open(fd));
	CHECK(file_get(&fs.files, fh) == NULL);
	CHECK(opened(O_RDONLY, &next) == file);
	CHECK(next != fh && file_get(&fs.files, fh) == NULL);
	file_close(&fs.files, file);
	CHECK_EQ(inode->opens, 0u);
	end();
}

static void a_full_table_refuses_and_closes(void)
{
	struct file *files[FILES];
	int fd, lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t fh;

	make();
	for (int i = 0; i < FILES; i++)
		files[i] = opened(O_RDWR, &fh);
	CHECK_EQ(open_file(O_RDWR, &fh), -ENFILE);
	CHECK_EQ(inode->opens, (uint32_t)FILES);
	for (int i = 0; i < FILES; i++)
		file_close(&fs.files, files[i]);
	CHECK_EQ(atomic_load(&fs.files.used), 0u);
	end();
	/* every descriptor is closed again: the lowest free one is what it was */
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(fd, lowest + 1);
	CHECK(close(fd) == 0 && close(lowest) == 0);
}

static void one_descriptor_syncs_for_all(void)
{
	struct file *reader, *writer, *second;
	int sync_fd;
	uint64_t fh;

	make();
	reader = opened(O_RDONLY, &fh);
	CHECK_EQ(file_fsync_fd(&fs.files, reader), reader->fd);
	writer = opened(O_WRONLY, &fh);
	sync_fd = file_fsync_fd(&fs.files, writer);
	CHECK_EQ(sync_fd, writer->fd);
	CHECK_EQ(file_fsync_fd(&fs.files, reader), sync_fd);
	second = opened(O_RDWR, &fh);
	CHECK_EQ(file_fsync_fd(&fs.files, second), sync_fd);
	file_close(&fs.files, writer);
	CHECK_EQ(file_fsync_fd(&fs.files, second), sync_fd);
	file_close(&fs.files, second);
	CHECK(is_open(sync_fd)); /* the reader may be syncing with it */
	file_close(&fs.files, reader);
	CHECK(!is_open(sync_fd));
	end();
}

/* The same inode, found on another mount. */
static struct inode *remember_by_mount(uint64_t mount_id)
{
	struct statx stx = { .stx_mask = STATX_MNT_ID,
			     .stx_dev_major = 200,
			     .stx_ino = 5,
			     .stx_mode = S_IFREG,
			     .stx_mnt_id = mount_id };
	int fd = open("/dev/null", O_PATH | O_CLOEXEC);
	struct inode *found;

	CHECK(fd >= 0);
	CHECK_EQ(inode_remember(&fs.inodes, &fd, &stx, &found), 0);
	return found;
}

static void two_mounts_share_descriptor_and_errors(void)
{
	struct inode *first, *second;
	struct file *reader, *writer;
	uint64_t fh, nodeid;
	int sync_fd;

	make();
	first = inode;
	second = inode = remember_by_mount(7777);
	CHECK(second != first && second->fd != first->fd);
	CHECK(inode_primary(&fs.inodes, second) == first);
	CHECK(remember_by_mount(7777) == second);
	CHECK_EQ(inode_make_zone(&fs.inodes, second, ZONE_CONVENTIONAL, 4096, 4096), 0);
	writer = opened(O_WRONLY, &fh);
	inode = first;
	reader = opened(O_RDONLY, &fh);
	CHECK(reader->inode == writer->inode && reader->known != writer->known);
	sync_fd = file_fsync_fd(&fs.files, reader);
	CHECK_EQ(sync_fd, writer->fd);
	inode_record_error(inode_at(&fs.inodes, writer->inode), -EIO);
	CHECK_EQ(file_report_error(&fs.files, reader), -EIO);
	CHECK_EQ(file_report_error(&fs.files, writer), -EIO);
	CHECK_EQ(file_report_error(&fs.files, reader), 0);

	/* what they share lasts as long as one of them is known or open */
	CHECK(zone_is_file(&first->zone));
	nodeid = inode_nodeid(&fs.inodes, first);
	inode_forget(&fs.inodes, nodeid, 1);
	file_close(&fs.files, reader);
	CHECK_EQ(file_fsync_fd(&fs.files, writer), sync_fd);
	file_close(&fs.files, writer);
	CHECK(!is_open(sync_fd));
	CHECK(first->used && first->fd < 0); /* its mount isn't kept busy */
	CHECK_EQ(atomic_load(&fs.inodes.used), 3u);
	CHECK(remember_by_mount(0) == first && first->fd >= 0);
	inode_forget(&fs.inodes, nodeid, 1);
	CHECK_EQ(atomic_load(&fs.inodes.used), 3u);
	inode_forget(&fs.inodes, inode_nodeid(&fs.inodes, second), 2);
	CHECK_EQ(atomic_load(&fs.inodes.used), 1u);
	end();
}

static void each_opener_is_told_once(void)
{
	struct file *a, *b, *late;
	uint64_t fh;

	make();
	a = opened(O_RDWR, &fh);
	b = opened(O_RDONLY, &fh);
	CHECK_EQ(file_report_error(&fs.files, a), 0);
	inode_record_error(inode, -EIO);
	late = opened(O_RDWR, &fh);
	CHECK_EQ(file_report_error(&fs.files, a), -EIO);
	CHECK_EQ(file_report_error(&fs.files, a), 0);
	inode_record_error(inode, -ENOSPC);
	inode_record_error(inode, -EDQUOT);
	CHECK_EQ(file_report_error(&fs.files, b), -EDQUOT);
	CHECK_EQ(file_report_error(&fs.files, b), 0);
	CHECK_EQ(file_report_error(&fs.files, late), -EDQUOT);
	CHECK_EQ(file_report_error(&fs.files, a), -EDQUOT);
	file_close(&fs.files, a);
	file_close(&fs.files, b);
	file_close(&fs.files, late);
	end();
}

enum { ERRORS = 20000 };

struct asker {
	struct file *file;
	_Atomic bool *done;
	_Atomic uint32_t told;
};

static void *keep_asking(void *arg)
{
	struct asker *asker = arg;
	bool last;

	do {
		last = atomic_load(asker->done);
		if (file_report_error(&fs.files, asker->file) < 0)
			atomic_fetch_add(&asker->told, 1);
	} while (!last);
	return NULL;
}

/*
 * Two threads share an opening: never told more often than there were errors, nor left in the dark.
 */
static void threads_of_one_opener_share_what_they_are_told(void)
{
	_Atomic bool done = false;
	struct asker asker = { .done = &done };
	pthread_t threads[2];
	uint64_t fh;

	make();
	asker.file = opened(O_RDWR, &fh);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, keep_asking, &asker) == 0);
	for (int i = 0; i < ERRORS; i++)
		inode_record_error(inode, -EIO);
	atomic_store(&done, true);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(atomic_load(&asker.told) >= 1 && atomic_load(&asker.told) <= ERRORS);
	CHECK_EQ(file_report_error(&fs.files, asker.file), 0);
	file_close(&fs.files, asker.file);
	end();
}

int main(void)
{
	RUN(handles_name_one_opening);
	RUN(a_full_table_refuses_and_closes);
	RUN(one_descriptor_syncs_for_all);
	RUN(two_mounts_share_descriptor_and_errors);
	RUN(each_opener_is_told_once);
	RUN(threads_of_one_opener_share_what_they_are_told);
	return test_result();
}
