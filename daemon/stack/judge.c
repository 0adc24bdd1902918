/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/judge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define LAYERS_MAX 16

static const struct rule rules[RULES] = {
	[RULE_UNMARKED] = { "unmarked", "isn't marked as an I/O flusher",
			    "caissond: without io_flusher=off; others: caisson run -- COMMAND" },
	[RULE_PARTLY_MARKED] = { "partly-marked", "has tasks older than its mark as an I/O flusher",
				 "have it marked before it makes threads or rings: caisson run" },
	[RULE_UNLOCKED] = { "unlocked", "isn't locked in memory",
			    "caissond: without mlock=off; others: caisson run -- COMMAND" },
	[RULE_OOM_KILLABLE] = { "oom-killable", "can be killed when memory is short",
				"oom_score_adj -1000: caisson run, or OOMScoreAdjust=-1000" },
	[RULE_STOPPED] = { "stopped", "is stopped, and serves nothing", "send SIGCONT to it" },
	[RULE_MEMORY_LIMIT] = { "memory-limit", "is in a control group with a limit of memory",
				"move it to a group without one, such as a slice of its own" },
	[RULE_IO_LIMIT] = { "io-limit", "is in a control group whose I/O is throttled",
			    "move it to a group without a limit of I/O" },
	[RULE_FROZEN] = { "frozen", "is in a frozen control group, and serves nothing",
			  "thaw the group" },
	[RULE_SUSPEND] = { "suspend", "is in user.slice, which systemd freezes before a suspend",
			   "run it as a system service" },
	[RULE_PROGRAM_ABOVE] = { "program-above", "runs a program that lies on what it serves",
				 "install the program elsewhere" },
	[RULE_CWD_ABOVE] = { "cwd-above", "has its working directory on what it serves",
			     "start it in another directory, such as /" },
	[RULE_FILE_ABOVE] = { "file-above", "has a file open that lies on what it serves",
			      "keep its log, socket and data elsewhere" },
	[RULE_CORE_ABOVE] = { "core-above", "would write a core dump to what it serves",
			      "set kernel.core_pattern to a path elsewhere, or its limit to 0" },
	[RULE_SWAP_ABOVE] = { "swap-above", "serves swap, and needs memory to do that",
			      "swap to a device that the kernel serves itself" },
	[RULE_CYCLE] = { "cycle", "needs itself", "take one of these layers away" },
	[RULE_SERVED_HERE] = { "served-here", "is this machine: client and server share its memory",
			       "use the server's storage directly, or another machine" },
	[RULE_LOOP_BUFFERED] = { "loop-buffered",
				 "caches pages of a file that user space or another machine serves",
				 "losetup --direct-io=on" },
	[RULE_SMALL_SECTORS] = { "small-sectors",
				 "has smaller sectors than a disk below, and so no direct I/O",
				 "losetup --sector-size=BYTES, and make its filesystem anew" },
	[RULE_LOOP_DELETED] = { "loop-deleted", "has a backing file that was deleted",
				"copy the data away before the device is detached" },
	[RULE_SPARSE_IMAGE] = { "sparse-image", "can grow beyond the space that is left for it",
				"fallocate its file, or make it smaller" },
	[RULE_NO_BARRIERS] = { "no-barriers", "doesn't flush the disk's cache",
			       "mount it without nobarrier or barrier=0" },
	[RULE_NO_FLUSHES] = { "no-flushes", "has a cache that the kernel doesn't flush",
			      "echo 'write back' >/sys/class/block/DISK/queue/write_cache" },
	[RULE_REQUEST_TIMEOUT] = { "request-timeout",
				   "is aborted by the kernel if an answer takes too long",
				   "sysctl fs.fuse.default_request_timeout=0 "
				   "fs.fuse.max_request_timeout=0" },
	[RULE_KERNEL_BUG] = { "kernel-bug", "meets a bug of this kernel", "use a newer kernel" },
	[RULE_NOT_SEEN] = { "not-seen", "is not known well enough to be judged",
			    "more can be seen by root, and outside of containers" },
};

const struct rule *judge_rule(uint32_t index)
{
	return index < RULES ? &rules[index] : NULL;
}

const char *severity_name(enum severity severity)
{
	static const char *const names[] = {
		[SEVERITY_INFO] = "info",
		[SEVERITY_WARN] = "warn",
		[SEVERITY_FAIL] = "fail",
	};

	return names[severity];
}

/* Where the next verdict of SEVERITY goes: when there is no room, in place of a lesser one. */
static struct verdict *room_for(struct judge *judge, enum severity severity)
{
	if (judge->count < JUDGE_VERDICTS_MAX)
		return &judge->verdicts[judge->count++];
	judge->left_off++;
	for (uint32_t i = 0; i < judge->count; i++) {
		if (judge->verdicts[i].severity < severity)
			return &judge->verdicts[i];
	}
	return NULL;
}

