/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine for tests of stack/: a directory stands for "/". It has XFS on a loop device on a file
 * that a FUSE server, process 100, has on ext4.
 */
#ifndef CAISSON_TEST_MACHINE_FIXTURE_H
#define CAISSON_TEST_MACHINE_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "stack/system.h"
#include "test.h"

/* The flags of a task that is marked, and of one that isn't. */
#define MARKED	 "1573184" /* 0x180140 */
#define UNMARKED "4194560"

static char root[] = "/tmp/caisson-machine.XXXXXX";
static struct system_root {
	struct system system;
} machine;

static char path[PATH_MAX];

/* The path of NAME below the root, with the directories that it takes. */
static const char *below(const char *name)
{
	int len = snprintf(path, sizeof(path), "%s/%s", root, name);

	CHECK(len < (int)sizeof(path));
	for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
		*at = '/';
	}
	return path;
}

static void file(const char *name, const char *text)
{
	FILE *out = fopen(below(name), "we");

	CHECK(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

static void symlink_to(const char *name, const char *target)
{
	(void)unlink(below(name));
	CHECK(symlink(target, below(name)) == 0);
}

/* A task of process PID in STATE, which was on a CPU so many times. */
static void task_that_ran(int pid, int tid, char state, const char *flags, unsigned runs)
{
	char name[64], text[256];

	(void)snprintf(name, sizeof(name), "proc/%d/task/%d/stat", pid, tid);
	(void)snprintf(text, sizeof(text), "%d (a) b) %c 1 1 1 0 -1 %s 0 0 0 0\n", tid, state,
		       flags);
	file(name, text);
	(void)snprintf(name, sizeof(name), "proc/%d/task/%d/status", pid, tid);
	(void)snprintf(text, sizeof(text),
		       "Name:\ta) b\nState:\t%c (any)\nPid:\t%d\nThreads:\t2\n"
		       "voluntary_ctxt_switches:\t%u\nnonvoluntary_ctxt_switches:\t0\n",
		       state, tid, runs);
	file(name, text);
}

static void task_in(int pid, int tid, char state, const char *flags)
{
	task_that_ran(pid, tid, state, flags, 1);
}

static void task(int pid, int tid, const char *flags)
{
	task_in(pid, tid, 'S', flags);
}

static void device(const char *name, unsigned major, unsigned minor)
{
	char at[128], target[128], text[32];

	(void)snprintf(at, sizeof(at), "sys/devices/%s/dev", name);
	(void)snprintf(text, sizeof(text), "%u:%u\n", major, minor);
	file(at, text);
	(void)snprintf(at, sizeof(at), "sys/dev/block/%u:%u", major, minor);
	(void)snprintf(target, sizeof(target), "../../devices/%s", name);
	symlink_to(at, target);
	(void)snprintf(at, sizeof(at), "sys/class/block/%s", name);
	symlink_to(at, target);
}

#define MOUNTS                                                                                     \
	"20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"                                           \
	"21 20 0:5 / /proc rw - proc proc rw\n"                                                    \
	"30 20 0:50 / /mnt/with\\040blank rw - fuse.server /srv rw,user_id=0\n"                    \
	"31 20 7:0 / /mnt/top rw shared:1 - xfs /dev/loop0 rw,logbufs=8\n"

/* Makes the healthy machine anew. */
static void set_up(void)
{
	char command[PATH_MAX];

	(void)snprintf(command, sizeof(command), "rm -rf %s/*", root);
	CHECK(system(command) == 0);
	file("proc/self/mountinfo", MOUNTS);
	file("proc/swaps", "Filename Type Size Used Priority\n");
	symlink_to("proc/self/ns/mnt", "mnt:[1]");
	device("sda1", 8, 1);
	file("sys/devices/sda1/partition", "1\n");
	device("loop0", 7, 0);
	file("sys/devices/loop0/loop/backing_file", "/mnt/with blank/image\n");
	file("sys/devices/loop0/loop/dio", "1\n");

	symlink_to("proc/100/ns/mnt", "mnt:[1]");
	file("proc/100/comm", "server\n");
	symlink_to("proc/100/fd/3", "/dev/fuse");
	file("proc/100/fdinfo/3", "pos:\t0\nmnt_id:\t24\nfuse_connection:\t50\n");
	symlink_to("proc/100/fd/4", "/srv");
	file("proc/100/fdinfo/4", "pos:\t0\nmnt_id:\t20\n");
	symlink_to("proc/100/exe", "/usr/sbin/server");
	symlink_to("proc/100/cwd", "/");
	file("proc/100/status", "Name:\tserver\nState:\tS (any)\nPid:\t100\nVmLck:\t  900 kB\n"
				"VmRSS:\t  800 kB\nThreads:\t2\n");
	file("proc/100/oom_score_adj", "-1000\n");
	file("proc/100/cgroup", "0::/system.slice/server.service\n");
	task(100, 100, MARKED);
	task(100, 101, MARKED);
}

static void make_machine(void)
{
	CHECK(mkdtemp(root));
	machine.system.root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(machine.system.root_fd >= 0);
}

static void remove_machine(void)
{
	(void)snprintf(path, sizeof(path), "rm -rf %s", root);
	CHECK(system(path) == 0);
}

#endif
