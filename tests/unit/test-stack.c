/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The storage stack as /proc and /sys show it, and its judgement: each case plants one fault in a
 * healthy machine, and finds that one.
 */
#include <sched.h>
#include <stdarg.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "stack/judge.h"
#include "stack/stack.h"
#include "machine-fixture.h"

/* A command line of three arguments. */
static void arguments(const char *name, const char *first, const char *second, const char *third)
{
	FILE *out = fopen(below(name), "we");

	CHECK(out && fprintf(out, "%s%c%s%c%s%c", first, 0, second, 0, third, 0) > 0);
	CHECK(fclose(out) == 0);
}

static void directory(const char *name)
{
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%s/.", name);
	(void)below(dir);
}

/* By the index of a rule: whether a case has seen its verdict. */
static bool fired[RULES];

static bool has_lost_threads(struct reader *reader)
{
	bool has = false;

	CHECK_EQ(pthread_mutex_lock(&reader->mutex), 0);
	for (uint32_t i = 0; i < reader->threads; i++)
		has |= reader->thread[i].is_lost;
	CHECK_EQ(pthread_mutex_unlock(&reader->mutex), 0);
	return has;
}

/* Lets those go on that wait to open FIFO, or the reader's memory is left to them. */
static void release(struct reader *reader, const char *fifo)
{
	while (has_lost_threads(reader)) {
		autoclose int fd = open(below(fifo), O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		(void)sched_yield();
	}
}

static const char *hanging; /* a FIFO, which hangs who opens it */

/* All verdicts, as "severity rule node, ..." */
static const char *verdicts(void)
{
	static char text[1024];
	static struct judge judge;
	uint8_t asked[64];
	struct stack stack;

	CHECK_EQ(stack_create(&stack, &machine.system), 0);
	CHECK_EQ(stack_scan(&stack), 0);
	CHECK(stack.graph.node_count < sizeof(asked));
	memset(asked, 1, sizeof(asked));
	CHECK_EQ(judge_stack(&judge, &stack, asked), 0);
	text[0] = '\0';
	for (uint32_t i = 0; i < judge.count; i++) {
		const struct verdict *verdict = &judge.verdicts[i];
		size_t len = strlen(text);

		fired[verdict->rule - judge_rule(0)] = true;
		(void)snprintf(text + len, sizeof(text) - len, "%s%s %s %s", i ? ", " : "",
			       severity_name(verdict->severity), verdict->rule->id,
			       stack.graph.nodes[verdict->node].name);
	}
	if (hanging)
		release(stack.reader, hanging);
	stack_destroy(&stack);
	return text;
}

/* Whether KIND leads from UPPER to LOWER, which are named. */
static bool leads(const struct stack *stack, enum edge_kind kind, const char *upper,
		  const char *lower)
{
	for (uint32_t i = 0; i < stack->graph.edge_count; i++) {
		const struct edge *edge = &stack->graph.edges[i];

		if (edge->kind == kind &&
		    strcmp(stack->graph.nodes[edge->upper].name, upper) == 0 &&
		    strcmp(stack->graph.nodes[edge->lower].name, lower) == 0)
			return true;
	}
	return false;
}

static void draws_the_stack(void)
{
	struct stack stack;

	set_up();
	CHECK_EQ(stack_create(&stack, &machine.system), 0);
	CHECK_EQ(stack_scan(&stack), 0);
	CHECK(leads(&stack, EDGE_ON, "/mnt/top", "loop0"));
	CHECK(leads(&stack, EDGE_FILE, "loop0", "/mnt/with blank"));
	CHECK(leads(&stack, EDGE_SERVED, "/mnt/with blank", "server"));
	CHECK(leads(&stack, EDGE_OPEN, "server", "/"));
	CHECK(leads(&stack, EDGE_PROGRAM, "server", "/"));
	CHECK(leads(&stack, EDGE_ON, "/", "sda1"));
	CHECK_EQ(stack.graph.edge_count, 7u);
	CHECK_EQ(stack.unseen_count, 0u);
	CHECK(!stack_is_local(&stack, graph_find(&stack.graph, NODE_DEVICE, makedev(7, 0))));
	CHECK(stack_is_local(&stack, graph_find(&stack.graph, NODE_DEVICE, makedev(8, 1))));
	stack_destroy(&stack);
}

static void finds_nothing_on_a_healthy_machine(void)
{
	set_up();
	CHECK_STR(verdicts(), "");
}

static void judges_marks(void)
{
	set_up();
	task(100, 101, UNMARKED);
	CHECK_STR(verdicts(), "fail partly-marked server");
	task(100, 100, UNMARKED);
	CHECK_STR(verdicts(), "fail unmarked server");
	/* with nothing on it, the same is no more than a remark */
	file("proc/self/mountinfo", "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
				    "30 20 0:50 / /mnt/x rw - fuse.server /srv rw,user_id=0\n");
	CHECK(unlink(below("sys/devices/loop0/loop/backing_file")) == 0);
	CHECK_STR(verdicts(), "info unmarked server");
}

/* A server below another one matters as much as what is stacked on the upper one. */
static void judges_lower_servers(void)
{
	set_up();
	file("proc/self/mountinfo", MOUNTS "40 20 0:60 / /srv rw - fuse.lower /data rw\n");
	file("proc/100/fdinfo/4", "mnt_id:\t40\n");
	file("proc/200/comm", "lower\n");
	symlink_to("proc/200/fd/3", "/dev/fuse");
	file("proc/200/fdinfo/3", "mnt_id:\t24\nfuse_connection:\t60\n");
	task(200, 200, UNMARKED);
	CHECK_STR(verdicts(), "fail unmarked lower");
	/* it has no connection, and this kernel tells of which each is */
	symlink_to("proc/300/fd/3", "/dev/fuse");
	file("proc/300/fdinfo/3", "mnt_id:\t24\n");
	CHECK(unlink(below("proc/200/fd/3")) == 0);
	CHECK_STR(verdicts(), "warn not-seen /srv");
}

static void judges_memory(void)
{
	set_up();
	file("proc/100/status", "Name:\tserver\nVmLck:\t  0 kB\nVmRSS:\t  800 kB\n");
	CHECK_STR(verdicts(), "warn unlocked server");
	set_up();
	file("proc/100/oom_score_adj", "0\n");
	CHECK_STR(verdicts(), "warn oom-killable server");
}

static void judges_states(void)
{
	set_up();
	task_in(100, 100, 'T', MARKED);
	CHECK_STR(verdicts(), "fail stopped server");
}

static void judges_control_groups(void)
{
	set_up();
	file("sys/fs/cgroup/system.slice/server.service/memory.max", "max\n");
	file("sys/fs/cgroup/system.slice/server.service/io.max", "\n");
	file("sys/fs/cgroup/system.slice/server.service/cgroup.freeze", "0\n");
	CHECK_STR(verdicts(), "");
	file("sys/fs/cgroup/system.slice/memory.max", "1000000\n");
	CHECK_STR(verdicts(), "warn memory-limit server");
	file("sys/fs/cgroup/system.slice/server.service/cgroup.freeze", "1\n");
	CHECK_STR(verdicts(), "fail frozen server, warn memory-limit server");
	set_up();
	file("sys/fs/cgroup/system.slice/server.service/io.max", "8:0 wbps=1000\n");
	CHECK_STR(verdicts(), "warn io-limit server");
	set_up();
	file("proc/self/mountinfo",
	     MOUNTS "25 20 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	file("sys/fs/cgroup/unified/system.slice/server.service/cgroup.freeze", "1\n");
	CHECK_STR(verdicts(), "fail frozen server");
	set_up();
	file("proc/100/cgroup", "5:memory:/a/b\n4:freezer:/\n0::/\n");
	file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	file("sys/fs/cgroup/freezer/freezer.state", "THAWED\n");
	CHECK_STR(verdicts(), "");
	file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "64000000\n");
	CHECK_STR(verdicts(), "warn memory-limit server");
	set_up();
	file("proc/100/cgroup", "0::/user.slice/user-0.slice/session-1.scope\n");
	CHECK_STR(verdicts(), "info suspend server");
}

/* Things that a server needs, on the XFS that depends on it. */
static void judges_needs(void)
{
	set_up();
	symlink_to("proc/100/exe", "/mnt/top/bin/server");
	CHECK_STR(verdicts(), "fail program-above server");
	set_up();
	symlink_to("proc/100/cwd", "/mnt/top");
	CHECK_STR(verdicts(), "fail cwd-above server");
	set_up();
	symlink_to("proc/100/fd/5", "/mnt/top/log");
	file("proc/100/fdinfo/5", "mnt_id:\t31\n");
	CHECK_STR(verdicts(), "fail file-above server");
	set_up();
	symlink_to("proc/100/fd/5", "socket:[77]");
	file("proc/100/net/unix", "Num RefCount Protocol Flags Type St Inode Path\n"
				  "0: 00000002 00000000 00010000 0001 01 76 /mnt/top/other\n"
				  "0: 00000002 00000000 00010000 0001 01 77 /run/own\n"
				  "0: 00000002 00000000 00010000 0001 01 78\n");
	CHECK_STR(verdicts(), "");
	symlink_to("proc/100/fd/5", "socket:[76]");
	CHECK_STR(verdicts(), "fail file-above server");
	set_up();
	file("proc/100/maps", "7f00-7f10 r-xp 00000000 08:01 123    /usr/lib/libc.so.6\n"
			      "7f00-7f10 rw-p 00000000 00:00 0 \n");
	CHECK_STR(verdicts(), "");
	file("proc/100/maps", "7f00-7f10 r-xp 00000000 08:01 123    /mnt/top/libc.so.6\n");
	CHECK_STR(verdicts(), "fail program-above server");
	set_up();
	file("proc/sys/kernel/core_pattern", "/mnt/top/core.%p\n");
	CHECK_STR(verdicts(), "warn core-above server");
	file("proc/100/limits", "Limit  Soft Limit  Hard Limit  Units\n"
				"Max core file size        0       unlimited      bytes\n");
	CHECK_STR(verdicts(), "");
	file("proc/100/limits", "Max core file size        unlimited  unlimited      bytes\n");
	CHECK_STR(verdicts(), "warn core-above server");
	file("proc/sys/kernel/core_pattern", "/var/core.%p\n");
	CHECK_STR(verdicts(), "");
	file("proc/sys/kernel/core_pattern", "|/mnt/top/core\n");
	CHECK_STR(verdicts(), "");
	file("proc/swaps", "Filename Type Size Used Priority\n/mnt/top/swap\tfile\t1000\t0\t-2\n");
	CHECK_STR(verdicts(), "fail swap-above server");
	file("proc/swaps",
	     "Filename Type Size Used Priority\n/mnt/top/a\\040b\tfile\t1000\t0\t-2\n");
	CHECK_STR(verdicts(), "fail swap-above server");
	file("proc/swaps", "Filename Type Size Used Priority\n/swap file 1000 0 -2\n");
	CHECK_STR(verdicts(), "");
}

static void judges_loop_devices(void)
{
	set_up();
	file("sys/devices/loop0/loop/dio", "0\n");
	CHECK_STR(verdicts(), "warn loop-buffered loop0");
	/* on a disk of this machine that does no harm */
	file("sys/devices/loop0/loop/backing_file", "/srv/image\n");
	CHECK(!strstr(verdicts(), "loop-buffered"));
	file("sys/devices/loop0/queue/logical_block_size", "512\n");
	file("sys/devices/sda1/queue/logical_block_size", "512\n");
	CHECK(!strstr(verdicts(), "small-sectors"));
	file("sys/devices/sda1/queue/logical_block_size", "4096\n");
	CHECK(strstr(verdicts(), "warn small-sectors loop0") != NULL);
	file("sys/devices/loop0/queue/logical_block_size", "4096\n");
	CHECK(!strstr(verdicts(), "small-sectors"));
	set_up();
	file("sys/devices/loop0/loop/backing_file", "/mnt/with blank/x (deleted)/image\n");
	CHECK_STR(verdicts(), "");
	file("sys/devices/loop0/loop/backing_file", "/nowhere/image\n");
	file("proc/self/mountinfo", "31 20 7:0 / /mnt/top rw shared:1 - xfs /dev/loop0 rw\n");
	CHECK_STR(verdicts(), "warn not-seen loop0");
	set_up();
	file("sys/devices/loop0/loop/backing_file", "/mnt/with blank/image (deleted)\n");
	CHECK_STR(verdicts(), "warn loop-deleted loop0");
}

static void judges_timeouts(void)
{
	set_up();
	file("proc/sys/fs/fuse/default_request_timeout", "0\n");
	file("proc/sys/fs/fuse/max_request_timeout", "0\n");
	CHECK_STR(verdicts(), "");
	file("proc/sys/fs/fuse/max_request_timeout", "30\n");
	CHECK_STR(verdicts(), "warn request-timeout /mnt/with blank");
}

static void judges_peers(void)
{
	static const char nfs[] = "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
				  "40 20 0:60 / /mnt/nfs rw - nfs4 host:/x rw,addr=%s\n";
	char text[256];

	set_up();
	(void)snprintf(text, sizeof(text), nfs, "192.0.2.7");
	file("proc/self/mountinfo", text);
	CHECK(unlink(below("sys/devices/loop0/loop/backing_file")) == 0);
	file("proc/net/fib_trie", "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.8\n"
				  "        /32 host LOCAL\n     |-- 192.0.2.7\n"
				  "        /32 link BROADCAST\n");
	CHECK_STR(verdicts(), "");
	file("proc/net/fib_trie", "Local:\n     |-- 192.0.2.7\n        /32 host LOCAL\n");
	CHECK_STR(verdicts(), "warn served-here 192.0.2.7");
	(void)snprintf(text, sizeof(text), nfs, "2001:db8::1");
	file("proc/self/mountinfo", text);
	CHECK_STR(verdicts(), "");
	file("proc/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80 eth0\n");
	CHECK_STR(verdicts(), "warn served-here 2001:db8::1");
	(void)snprintf(text, sizeof(text), nfs, "127.0.0.1");
	file("proc/self/mountinfo", text);
	CHECK_STR(verdicts(), "warn served-here 127.0.0.1");
}

/* The machine has storage of the machines 192.0.2.7 and ::7, of several kinds. */
static void set_up_peers(void)
{
	set_up();
	file("proc/self/mountinfo",
	     MOUNTS "40 20 0:60 / /mnt/old rw - ceph 192.0.2.7:6789,[::7]:6789:/ rw\n"
		    "41 20 0:61 / /mnt/new rw - ceph a@b.c=/ rw,mon_addr=192.0.2.7:3300/[::7]:1\n"
		    "42 20 251:0 / /mnt/rbd rw - ext4 /dev/rbd3 rw\n"
		    "43 20 259:0 / /mnt/one rw - ext4 /dev/nvme0n1 rw\n"
		    "44 20 259:1 / /mnt/many rw - ext4 /dev/nvme1n1 rw\n"
		    "45 20 259:2 / /mnt/pci rw - ext4 /dev/nvme2n1 rw\n"
		    "46 20 8:16 / /mnt/iscsi rw - ext4 /dev/sdb rw\n");
	device("rbd3", 251, 0);
	file("sys/bus/rbd/devices/3/config_info",
	     "192.0.2.7:6789,[::7]:6789 name=admin,key=client.admin rbd image -\n");
	device("nvme0n1", 259, 0);
	file("sys/devices/nvme0n1/device/transport", "tcp\n");
	file("sys/devices/nvme0n1/device/address", "traddr=192.0.2.7,trsvcid=4420\n");
	/* a subsystem with two controllers, in which its namespaces are, too */
	device("nvme1n1", 259, 1);
	file("sys/devices/nvme1n1/device/nvme1/transport", "tcp\n");
	file("sys/devices/nvme1n1/device/nvme1/address", "trsvcid=4420,traddr=192.0.2.7\n");
	file("sys/devices/nvme1n1/device/nvme2/transport", "rdma\n");
	file("sys/devices/nvme1n1/device/nvme2/address", "traddr=::7,src_addr=::1\n");
	file("sys/devices/nvme1n1/device/nvme1n1/size", "8\n");
	device("nvme2n1", 259, 2);
	file("sys/devices/nvme2n1/device/transport", "pcie\n");
	file("sys/devices/nvme2n1/device/address", "0000:00:04.0\n");
	device("sdb", 8, 16);
	CHECK(unlink(below("sys/dev/block/8:16")) == 0);
	symlink_to("sys/dev/block/8:16", "../../devices/host2/session5/sdb");
	file("sys/devices/host2/session5/sdb/size", "8\n");
	file("sys/class/iscsi_connection/connection5:0/persistent_address", "192.0.2.7\n");
}

static void finds_peers(void)
{
	static const struct {
		const char *upper;
		bool has_first, has_second;
	} expected[] = {
		{ "/mnt/old", true, true }, { "/mnt/new", true, true }, { "rbd3", true, true },
		{ "nvme0n1", true, false }, { "nvme1n1", true, true },	{ "nvme2n1", false, false },
		{ "sdb", true, false },
	};
	struct stack stack;

	set_up_peers();
	CHECK_EQ(stack_create(&stack, &machine.system), 0);
	CHECK_EQ(stack_scan(&stack), 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		CHECK_EQ(leads(&stack, EDGE_SERVED, expected[i].upper, "192.0.2.7"),
			 expected[i].has_first);
		CHECK_EQ(leads(&stack, EDGE_SERVED, expected[i].upper, "::7"),
			 expected[i].has_second);
	}
	stack_destroy(&stack);
}

/* A server of a disk: a filesystem of type fuseblk has the disk's number, and its server. */
static void finds_fuseblk(void)
{
	struct stack stack;

	set_up();
	file("proc/self/mountinfo", MOUNTS "40 20 8:16 / /mnt/n rw - fuseblk /dev/sdb rw\n");
	device("sdb", 8, 16);
	file("proc/300/comm", "ntfs-3g\n");
	symlink_to("proc/300/fd/5", "/dev/fuse");
	file("proc/300/fdinfo/5", "mnt_id:\t24\nfuse_connection:\t8388624\n"); /* 8 << 20 | 16 */
	CHECK_EQ(stack_create(&stack, &machine.system), 0);
	CHECK_EQ(stack_scan(&stack), 0);
	CHECK(leads(&stack, EDGE_ON, "/mnt/n", "sdb"));
	CHECK(leads(&stack, EDGE_SERVED, "/mnt/n", "ntfs-3g"));
	stack_destroy(&stack);
}

/* A thread of the server waits in the disk for its end. Others have it open, too. */
static void finds_nbd(void)
{
	set_up();
	file("proc/self/mountinfo", MOUNTS "40 20 43:0 / /mnt/n rw - ext4 /dev/nbd0 rw\n");
	device("nbd0", 43, 0);
	CHECK_STR(verdicts(), "warn not-seen nbd0");
	file("sys/devices/nbd0/pid", "301\n");
	file("proc/300/comm", "qemu-nbd\n");
	symlink_to("proc/300/fd/9", "/dev/nbd0");
	task(300, 300, UNMARKED);
	file("proc/300/task/301/comm", "qemu-nbd\n");
	symlink_to("proc/400/fd/9", "/dev/nbd0");
	task(400, 400, UNMARKED);
	CHECK_STR(verdicts(), "fail unmarked qemu-nbd");
}

/* A connection in /proc/net/tcp, from port A to port B, of which INODE is the near end. */
#define CONNECTION(a, b, inode)                                                                    \
	"   1: 0100007F:" a " 0100007F:" b " 01 00000000:00000000 00:00000000 00000000     0"      \
	"        0 " inode " 1 0 20 4 30 10 -1\n"

static void add_process(int pid, const char *name, const char *fd, const char *link)
{
	char at[64];

	(void)snprintf(at, sizeof(at), "proc/%d/comm", pid);
	file(at, name);
	(void)snprintf(at, sizeof(at), "proc/%d/fd/%s", pid, fd);
	symlink_to(at, link);
	task(pid, pid, UNMARKED);
}

/* A network block device whose client isn't there, and PID 300 with one end of a connection. */
static void set_up_nbd(void)
{
	set_up();
	file("proc/self/mountinfo", MOUNTS "40 20 43:0 / /mnt/n rw - ext4 /dev/nbd0 rw\n");
	device("nbd0", 43, 0);
	file("sys/devices/nbd0/pid", "301\n");
	symlink_to("proc/self/ns/pid", "pid:[4026531836]");
	file("proc/1/comm", "init\n");
	file("proc/net/tcp", CONNECTION("9C40", "2A39", "71") CONNECTION("2A39", "9C40", "72"));
	add_process(300, "nbdkit\n", "9", "socket:[72]");
}

/* The client has left its connection to the kernel: the server is who has the other end. */
static void finds_nbd_servers(void)
{
	set_up_nbd();
	CHECK_STR(verdicts(), "fail unmarked nbdkit");
	/* as IPv6 has it */
	file("proc/net/tcp", CONNECTION("9C40", "2A39", "71"));
	file("proc/net/tcp6", "   0: 0000000000000000FFFF00000100007F:2A39 "
			      "0000000000000000FFFF00000100007F:9C40 01 0:0 00:0 0 0 0 72 1\n");
	CHECK_STR(verdicts(), "fail unmarked nbdkit");
	/* it isn't accepted yet, so whose it will be isn't known */
	file("proc/net/tcp", CONNECTION("9C40", "2A39", "0"));
	CHECK_STR(verdicts(), "warn not-seen nbd0");
	/* another process has the other end */
	set_up_nbd();
	add_process(400, "other\n", "9", "socket:[71]");
	CHECK_STR(verdicts(), "warn not-seen nbd0");
	/* one that isn't seen may */
	set_up_nbd();
	symlink_to("proc/self/ns/pid", "pid:[4026532000]");
	CHECK_STR(verdicts(), "warn not-seen nbd0");
	/* the kernel has one with another process, too */
	set_up_nbd();
	file("proc/net/tcp6", CONNECTION("1", "2", "81") CONNECTION("2", "1", "82"));
	add_process(400, "other\n", "9", "socket:[82]");
	CHECK_STR(verdicts(), "warn not-seen nbd0");
	/* or with another machine */
	set_up_nbd();
	file("proc/net/tcp6", CONNECTION("1", "2", "81"));
	CHECK_STR(verdicts(), "warn not-seen nbd0");
}

/* The client waits in the disk: the server is who it has its connection with. */
static void finds_servers_of_nbd_clients(void)
{
	set_up_nbd();
	add_process(400, "client\n", "8", "/dev/nbd0");
	file("proc/400/task/301/comm", "client\n");
	CHECK_STR(verdicts(), "fail unmarked client"); /* it has none that is known */
	symlink_to("proc/400/fd/9", "socket:[71]");
	CHECK_STR(verdicts(), "fail unmarked client, fail unmarked nbdkit");
	/* its messages go to another process */
	file("proc/net/tcp6", CONNECTION("1", "2", "81") CONNECTION("2", "1", "82"));
	symlink_to("proc/400/fd/2", "socket:[81]");
	add_process(500, "journal\n", "9", "socket:[82]");
	CHECK_STR(verdicts(), "fail unmarked client, fail unmarked nbdkit");
	/* it is the server itself, as qemu-nbd */
	symlink_to("proc/400/fd/10", "socket:[91]");
	symlink_to("proc/400/fd/11", "socket:[92]");
	file("proc/net/tcp", CONNECTION("3", "4", "91") CONNECTION("4", "3", "92"));
	CHECK_STR(verdicts(), "fail unmarked client");
}

/* A disk that tcmu-runner serves, below an ext4. */
static void finds_tcmu(void)
{
	set_up();
	file("proc/self/mountinfo", MOUNTS "40 20 8:16 / /mnt/t rw - ext4 /dev/sdb rw\n");
	device("sdb", 8, 16);
	file("sys/devices/sdb/device/model", "TCMU device     \n");
	CHECK_STR(verdicts(), "warn not-seen sdb");
	file("proc/300/comm", "tcmu-runner\n");
	symlink_to("proc/300/fd/9", "/dev/uio0");
	task(300, 300, UNMARKED);
	file("sys/class/uio/uio0/name", "tcm-user/1/zbc0/zbc//file\n");
	CHECK_STR(verdicts(), "warn not-seen sdb");
	file("sys/kernel/config/target/loopback/naa.5/tpgt_1/address", "2:0:1\n");
	symlink_to("sys/kernel/config/target/loopback/naa.5/tpgt_1/lun/lun_0/port",
		   "../../../../../../target/core/user_1/zbc0");
	directory("sys/bus/scsi/devices/2:0:1:0/block/sdb");
	CHECK_STR(verdicts(), "fail unmarked tcmu-runner");
	file("sys/class/uio/uio0/name", "tcm-user/1/zbc00/zbc//file\n");
	CHECK_STR(verdicts(), "warn not-seen sdb");
}

static void judges_images(void)
{
	char text[256];
	struct statfs fs;
	struct stat st;

	set_up();
	/* the image is on the filesystem that the files of this machine are on */
	CHECK(stat(root, &st) == 0);
	(void)snprintf(text, sizeof(text), "20 1 %u:%u / / rw - ext4 /dev/sda1 rw\n",
		       major(st.st_dev), minor(st.st_dev));
	file("proc/self/mountinfo", text);
	file("sys/devices/loop0/loop/backing_file", "/srv/image\n");
	file("srv/image", "");
	CHECK(truncate(below("srv/image"), 1 << 20) == 0);
	CHECK_STR(verdicts(), "");
	CHECK(statfs(below("srv/image"), &fs) == 0);
	CHECK(truncate(path, (off_t)(fs.f_bavail + 1000) * fs.f_bsize) == 0);
	CHECK_STR(verdicts(), "warn sparse-image loop0");
	file("sys/devices/loop0/loop/backing_file", "/srv/image (deleted)\n");
	CHECK_STR(verdicts(), "warn loop-deleted loop0");
	CHECK(symlink("image", below("srv/link")) == 0);
	file("sys/devices/loop0/loop/backing_file", "/srv/link\n");
	CHECK_STR(verdicts(), "");
	set_up();
	file("proc/self/mountinfo", MOUNTS "40 20 8:2 / /mnt/a rw - ext4 /dev/sda2 rw,barrier=1\n");
	CHECK_STR(verdicts(), "");
	file("proc/self/mountinfo", MOUNTS "40 20 8:2 / /mnt/a rw - ext4 /dev/sda2 rw,nobarrier\n");
	CHECK_STR(verdicts(), "warn no-barriers /mnt/a");
}

/* A cache that the disk tells of, and the kernel was told not to flush. */
static void judges_caches(void)
{
	set_up();
	file("sys/devices/sda1/cache_type", "write back\n");
	CHECK_STR(verdicts(), "");
	file("sys/devices/sda1/queue/write_cache", "write back\n");
	CHECK_STR(verdicts(), "");
	file("sys/devices/sda1/queue/write_cache", "write through\n");
	CHECK_STR(verdicts(), "warn no-flushes sda1");
	file("sys/devices/sda1/cache_type", "write through\n");
	CHECK_STR(verdicts(), "");
	file("sys/devices/sda1/device/scsi_disk/2:0:0:0/cache_type", "write through\n");
	CHECK_STR(verdicts(), "");
	file("sys/devices/sda1/device/scsi_disk/2:0:0:0/cache_type",
	     "write back, no read (daft)\n");
	CHECK_STR(verdicts(), "warn no-flushes sda1");
}

/* Files of which the kernel takes locks that can be held for ever. */
static void outlives_files_that_hang(void)
{
	static const struct {
		const char *file, *verdicts;
	} cases[] = {
		{ "proc/100/cgroup", "warn not-seen server" },
		{ "sys/devices/sda1/queue/write_cache", "" },
		{ "sys/devices/loop0/queue/logical_block_size", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up();
		file("sys/devices/sda1/cache_type", "write back\n");
		hanging = cases[i].file;
		(void)unlink(below(hanging));
		CHECK(mkfifo(below(hanging), 0600) == 0);
		CHECK_STR(verdicts(), cases[i].verdicts);
		hanging = NULL;
	}
}

static void judges_kernels(void)
{
	static const char ring[] = "anon_inode:[io_uring]";

	set_up();
	symlink_to("proc/100/fd/5", ring);
	file("proc/version", "Linux version 6.18.44 (a@b) (gcc 12.2.0) #1 SMP\n");
	CHECK_STR(verdicts(), "");
	file("proc/version", "Linux version 6.1.0-57-amd64 (debian-kernel) (gcc-12 (Debian "
			     "12.2.0-14) 12.2.0) #1 SMP Debian 6.1.187-1 (2026-01-01)\n");
	CHECK_STR(verdicts(), "");
	file("proc/version", "Linux version 6.1.0-25-amd64 (debian-kernel) (gcc-12 (Debian "
			     "12.2.0-14) 12.2.0) #1 SMP Debian 6.1.106-1 (2024-01-01)\n");
	CHECK_STR(verdicts(), "warn kernel-bug server");
	/* built by others with Debian's compiler */
	file("proc/version", "Linux version 6.5.13-5-pve (build@x) (gcc (Debian 12.2.0-14) "
			     "12.2.0) #1 SMP PREEMPT_DYNAMIC PMX 6.5.13-5 (2024-04-05)\n");
	CHECK_STR(verdicts(), "warn kernel-bug server");
	file("proc/version", "Linux version 6.6.31+rpt-rpi-v8 (a@b) (gcc-12 (Debian 12.2.0-14) "
			     "12.2.0) #1 SMP PREEMPT Debian 1:6.6.31-1+rpt1 (2024-05-29)\n");
	CHECK_STR(verdicts(), "warn kernel-bug server");
	CHECK(unlink(below("proc/100/fd/5")) == 0);
	CHECK_STR(verdicts(), "");
	file("proc/version", "Linux version 5.4.0 (a@b) (gcc (Debian 12.2.0-14) 12.2.0) #1 SMP\n");
	CHECK_STR(verdicts(), "fail kernel-bug server, warn kernel-bug /mnt/top");
}

/* Kernels whose fdinfo doesn't tell the connection. */
static void guesses_servers(void)
{
	set_up();
	file("proc/100/fdinfo/3", "pos:\t0\nmnt_id:\t24\n");
	task(100, 101, UNMARKED);
	CHECK_STR(verdicts(), "fail partly-marked server");
	/* another FUSE mount, which somebody else may serve */
	file("proc/self/mountinfo", MOUNTS "32 20 0:51 / /mnt/other rw - fuse.other x rw\n");
	CHECK_STR(verdicts(), "warn not-seen /mnt/with blank, warn not-seen /mnt/other");
	arguments("proc/100/cmdline", "server", "-f", "/mnt/with blank");
	CHECK_STR(verdicts(), "fail partly-marked server, warn not-seen /mnt/other");
	symlink_to("proc/200/fd/3", "/dev/fuse");
	file("proc/200/fdinfo/3", "mnt_id:\t24\n");
	file("proc/200/comm", "other\n");
	task(200, 200, MARKED);
	arguments("proc/200/cmdline", "other", "x", "./other");
	CHECK_STR(verdicts(), "fail partly-marked server");
	arguments("proc/200/cmdline", "other", "x", "/other");
	CHECK_STR(verdicts(), "fail partly-marked server, warn not-seen /mnt/other");
	arguments("proc/200/cmdline", "other", "--export", "type=fuse,mountpoint=/mnt/other,id=x");
	CHECK_STR(verdicts(), "fail partly-marked server");
	arguments("proc/200/cmdline", "other", "-o", "lowerdir=/mnt/other,mountpoint=/mnt/others");
	CHECK_STR(verdicts(), "fail partly-marked server, warn not-seen /mnt/other");
}

static void finds_cycles(void)
{
	set_up();
	file("sys/devices/loop0/loop/backing_file", "/mnt/top/image\n");
	CHECK_STR(verdicts(), "fail cycle /mnt/top");
}

static void reads_layers(void)
{
	struct stack stack;

	set_up();
	file("proc/self/mountinfo",
	     MOUNTS "50 20 0:70 / /mnt/o rw - overlay o rw,"
		    "lowerdir=/mnt/top/a:/mnt/with\\040blank/\\:x,upperdir=/c\n"
		    "52 20 0:72 / /mnt/t rw - tmpfs /dev/sda1 rw\n"
		    "51 20 0:71 / /mnt/b rw - btrfs /dev/sda1 rw\n");
	directory("sys/fs/btrfs/features");
	file("sys/fs/btrfs/1234/devices/sda1/x", "");
	file("sys/fs/btrfs/1234/devices/loop0/x", "");
	CHECK_EQ(stack_create(&stack, &machine.system), 0);
	CHECK_EQ(stack_scan(&stack), 0);
	CHECK(leads(&stack, EDGE_FILE, "/mnt/o", "/mnt/top"));
	CHECK(leads(&stack, EDGE_FILE, "/mnt/o", "/mnt/with blank"));
	CHECK(leads(&stack, EDGE_FILE, "/mnt/o", "/"));
	CHECK(!leads(&stack, EDGE_ON, "/mnt/t", "sda1"));
	CHECK(leads(&stack, EDGE_ON, "/mnt/b", "sda1"));
	CHECK(leads(&stack, EDGE_ON, "/mnt/b", "loop0"));
	stack_destroy(&stack);
}

/* Each rule has fired in a case above; finds_nothing_on_a_healthy_machine() has none of them. */
static void tests_all_rules(void)
{
	for (uint32_t i = 0; i < RULES; i++) {
		if (!fired[i])
			test_fail(__FILE__, __LINE__, judge_rule(i)->id, " has no case");
	}
}

int main(void)
{
	make_machine();
	RUN(draws_the_stack);
	RUN(finds_nothing_on_a_healthy_machine);
	RUN(judges_marks);
	RUN(judges_lower_servers);
	RUN(judges_memory);
	RUN(judges_states);
	RUN(judges_control_groups);
	RUN(judges_needs);
	RUN(judges_loop_devices);
	RUN(judges_timeouts);
	RUN(judges_peers);
	RUN(finds_peers);
	RUN(finds_fuseblk);
	RUN(finds_nbd);
	RUN(finds_nbd_servers);
	RUN(finds_servers_of_nbd_clients);
	RUN(finds_tcmu);
	RUN(judges_images);
	RUN(judges_caches);
	RUN(outlives_files_that_hang);
	RUN(judges_kernels);
	RUN(guesses_servers);
	RUN(finds_cycles);
	RUN(reads_layers);
	RUN(tests_all_rules);
	remove_machine();
	return test_result();
}