void judge_say(struct judge *judge, enum rule_index rule, enum severity severity, uint32_t node,
	       const char *format, ...)
{
	struct verdict *verdict = room_for(judge, severity);
	va_list args;

	judge->worst = MAX(judge->worst, severity);
	if (!verdict)
		return;
	verdict->rule = &rules[rule];
	verdict->severity = severity;
	verdict->node = node;
	va_start(args, format);
	(void)vsnprintf(verdict->evidence, sizeof(verdict->evidence), format, args);
	va_end(args);
}

bool judge_is_stacked(const struct stack *stack, uint32_t node)
{
	graph_each_upper (&stack->graph, node, edge) {
		if (edge->kind == EDGE_ON || edge->kind == EDGE_FILE)
			return true;
	}
	return false;
}

/* --- cycles in the stack itself --- */

/*
 * Writes the names on a way from NODE to GOAL to TEXT. Returns whether there is one that leads by
 * no node before GOAL, so that each cycle is found at its first node alone, and by no process, as a
 * server that needs what it serves has rules of its own.
 */
static bool find_way(const struct judge *judge, uint32_t node, uint32_t goal, char *text,
		     size_t size)
{
	const struct graph *graph = &judge->stack->graph;
	size_t len = strlen(text);

	graph_each_lower (graph, node, edge) {
		const struct node *lower = &graph->nodes[edge->lower];

		if (edge->lower < goal || judge->above[edge->lower] || lower->kind == NODE_PROCESS)
			continue;
		judge->above[edge->lower] = 1;
		(void)snprintf(text + len, size - len, " → %s %s", lower->type, lower->name);
		if (edge->lower == goal || find_way(judge, edge->lower, goal, text, size))
			return true;
		text[len] = '\0';
	}
	return false;
}

static void judge_cycle(struct judge *judge, uint32_t node)
{
	const struct node *first = &judge->stack->graph.nodes[node];
	char text[1024];

	memset(judge->above, 0, judge->stack->graph.node_count);
	(void)snprintf(text, sizeof(text), "%s %s", first->type, first->name);
	if (first->kind != NODE_PROCESS && find_way(judge, node, node, text, sizeof(text)))
		judge_say(judge, RULE_CYCLE, SEVERITY_FAIL, node, "%s", text);
}

/* --- loop devices --- */

/*
 * Opens the file PATH on the filesystem NODE, if it is still there. The kernel has it in its
 * caches, as the loop device has it open, so nothing is asked. Returns -1 if it isn't there.
 */
static int open_image(const struct stack *stack, const char *path, uint32_t node)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED,
	};
	autoclose int fd = (int)syscall(SYS_openat2, stack->system->root_fd,
					path + strspn(path, "/"), &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != stack->graph.nodes[node].number)
		return -1;
	return steal_fd(&fd);
}

/* Judges the image at PATH on the filesystem LOWER, which can't hang. */
static void judge_image(struct judge *judge, uint32_t node, uint32_t lower, const char *path)
{
	autoclose int fd = open_image(judge->stack, path, lower);
	uint64_t allocated, space;
	struct statfs fs;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return;
	allocated = (uint64_t)st.st_blocks * 512;
	space = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	if ((uint64_t)st.st_size > allocated && (uint64_t)st.st_size - allocated > space)
		judge_say(judge, RULE_SPARSE_IMAGE, SEVERITY_WARN, node,
			  "%s: %" PRIu64 " of %" PRIu64 " bytes allocated, %" PRIu64 " left", path,
			  allocated, (uint64_t)st.st_size, space);
}

/* Reads NAME of the device's queue, which waits for a lock. Returns its length or -errno. */
static ssize_t read_queue(const struct stack *stack, uint32_t node, const char *name, char *text,
			  size_t size)
{
	ssize_t len = reader_read(
		stack->reader,
		PATH("sys/class/block/%s/queue/%s", stack->graph.nodes[node].name, name), 0, text,
		size);

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	return len;
}

/* Bytes of a sector of the device NODE, or 0. */
static int64_t sector_of(const struct stack *stack, uint32_t node)
{
	char text[32];

	if (stack->graph.nodes[node].kind != NODE_DEVICE ||
	    read_queue(stack, node, "logical_block_size", text, sizeof(text)) <= 0)
		return 0;
	return strtoll(text, NULL, 10);
}

/*
 * Finds the device with the largest sectors among those that NODE's data lies on in this kernel, up
 * to DEPTH layers below. *LARGEST is the largest so far.
 */
