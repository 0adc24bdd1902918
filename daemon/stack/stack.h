/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The storage of this machine as a graph, read from /proc and /sys. Nothing on a mount is touched,
 * so it can be read while mounts hang. What couldn't be seen is noted in `unseen`.
 *
 * stack_scan() first reads the mounts, then finds the processes that serve FUSE connections and
 * block devices in user space, and then what these processes need. Devices are described when the
 * first node that needs them is added.
 */
#ifndef CAISSON_STACK_H
#define CAISSON_STACK_H

#include <sys/sysmacros.h>

#include "stack/graph.h"
#include "stack/reader.h"
#include "stack/system.h"

struct mount {
	uint32_t id;	     /* mnt_id; no two mounts of a machine have the same at a time */
	uint32_t filesystem; /* node */
	uint64_t ns;	     /* its mount namespace (inode number); 0: ours */
	const char *point;   /* where it is mounted, as its namespace sees that */
};

/* A mount namespace other than ours, and a process that is in it. */
struct mount_namespace {
	uint64_t number;
	pid_t pid;
};

/* A loop device and the device number of the filesystem that its file is on. */
struct loop {
	dev_t dev, file_dev;
};

#define STACK_NAMESPACES_MAX 64
#define STACK_LOOPS_MAX	     4096
#define STACK_UNSEEN_MAX     32

struct stack {
	const struct system *system;
	struct reader *reader;
	struct graph graph;
	struct mount *mounts;
	uint32_t mount_count, mount_max;
	uint32_t detached; /* FUSE connections without a mount that is seen */
	struct mount_namespace namespaces[STACK_NAMESPACES_MAX]; /* whose mounts were read */
	uint32_t namespace_count;
	const char *unseen[STACK_UNSEEN_MAX]; /* sentences without a full stop */
	uint32_t unseen_count;
	const char *cgroup2; /* where control groups of version 2 are mounted, or "" */
	struct loop *loops;  /* see loops.c */
	uint32_t loop_count;
	struct sockets *sockets; /* read when there is a network block device */
	pid_t late[64];		 /* processes whose files in /proc hang */
	uint32_t late_count;
	bool is_blind;	    /* so many hang that it isn't known which others do */
	bool without_forks; /* less is read: no libraries, no word of loop devices */
};

/* Returns 0 or -errno. Starts threads. SYSTEM must live as long as STACK. */
int stack_create(struct stack *stack, const struct system *system);
void stack_destroy(struct stack *stack);

/* Forgets all that was read, and keeps the memory. */
void stack_clear(struct stack *stack);

/*
 * Reads everything. STACK is new or clear. Returns 0 or -errno if /proc or /sys can't be read at
 * all.
 */
int stack_scan(struct stack *stack);

/* Notes once that something couldn't be seen. */
void stack_unseen(struct stack *stack, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * The mount of namespace NS on which the absolute path PATH lies, by its text; the topmost one if
 * there are several. NULL if there is none.
 */
const struct mount *stack_mount_of(const struct stack *stack, uint64_t ns, const char *path);

/* The filesystem on which PATH of our namespace lies, or GRAPH_NONE. */
uint32_t stack_filesystem_of(const struct stack *stack, const char *path);

/*
 * The mount of the file that process PID has open as FD, by its number, as other mounts may hide
 * the file from its path. NULL if it isn't known.
 */
const struct mount *stack_mount_of_fd(const struct stack *stack, pid_t pid, const char *fd);

/* The same by TEXT, the beginning of that descriptor's fdinfo. */
const struct mount *stack_mount_of_fdinfo(const struct stack *stack, const char *text);

/* The mount with ID, or NULL. */
const struct mount *stack_mount(const struct stack *stack, uint32_t id);

/* What the files of stack/ do for stack_scan(), in this order. */
int stack_read_mounts(struct stack *stack, pid_t pid, uint64_t ns); /* PID 0: ours */
int stack_read_namespaces(struct stack *stack);			    /* others, of all processes */
void stack_count_detached(struct stack *stack);
void stack_read_loops(struct stack *stack);
void stack_link_mounts(struct stack *stack, pid_t pid, uint64_t ns); /* what these lie on */
void stack_read_swaps(struct stack *stack);
void stack_read_devices(struct stack *stack); /* those that hold something, mounted or not */
int stack_read_servers(struct stack *stack);
void stack_read_needs(struct stack *stack, uint32_t process); /* of each server */

/*
 * The node of a block device, which this describes, with what it lies on, when it is new.
 * GRAPH_NONE if there is no such device or no room.
 */
uint32_t stack_device(struct stack *stack, dev_t dev);

/* The same for a name such as "/dev/sda1" or "/dev/mapper/x", or GRAPH_NONE. */
uint32_t stack_device_named(struct stack *stack, const char *path);

/* The number of a block device by its name, without a look at /dev. Returns 0 or -errno. */
int stack_device_number(const struct stack *stack, const char *path, dev_t *ret_dev);

/*
 * Finds what OBJECT means: a block device (/dev/NAME, also by a symlink), a swap area, or any path,
 * for the filesystem that it is on. Symlinks are followed only on filesystems that can't hang
 * (stack_is_local()). Returns GRAPH_NONE if nothing is known there.
 */
uint32_t stack_find(struct stack *stack, const char *object);

/* Finds or adds process PID, with what it needs. GRAPH_NONE if there is none. */
uint32_t stack_process(struct stack *stack, pid_t pid);

/* NODE is served by the machine at ADDRESS, by the protocol TYPE. */
void stack_serve_remotely(struct stack *stack, uint32_t node, const char *address, const char *type,
			  const char *evidence);

/* NODE is served by a Ceph cluster with MONITORS, "ADDRESS:PORT,…", which is overwritten. */
void stack_serve_by_monitors(struct stack *stack, uint32_t node, char *monitors,
			     const char *evidence);

/* Finds the machine that serves the device NODE, if it is a network's. */
void stack_link_remote_device(struct stack *stack, uint32_t node, dev_t dev);

/*
 * The kernel names a FUSE connection by the device number of its filesystem, as it has it itself.
 * The major number is 0, but of fuseblk.
 */
static inline dev_t stack_fuse_dev(unsigned connection)
{
	return makedev(connection >> 20, connection & 0xfffff);
}

/* The other way round. */
static inline unsigned stack_fuse_connection(dev_t dev)
{
	return major(dev) << 20 | minor(dev);
}

/* Whether a process serves this filesystem through /dev/fuse. */
bool stack_is_fuse(const struct node *node);

/* Whether the files of process PID in /proc were found to hang. */
bool stack_hangs(const struct stack *stack, pid_t pid);

/* Whether it is known who serves NODE. */
bool stack_has_server(const struct stack *stack, uint32_t node);

/* Whether all that NODE needs is in the kernel and hardware of this machine. */
bool stack_is_local(const struct stack *stack, uint32_t node);

#endif
