/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/wait.h"

#include <stdio.h>
#include <string.h>

#include "base/macro.h"

/*
 * A function whose name begins with NAME tells KIND. The first row that matches any function of a
 * stack decides. So what a task waits for outermost comes first: a task in reclaim may also wait in
 * a filesystem, and one that waits for a page to be written also waits for I/O.
 */
static const struct sign {
	const char *name;
	enum wait_kind kind;
} signs[] = {
	{ "fuse_file_lock", WAIT_FINE },
	{ "fuse_setlk", WAIT_FINE },
	{ "wait_for_vfork_done", WAIT_FINE },
	{ "__refrigerator", WAIT_FINE },
	{ "do_freezer_trap", WAIT_FINE },
	{ "balance_dirty_pages", WAIT_THROTTLE },
	{ "try_to_free_pages", WAIT_RECLAIM },
	{ "try_to_free_mem_cgroup_pages", WAIT_RECLAIM },
	{ "shrink_node", WAIT_RECLAIM },
	{ "shrink_slab", WAIT_RECLAIM },
	{ "do_shrink_slab", WAIT_RECLAIM },
	{ "shrink_folio_list", WAIT_RECLAIM },
	{ "shrink_page_list", WAIT_RECLAIM },
	{ "swap_writepage", WAIT_RECLAIM },
	{ "throttle_direct_reclaim", WAIT_MEMORY },
	{ "reclaim_throttle", WAIT_MEMORY },
	{ "congestion_wait", WAIT_MEMORY },
	{ "mempool_alloc", WAIT_MEMORY },
	{ "__alloc_pages", WAIT_MEMORY },
	{ "__alloc_frozen_pages", WAIT_MEMORY },
	{ "mem_cgroup_", WAIT_MEMORY },
	{ "out_of_memory", WAIT_MEMORY },
	{ "request_wait_answer", WAIT_FUSE },
	{ "fuse_wait_", WAIT_FUSE },
	{ "fuse_get_req", WAIT_FUSE },
	{ "fuse_direct_IO", WAIT_FUSE }, /* waits itself if a write makes the file larger */
	{ "rpc_wait_bit_killable", WAIT_NETWORK },
	{ "nfs_wait_", WAIT_NETWORK },
	{ "ceph_", WAIT_NETWORK },
	{ "cifs_", WAIT_NETWORK },
	{ "smb2_", WAIT_NETWORK },
	/* other locks of the kind that freezes a filesystem */
	{ "percpu_down_write", WAIT_LOCK },
	{ "cgroup_", WAIT_LOCK },
	{ "copy_process", WAIT_LOCK },
	{ "exit_signals", WAIT_LOCK },
	{ "cpus_read_lock", WAIT_LOCK },
	{ "percpu_rwsem_wait", WAIT_FREEZE },
	{ "blk_", WAIT_IO },
	{ "submit_bio", WAIT_IO },
	{ "bit_wait_io", WAIT_IO },
	{ "folio_wait_", WAIT_IO },
	{ "wait_on_page", WAIT_IO },
	{ "wait_on_buffer", WAIT_IO },
	{ "rq_qos_wait", WAIT_IO },
	{ "wbt_wait", WAIT_IO },
	{ "wb_wait_", WAIT_IO },
	{ "iomap_dio_", WAIT_IO },
	{ "__iomap_dio_rw", WAIT_IO },
	{ "inode_dio_wait", WAIT_IO },
	{ "jbd2_", WAIT_IO },
	{ "wait_transaction_locked", WAIT_IO },
	{ "xlog_", WAIT_IO },
	{ "xfs_log_", WAIT_IO },
	{ "xfs_buf_iowait", WAIT_IO },
	{ "btrfs_", WAIT_IO },
	{ "dmz_", WAIT_IO },
	{ "io_schedule", WAIT_IO },
	{ "rwsem_down_", WAIT_LOCK },
	{ "__mutex_lock", WAIT_LOCK },
	{ "mutex_lock", WAIT_LOCK },
	{ "__down", WAIT_LOCK },
	{ "kernel_clone", WAIT_FINE }, /* vfork(2), if it isn't for what the rows above say */
};

/* Functions that every sleeper is in; they tell nothing. */
static const char *const sleepers[] = {
	"__schedule", "schedule", "io_schedule", "schedule_timeout", "io_schedule_timeout",
};

static const char *const filesystems[] = { "xfs", "ext4", "btrfs", "f2fs", "nfs", "fuse" };

/* A function of a stack: its name, which isn't terminated. */
struct frame {
	const char *name;
	size_t len;
};

/* The function of the line at *TEXT, and *TEXT behind it. False at the end. */
static bool next_frame(const char **text, struct frame *frame)
{
	const char *line = *text;
	size_t len = strcspn(line, "\n");
	const char *mark = memchr(line, ']', len);

	if (!*line)
		return false;
	*text = line + len + (line[len] == '\n');
	/* "[<0>] name+0x..." */
	frame->name = mark && line[0] == '[' ? mark + 1 : line;
	frame->name += strspn(frame->name, " ");
	frame->len = strcspn(frame->name, "+ \n");
	return true;
}

static bool begins_with(const struct frame *frame, const char *start)
{
	size_t len = strlen(start);

	return frame->len >= len && strncmp(frame->name, start, len) == 0;
}

static bool is_sleeper(const struct frame *frame)
{
	for (size_t i = 0; i < ARRAY_SIZE(sleepers); i++) {
		if (frame->len == strlen(sleepers[i]) && begins_with(frame, sleepers[i]))
			return true;
	}
	return false;
}

/* The outermost function is the last one; so the filesystem of a system call is the last seen. */
static void note_filesystem(struct wait *wait, const struct frame *frame)
{
	for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++) {
		size_t len = strlen(filesystems[i]);

		if (begins_with(frame, filesystems[i]) && frame->name[len] == '_')
			(void)snprintf(wait->filesystem, sizeof(wait->filesystem), "%s",
				       filesystems[i]);
	}
}

/* The row of signs[] that FRAME matches, or their number. */
static size_t row_of(const struct frame *frame)
{
	size_t row = 0;

	while (row < ARRAY_SIZE(signs) && !begins_with(frame, signs[row].name))
		row++;
	return row;
}

struct wait wait_classify(const char *stack)
{
	struct wait wait = { .kind = WAIT_UNKNOWN };
	size_t best = ARRAY_SIZE(signs);
	struct frame frame;

	while (next_frame(&stack, &frame)) {
		size_t row = row_of(&frame);

		note_filesystem(&wait, &frame);
		if (row < best || (!*wait.where && !is_sleeper(&frame)))
			(void)snprintf(wait.where, sizeof(wait.where), "%.*s", (int)frame.len,
				       frame.name);
		if (row < best) {
			best = row;
			wait.kind = signs[row].kind;
		}
	}
	return wait;
}

const char *wait_text(enum wait_kind kind)
{
	static const char *const texts[WAIT_KINDS] = {
		[WAIT_UNKNOWN] = "waits",
		[WAIT_FINE] = "waits as long as it must",
		[WAIT_THROTTLE] = "waits until there are fewer dirty pages",
		[WAIT_RECLAIM] = "waits in memory reclaim",
		[WAIT_MEMORY] = "waits for memory",
		[WAIT_FUSE] = "waits for an answer",
		[WAIT_NETWORK] = "waits for an answer by the network",
		[WAIT_FREEZE] = "waits for a frozen filesystem",
		[WAIT_IO] = "waits for I/O",
		[WAIT_LOCK] = "waits for a lock",
	};

	return texts[kind];
}