static void find_larger(const struct stack *stack, uint32_t node, unsigned depth, uint32_t *largest)
{
	graph_each_lower (&stack->graph, node, edge) {
		if (!depth || (edge->kind != EDGE_ON && edge->kind != EDGE_FILE))
			continue;
		if (sector_of(stack, edge->lower) > sector_of(stack, *largest))
			*largest = edge->lower;
		find_larger(stack, edge->lower, depth - 1, largest);
	}
}

/* A loop device with sectors smaller than the disk's has no direct I/O. */
static void judge_sectors(struct judge *judge, uint32_t node)
{
	const struct stack *stack = judge->stack;
	int64_t sector = sector_of(stack, node);
	uint32_t largest = node;

	find_larger(stack, node, LAYERS_MAX, &largest);
	if (sector && largest != node)
		judge_say(judge, RULE_SMALL_SECTORS, SEVERITY_WARN, node,
			  "logical_block_size: %" PRId64 "; of %s: %" PRId64, sector,
			  stack->graph.nodes[largest].name, sector_of(stack, largest));
}

static void judge_loop(struct judge *judge, uint32_t node)
{
	const struct stack *stack = judge->stack;
	const struct node *loop = &stack->graph.nodes[node];
	char path[PATH_MAX];
	int64_t direct = 1;

	if (system_read(stack->system, PATH("sys/class/block/%s/loop/backing_file", loop->name),
			path, sizeof(path)) <= 0)
		return;
	if (system_is_deleted(path))
		judge_say(judge, RULE_LOOP_DELETED, SEVERITY_WARN, node,
			  "/sys/class/block/%s/loop/backing_file: %s", loop->name, path);
	if (loop->first_lower == GRAPH_NONE)
		judge_say(judge, RULE_NOT_SEEN, SEVERITY_WARN, node,
			  "its file %s is on no mount that is seen", path);
	judge_sectors(judge, node);
	(void)system_number(stack->system, PATH("sys/class/block/%s/loop/dio", loop->name),
			    &direct);
	graph_each_lower (&stack->graph, node, edge) {
		bool is_local = stack_is_local(stack, edge->lower);

		if (is_local && edge->kind == EDGE_FILE && !system_is_deleted(path))
			judge_image(judge, node, edge->lower, edge->text);
		if (!direct && !is_local)
			judge_say(judge, RULE_LOOP_BUFFERED, SEVERITY_WARN, node,
				  "/sys/class/block/%s/loop/dio: 0; its file: %s", loop->name,
				  edge->text);
	}
}

/* --- disks --- */

/*
 * FILE has what the disk NODE says of its cache. The kernel can be told to take it for another,
 * which doesn't change the disk.
 */
static void judge_cache(struct judge *judge, uint32_t node, const char *file)
{
	const struct system *system = judge->stack->system;
	char of_disk[32], of_kernel[32];

	if (system_read(system, file, of_disk, sizeof(of_disk)) > 0 &&
	    read_queue(judge->stack, node, "write_cache", of_kernel, sizeof(of_kernel)) > 0 &&
	    strncmp(of_disk, "write back", strlen("write back")) == 0 &&
	    strcmp(of_kernel, "write through") == 0)
		judge_say(judge, RULE_NO_FLUSHES, SEVERITY_WARN, node,
			  "/%s: %s; queue/write_cache: %s", file, of_disk, of_kernel);
}

struct scsi_disk {
	struct judge *judge;
	uint32_t node;
};

static int judge_scsi_cache(void *arg, const char *address)
{
	const struct scsi_disk *disk = arg;
	const char *name = disk->judge->stack->graph.nodes[disk->node].name;

	judge_cache(disk->judge, disk->node,
		    PATH("sys/class/block/%s/device/scsi_disk/%s/cache_type", name, address));
	return 0;
}

static void judge_disk(struct judge *judge, uint32_t node)
{
	const char *name = judge->stack->graph.nodes[node].name;
	struct scsi_disk disk = { .judge = judge, .node = node };

	judge_cache(judge, node, PATH("sys/class/block/%s/cache_type", name)); /* virtio */
	(void)system_names(judge->stack->system, PATH("sys/class/block/%s/device/scsi_disk", name),
			   judge_scsi_cache, &disk);
}

/* --- what user space serves --- */

/* Kinds of devices that are always served by a process or another machine. */
static void judge_served_device(struct judge *judge, uint32_t node)
{
	static const char *const kinds[] = { "nbd", "ublk", "tcmu" };
	const struct node *device = &judge->stack->graph.nodes[node];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(device->type, kinds[i]) == 0 && !stack_has_server(judge->stack, node))
			judge_say(judge, RULE_NOT_SEEN, SEVERITY_WARN, node,
				  "no process is seen that has its control device open");
	}
}

static void judge_fuse(struct judge *judge, uint32_t node)
{
	static const char *const files[] = { "default_request_timeout", "max_request_timeout" };
	const struct stack *stack = judge->stack;
	int64_t seconds = 0;

	if (!stack_has_server(stack, node))
		judge_say(judge, RULE_NOT_SEEN, SEVERITY_WARN, node,
			  "no process is seen that has this connection of /dev/fuse open");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (system_number(stack->system, PATH("proc/sys/fs/fuse/%s", files[i]), &seconds) ==
			    0 &&
		    seconds > 0)
			judge_say(judge, RULE_REQUEST_TIMEOUT,
				  judge_is_stacked(stack, node) ? SEVERITY_WARN : SEVERITY_INFO,
				  node, "/proc/sys/fs/fuse/%s: %lld", files[i], (long long)seconds);
	}
}

/* --- network storage --- */

/* Whether the kernel has ADDRESS (IPv4) as an address of this machine. */
static bool is_own_ipv4(const struct system *system, const char *address)
{
	struct system_lines lines;
	bool is_address = false, is_own = false;
	char *line, *at;

	if (system_lines_open(system, "proc/net/fib_trie", &lines) < 0)
		return false;
	/* "|-- 192.0.2.1" and then "/32 host LOCAL" */
	while (!is_own && (line = system_lines_next(&lines))) {
		at = strstr(line, "|-- ");
		if (at)
			is_address = strcmp(at + 4, address) == 0;
		else
			is_own = is_address && strstr(line, "host LOCAL");
	}
	system_lines_close(&lines);
	return is_own;
}

/* The same for IPv6: 32 hexadecimal digits at the beginning of a line. */
static bool is_own_ipv6(const struct system *system, const char *address)
{
	struct system_lines lines;
	struct in6_addr binary;
	char digits[33], *line;
	bool is_own = false;

	if (inet_pton(AF_INET6, address, &binary) != 1 ||
	    system_lines_open(system, "proc/net/if_inet6", &lines) < 0)
		return false;
	for (unsigned i = 0; i < 16; i++)
		(void)snprintf(digits + 2 * (size_t)i, 3, "%02x", binary.s6_addr[i]);
	while (!is_own && (line = system_lines_next(&lines)))
		is_own = strncmp(line, digits, 32) == 0;
	system_lines_close(&lines);
	return is_own;
}

static void judge_peer(struct judge *judge, uint32_t node)
{
	const struct system *system = judge->stack->system;
	const char *address = judge->stack->graph.nodes[node].name;

	if (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
	    is_own_ipv4(system, address) || is_own_ipv6(system, address))
		judge_say(judge, RULE_SERVED_HERE, SEVERITY_WARN, node,
			  "%s is an address of this machine (/proc/net/fib_trie, if_inet6)",
			  address);
}

/* --- all --- */

static void judge_node(struct judge *judge, uint32_t index)
{
	const struct node *node = &judge->stack->graph.nodes[index];

	switch (node->kind) {
	case NODE_FILESYSTEM:
		if (stack_is_fuse(node))
			judge_fuse(judge, index);
		if (node->is_unflushed)
			judge_say(judge, RULE_NO_BARRIERS, SEVERITY_WARN, index,
				  "/proc/self/mountinfo: nobarrier or barrier=0");
		break;
	case NODE_DEVICE:
		if (strcmp(node->type, "loop") == 0)
			judge_loop(judge, index);
		judge_disk(judge, index);
		judge_served_device(judge, index);
		break;
	case NODE_PROCESS:
		judge_process(judge, index);
		break;
	case NODE_PEER:
		judge_peer(judge, index);
		break;
	case NODE_SWAP:
	case NODE_KINDS:
		break;
	}
	judge_cycle(judge, index);
	judge_kernel(judge, index);
}

static int by_severity(const void *a, const void *b)
{
	const struct verdict *left = a, *right = b;

	if (left->severity != right->severity)
		return left->severity < right->severity ? 1 : -1;
	if (left->node != right->node)
		return left->node < right->node ? -1 : 1;
	return left->rule < right->rule ? -1 : left->rule > right->rule;
}

int judge_stack(struct judge *judge, struct stack *stack, const uint8_t *asked)
{
	*judge = (struct judge){
		.stack = stack,
		.kernel = judge_kernel_version(stack->system),
	};
	judge->above = calloc(MAX(stack->graph.node_count, 1u), 1);
	if (!judge->above)
		return -ENOMEM;
	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		if (asked[i])
			judge_node(judge, i);
	}
	free(judge->above);
	judge->above = NULL;
	qsort(judge->verdicts, judge->count, sizeof(*judge->verdicts), by_severity);
	return 0;
}
