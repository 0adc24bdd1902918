/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Callers' identities, as the kernel sees the thread: ids, groups, capabilities, and back again. */
#include "store/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test.h"

enum { UID = 61001, GID = 61002 };

/* What /proc says of the calling thread. */
struct identity {
	unsigned fsuid, fsgid;
	uint64_t effective;
	int groups;
	unsigned group[CREDS_GROUPS + 1];
};

static struct identity identity(void)
{
	static char line[64 * 1024];
	struct identity id = { .fsuid = 1234567 };
	FILE *status = fopen("/proc/thread-self/status", "re");

	CHECK(status != NULL);
	while (fgets(line, sizeof(line), status)) {
		(void)sscanf(line, "Uid: %*u %*u %*u %u", &id.fsuid);
		(void)sscanf(line, "Gid: %*u %*u %*u %u", &id.fsgid);
		(void)sscanf(line, "CapEff: %" SCNx64, &id.effective);
		if (strncmp(line, "Groups:", 7) == 0) {
			int used;

			for (char *at = line + 7;
			     sscanf(at, " %u%n", &id.group[id.groups], &used) == 1; at += used)
				CHECK(++id.groups <= CREDS_GROUPS);
		}
	}
	CHECK(fclose(status) == 0);
	return id;
}

static void check_same(const struct identity *a, const struct identity *b)
{
	CHECK_EQ(a->fsuid, b->fsuid);
	CHECK_EQ(a->fsgid, b->fsgid);
	CHECK_EQ(a->effective, b->effective);
	CHECK_EQ(a->groups, b->groups);
	CHECK_MEM(a->group, b->group, (size_t)a->groups * sizeof(a->group[0]));
}

static uint64_t cap(unsigned number)
{
	return 1ull << number;
}

static bool can_act(void)
{
	if (creds_act_for_callers())
		return true;
	SKIP("CAP_SETUID and CAP_SETGID");
	return false;
}

/* A process with UID, GID and COUNT groups 7000, 7001 … that waits to be ended. */
struct client {
	pid_t pid;
	int end_fd;
};

static struct client client_start(int count)
{
	static gid_t groups[4096];
	int ready[2], end[2];
	struct client client;
	char byte;

	CHECK(pipe2(ready, O_CLOEXEC) == 0);
	CHECK(pipe2(end, O_CLOEXEC) == 0);
	client.pid = fork();
	CHECK(client.pid >= 0);
	if (client.pid == 0) {
		CHECK(close(end[1]) == 0);
		for (int i = 0; i < count; i++)
			groups[i] = (gid_t)(7000 + i);
		CHECK(setgroups((size_t)count, groups) == 0);
		CHECK(setresgid(GID, GID, GID) == 0);
		CHECK(setresuid(UID, UID, UID) == 0);
		CHECK(write(ready[1], "", 1) == 1);
		(void)!read(end[0], &byte, 1);
		_exit(0);
	}
	CHECK(close(ready[1]) == 0);
	CHECK(close(end[0]) == 0);
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(close(ready[0]) == 0);
	client.end_fd = end[1];
	return client;
}

static void client_end(const struct client *client)
{
	int status;

	CHECK(close(client->end_fd) == 0);
	CHECK(waitpid(client->pid, &status, 0) == client->pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static struct caller caller_of(pid_t pid)
{
	return (struct caller){
		.uid = UID, .gid = GID, .pid = (uint32_t)pid, .supp_gid = UINT32_MAX
	};
}

static void takes_on_all_of_a_caller_and_sheds_it(void)
{
	struct identity before = identity(), during, after;
	struct client client;
	struct caller caller;

	if (!can_act())
		return;
	client = client_start(3);
	caller = caller_of(client.pid);
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	after = identity();
	client_end(&client);

	CHECK_EQ(during.fsuid, (unsigned)UID);
	CHECK_EQ(during.fsgid, (unsigned)GID);
	CHECK_EQ(during.groups, 3);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(during.group[i], 7000 + i);
	CHECK_EQ(during.effective & (cap(CAP_DAC_OVERRIDE) | cap(CAP_CHOWN) | cap(CAP_FOWNER) |
				     cap(CAP_FSETID) | cap(CAP_DAC_READ_SEARCH) | cap(CAP_MKNOD)),
		 0u);
	check_same(&before, &after);
	creds_resume(); /* nothing to do */
	after = identity();
	check_same(&before, &after);
}

/* What the kernel has checked of somebody who can't be seen: but names and owners are respected. */
static void checked_callers_of_whom_nothing_is_known(void)
{
	struct identity before = identity(), during, after;
	struct caller caller = caller_of(0);

	if (!can_act())
		return;
	caller.checked = true;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	after = identity();
	CHECK_EQ(during.fsuid, (unsigned)UID);
	CHECK_EQ(during.fsgid, (unsigned)GID);
	CHECK_EQ(during.effective, before.effective & ~cap(CAP_FOWNER));
	check_same(&before, &after);

	caller.without_fsetid = true;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	after = identity();
	CHECK_EQ(during.effective, before.effective & ~cap(CAP_FOWNER) & ~cap(CAP_FSETID));
	check_same(&before, &after);
}

/* Of one who can be seen, the same rights count whoever has checked. */
static void checked_callers_have_no_more_rights_than_others(void)
{
	struct identity during[2];
	struct client client;
	struct caller caller;

	if (!can_act())
		return;
	client = client_start(3);
	caller = caller_of(client.pid);
	for (int checked = 0; checked < 2; checked++) {
		caller.checked = checked;
		CHECK_EQ(creds_assume(&caller), 0);
		during[checked] = identity();
		creds_resume();
	}
	client_end(&client);
	CHECK_EQ(during[1].groups, 3);
	check_same(&during[0], &during[1]);

	/* it has been killed: it can't be told from one who never was */
	CHECK_EQ(creds_assume(&caller), 0);
	during[0] = identity();
	creds_resume();
	CHECK_EQ(during[0].groups, 0);
	CHECK_EQ(during[0].effective & cap(CAP_DAC_OVERRIDE), 0u);
}

static void no_identity_is_taken_from_a_thread_that_has_another(void)
{
	struct caller caller = caller_of(getpid());
	struct identity during;

	if (!can_act())
		return;
	caller.checked = true;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	CHECK_EQ(during.groups, 0);
	CHECK_EQ(during.effective & (cap(CAP_DAC_OVERRIDE) | cap(CAP_FOWNER)), 0u);
}

/* A client with CAPS, kept over the change of its uid. */
static struct client client_with_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	struct client client;
	int ready[2], end[2];
	char byte;

	CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0);
	client.pid = fork();
	CHECK(client.pid >= 0);
	if (client.pid == 0) {
		CHECK(close(end[1]) == 0);
		data[0].effective = data[0].permitted = (uint32_t)caps;
		CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
		CHECK(setgroups(0, NULL) == 0 && setresgid(GID, GID, GID) == 0);
		CHECK(setresuid(UID, UID, UID) == 0);
		CHECK(syscall(SYS_capset, &header, data) == 0);
		CHECK(write(ready[1], "", 1) == 1);
		(void)!read(end[0], &byte, 1);
		_exit(0);
	}
	CHECK(close(ready[1]) == 0 && close(end[0]) == 0);
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(close(ready[0]) == 0);
	client.end_fd = end[1];
	return client;
}

static void capabilities_without_uid_0_count(void)
{
	const uint64_t all = cap(CAP_CHOWN) | cap(CAP_DAC_OVERRIDE) | cap(CAP_DAC_READ_SEARCH) |
			     cap(CAP_FOWNER) | cap(CAP_FSETID) | cap(CAP_MKNOD) |
			     cap(CAP_LINUX_IMMUTABLE) | cap(CAP_SETFCAP) | cap(CAP_SYS_ADMIN);
	const uint64_t some = cap(CAP_FOWNER) | cap(CAP_DAC_READ_SEARCH);
	struct identity during, before = identity();
	struct client client;
	struct caller caller;

	if (!can_act())
		return;
	client = client_with_caps(some);
	caller = caller_of(client.pid);
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	client_end(&client);
	CHECK_EQ(during.effective & all, some & before.effective);
}

/* Root without capabilities, as in many a container, isn't what root usually is. */
static void root_has_no_more_capabilities_than_it_has(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	struct caller caller = { .supp_gid = UINT32_MAX, .checked = true };
	struct identity during, before = identity(), after;
	int ready[2];
	pid_t pid;
	char byte;

	if (!can_act() || before.fsuid != 0)
		return;
	CHECK(pipe2(ready, O_CLOEXEC) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		data[0].effective = data[0].permitted = (uint32_t)cap(CAP_CHOWN);
		CHECK(syscall(SYS_capset, &header, data) == 0);
		CHECK(write(ready[1], "", 1) == 1);
		(void)pause();
		_exit(0);
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	caller.pid = (uint32_t)pid;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	after = identity();
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	CHECK(close(ready[0]) == 0 && close(ready[1]) == 0);
	CHECK_EQ(during.fsuid, 0u);
	CHECK_EQ(during.effective & (cap(CAP_DAC_OVERRIDE) | cap(CAP_FOWNER)), 0u);
	CHECK_EQ(during.effective & cap(CAP_CHOWN), cap(CAP_CHOWN));
	check_same(&before, &after);
}

static void write_line(pid_t pid, const char *file, const char *line)
{
	char path[64];
	int fd;

	CHECK(snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file) > 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(write(fd, line, strlen(line)) == (ssize_t)strlen(line));
	CHECK(close(fd) == 0);
}

static uint64_t effective_over(struct caller *caller, int fd, int other_fd)
{
	struct identity during;

	caller->objects = 0;
	if (fd >= 0)
		caller->object[caller->objects++] = (struct caller_object){ fd, NULL, OVER_ALL };
	if (other_fd >= 0)
		caller->object[caller->objects++] =
			(struct caller_object){ other_fd, NULL, OVER_ALL };
	CHECK_EQ(creds_assume(caller), 0);
	during = identity();
	creds_resume();
	return during.effective;
}

/* An unlinked file of UID and GID. */
static int file_of(uid_t uid, gid_t gid)
{
	char path[] = "/tmp/test-creds.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	CHECK(fd >= 0 && unlink(path) == 0 && fchown(fd, uid, gid) == 0);
	return fd;
}

/*
 * A process that MAKER has put into a user namespace of its own, with the maps that root writes,
 * and whose identity there is ID. A client without pid: there are no user namespaces.
 */
static struct client client_in_namespace(uid_t maker, const char *uid_map, const char *gid_map,
					 uid_t id)
{
	int ready[2], mapped[2];
	struct client client;
	char byte;

	CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(mapped, O_CLOEXEC) == 0);
	client.pid = fork();
	CHECK(client.pid >= 0);
	if (client.pid == 0) {
		bool made = setresgid(maker, maker, maker) == 0 &&
			    setresuid(maker, maker, maker) == 0 &&
			    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && unshare(CLONE_NEWUSER) == 0;

		CHECK(close(mapped[1]) == 0);
		CHECK(write(ready[1], made ? "y" : "n", 1) == 1);
		CHECK(!made || (read(mapped[0], &byte, 1) == 1 && setresgid(id, id, id) == 0 &&
				setresuid(id, id, id) == 0));
		CHECK(write(ready[1], "", 1) == 1);
		(void)!read(mapped[0], &byte, 1);
		_exit(0);
	}
	CHECK(close(ready[1]) == 0 && close(mapped[0]) == 0);
	CHECK(read(ready[0], &byte, 1) == 1);
	client.end_fd = mapped[1];
	if (byte == 'y') {
		write_line(client.pid, "uid_map", uid_map);
		write_line(client.pid, "gid_map", gid_map);
		CHECK(write(mapped[1], "", 1) == 1);
	}
	CHECK(read(ready[0], &(char){ 0 }, 1) == 1);
	CHECK(close(ready[0]) == 0);
	if (byte != 'y') {
		SKIP("user namespaces");
		client_end(&client);
		client.pid = 0;
	}
	return client;
}

/* A user namespace gives rights over what belongs to its own, and over nothing else. */
static void capabilities_of_another_namespace_count_there(void)
{
	const uint64_t caps = cap(CAP_DAC_OVERRIDE) | cap(CAP_FOWNER);
	int its_fd, ours_fd, half_fd;
	struct client client;
	struct caller caller;

	if (!can_act())
		return;
	its_fd = file_of(UID + 7, GID + 7);
	half_fd = file_of(UID + 7, 0);
	ours_fd = file_of(0, 0);
	/* as a container's: its root is UID, and it has 100 ids */
	client = client_in_namespace(UID, "0 61001 100\n", "0 61001 100\n", 0);
	if (client.pid) {
		caller = caller_of(client.pid);
		caller.checked = true;
		CHECK_EQ(effective_over(&caller, its_fd, -1) & caps, caps);
		CHECK_EQ(effective_over(&caller, ours_fd, -1) & caps, 0u);
		CHECK_EQ(effective_over(&caller, its_fd, ours_fd) & caps, 0u);
		CHECK_EQ(effective_over(&caller, its_fd, its_fd) & caps, caps);
		CHECK_EQ(effective_over(&caller, -1, -1) & caps, 0u);
		CHECK_EQ(effective_over(&caller, its_fd, -1) & cap(CAP_MKNOD), 0u);
		CHECK_EQ(effective_over(&caller, its_fd, -1) & cap(CAP_SETFCAP), cap(CAP_SETFCAP));
		CHECK_EQ(effective_over(&caller, half_fd, -1) & caps, cap(CAP_FOWNER));
		CHECK_EQ(effective_over(&caller, half_fd, -1) & cap(CAP_SETFCAP), 0u);
		client_end(&client);
	}
	CHECK(close(its_fd) == 0 && close(ours_fd) == 0 && close(half_fd) == 0);
}

/* uid 0 of another namespace may be uid 0 of ours: it isn't root, whatever its maps look like. */
static void uid_0_of_another_namespace_is_not_root(void)
{
	static const struct {
		uid_t maker;
		const char *map;
		bool has_all_ids;
	} cases[] = {
		{ 0, "0 0 1\n", false }, /* unshare -U -r */
		{ 0, "0 0 4294967295\n", true },
		{ UID, "0 0 4294967295\n", true },
		{ 0, "0 0 1\n1 100000 65536\n", false },
	};
	const uint64_t over_inodes = cap(CAP_DAC_OVERRIDE) | cap(CAP_FOWNER) | cap(CAP_CHOWN);
	const uint64_t never = cap(CAP_MKNOD) | cap(CAP_LINUX_IMMUTABLE) | cap(CAP_SYS_ADMIN) |
			       cap(CAP_MAC_OVERRIDE);
	int roots_fd, user_fd;

	if (!can_act() || geteuid() != 0)
		return;
	roots_fd = file_of(0, 0);
	user_fd = file_of(UID, GID);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client client =
			client_in_namespace(cases[i].maker, cases[i].map, cases[i].map, 0);
		struct caller caller = { .supp_gid = UINT32_MAX, .checked = true };

		if (!client.pid)
			break;
		caller.pid = (uint32_t)client.pid;
		CHECK_EQ(effective_over(&caller, -1, -1) & (over_inodes | never), 0u);
		CHECK_EQ(effective_over(&caller, roots_fd, -1) & (over_inodes | never),
			 over_inodes);
		CHECK_EQ(effective_over(&caller, user_fd, -1) & (over_inodes | never),
			 cases[i].has_all_ids ? over_inodes : 0u);
		client_end(&client);
	}
	CHECK(close(roots_fd) == 0 && close(user_fd) == 0);
}

/*
 * What is to go by a name counts like what is open, but only for what is to happen to it. A name
 * that leads nowhere doesn't count.
 */
static void names_are_objects(void)
{
	const uint64_t owner = cap(CAP_FOWNER), access = cap(CAP_DAC_OVERRIDE);
	const struct {
		bool there, is_dir, foreign;
		uint64_t caps;
	} cases[] = {
		{ false, false, false, owner | access },
		{ true, false, false, owner | access },
		{ true, true, false, owner | access },
		{ true, false, true, access },
		{ true, true, true, 0 },
	};
	char dir[] = "/tmp/test-creds.XXXXXX";
	struct client client;
	struct caller caller;
	int dir_fd;

	if (!can_act())
		return;
	CHECK(mkdtemp(dir));
	dir_fd = open(dir, O_PATH | O_CLOEXEC);
	CHECK(dir_fd >= 0 && chown(dir, UID, UID) == 0);
	client = client_in_namespace(UID, "0 61001 100\n", "0 61001 100\n", 0);
	caller = caller_of(client.pid);
	caller.object[0] = (struct caller_object){ dir_fd, NULL, OVER_ALL };
	caller.object[1] = (struct caller_object){ dir_fd, "name", OVER_OWNER | OVER_MOVED };
	caller.objects = 2;
	for (size_t i = 0; client.pid && i < sizeof(cases) / sizeof(cases[0]); i++) {
		uid_t uid = cases[i].foreign ? 0 : UID;
		struct identity during;

		if (cases[i].there) {
			CHECK((cases[i].is_dir ? mkdirat(dir_fd, "name", 0700)
					       : mknodat(dir_fd, "name", S_IFREG, 0)) == 0);
			CHECK(fchownat(dir_fd, "name", uid, uid, 0) == 0);
		}
		CHECK_EQ(creds_assume(&caller), 0);
		during = identity();
		creds_resume();
		CHECK_EQ(during.effective & (owner | access), cases[i].caps);
		if (cases[i].there)
			CHECK(unlinkat(dir_fd, "name", cases[i].is_dir ? AT_REMOVEDIR : 0) == 0);
	}
	if (client.pid)
		client_end(&client);
	CHECK(close(dir_fd) == 0 && rmdir(dir) == 0);
}

/* As a daemon of a user namespace that doesn't have all of a caller's groups. */
static void serve_in_namespace(void)
{
	struct identity during;
	struct client client;
	struct caller caller;
	int ready[2], end[2];
	char byte;

	creds_destroy();
	CHECK_EQ(creds_init(), 0);
	CHECK(creds_act_for_callers());
	CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0);
	client.pid = fork();
	CHECK(client.pid >= 0);
	if (client.pid == 0) {
		CHECK(close(end[1]) == 0);
		CHECK(setresgid(GID, GID, GID) == 0 && setresuid(UID, UID, UID) == 0);
		CHECK(write(ready[1], "", 1) == 1);
		(void)!read(end[0], &byte, 1);
		_exit(0);
	}
	CHECK(close(end[0]) == 0);
	client.end_fd = end[1];
	CHECK(read(ready[0], &byte, 1) == 1);
	caller = caller_of(client.pid);
	CHECK_EQ(creds_thread_init(), 0);
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	client_end(&client);
	/* 65534 would be that of nogroup */
	CHECK_EQ(during.groups, 1);
	CHECK_EQ(during.group[0], 7000u);
}

static void groups_without_a_number_are_nobodys(void)
{
	const gid_t groups[] = { 7000, 100000 };
	int ready[2], mapped[2], status;
	char byte;
	pid_t pid;

	if (!can_act())
		return;
	CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(mapped, O_CLOEXEC) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		bool made = setgroups(2, groups) == 0 && unshare(CLONE_NEWUSER) == 0;

		CHECK(write(ready[1], made ? "y" : "n", 1) == 1);
		if (made) {
			CHECK(read(mapped[0], &byte, 1) == 1);
			serve_in_namespace();
		}
		_exit(0);
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	if (byte == 'y') {
		write_line(pid, "uid_map", "0 0 65536\n");
		write_line(pid, "gid_map", "0 0 65536\n");
		CHECK(write(mapped[1], "", 1) == 1);
	} else {
		SKIP("user namespaces");
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(close(ready[i]) == 0 && close(mapped[i]) == 0);
}

/* Whether the kernel has checked it is all that is known of root in another pid namespace. */
static void root_that_is_not_seen_has_to_be_checked(void)
{
	struct caller caller = { .supp_gid = UINT32_MAX };
	struct identity before = identity(), during;

	if (!can_act() || before.fsuid != 0)
		return;
	for (int checked = 0; checked < 2; checked++) {
		caller.checked = checked;
		CHECK_EQ(creds_assume(&caller), 0);
		during = identity();
		creds_resume();
		CHECK_EQ(during.fsuid, 0u);
		CHECK_EQ(during.effective & cap(CAP_DAC_OVERRIDE),
			 checked ? before.effective & cap(CAP_DAC_OVERRIDE) : 0u);
	}
}

static void root_keeps_everything_but_its_group(void)
{
	struct identity before = identity(), during, after;
	struct caller caller = {
		.gid = GID,
		.pid = (uint32_t)getpid(),
		.supp_gid = UINT32_MAX,
	};

	if (!can_act() || before.fsuid != 0)
		return;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	after = identity();
	CHECK_EQ(during.fsuid, 0u);
	CHECK_EQ(during.fsgid, (unsigned)GID);
	CHECK_EQ(during.effective, before.effective);
	check_same(&before, &after);
	caller.gid = 0;
	caller.without_fsetid = true;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	CHECK_EQ(during.effective, before.effective & ~cap(CAP_FSETID));
}

static void unsure_groups_are_left_out(void)
{
	struct client client;
	struct caller caller;
	struct identity during;

	if (!can_act())
		return;
	client = client_start(CREDS_GROUPS + 100);

	/* more than are taken on: the first ones, and the one of the request isn't one more */
	caller = caller_of(client.pid);
	caller.supp_gid = 5;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	CHECK_EQ(during.groups, CREDS_GROUPS);
	CHECK_EQ(during.group[CREDS_GROUPS - 1], 7000u + CREDS_GROUPS - 1);

	/* the pid is somebody else's by now */
	caller.uid = UID + 1;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	CHECK_EQ(during.groups, 1);
	CHECK_EQ(during.group[0], 5u);

	/* there is nobody of that pid, or it isn't visible here */
	client_end(&client);
	for (int visible = 0; visible < 2; visible++) {
		caller = caller_of(visible ? client.pid : 0);
		CHECK_EQ(creds_assume(&caller), 0);
		during = identity();
		creds_resume();
		CHECK_EQ(during.groups, 0);
	}
}

static void nobody_in_particular_is_refused(void)
{
	struct identity before = identity(), after;
	struct caller caller = caller_of(0);

	if (!can_act())
		return;
	caller.uid = UINT32_MAX;
	CHECK_EQ(creds_assume(&caller), -EPERM);
	caller = caller_of(0);
	caller.gid = UINT32_MAX;
	CHECK_EQ(creds_assume(&caller), -EPERM);
	after = identity();
	check_same(&before, &after);
}

static void *look_from_another_thread(void *arg)
{
	struct identity *seen = arg;

	CHECK_EQ(creds_thread_init(), 0);
	*seen = identity();
	(void)umask(0777);
	return NULL;
}

static void other_threads_stay_as_they_are(void)
{
	struct identity before = identity();
	static struct identity seen;
	struct caller caller = caller_of(0);
	pthread_t thread;
	int own_umask;

	if (!can_act())
		return;
	/* the thread is made first: a new one inherits its maker's identity */
	CHECK(pthread_create(&thread, NULL, look_from_another_thread, &seen) == 0);
	CHECK_EQ(creds_assume(&caller), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	own_umask = (int)umask(0);
	creds_resume();
	CHECK_EQ(seen.fsuid, before.fsuid);
	CHECK_EQ(seen.effective, before.effective);
	CHECK_EQ(own_umask, 0);
}

/* A daemon without the capabilities serves as itself. */
static void without_capabilities_nothing_changes(void)
{
	struct identity before, during;
	struct caller caller = caller_of(0);
	int status;
	pid_t pid;

	if (!can_act())
		return;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		creds_destroy();
		CHECK(setresuid(UID, UID, UID) == 0);
		CHECK_EQ(creds_init(), 0);
		CHECK(!creds_act_for_callers());
		CHECK_EQ(creds_thread_init(), 0);
		before = identity();
		caller.uid = 0;
		CHECK_EQ(creds_assume(&caller), 0);
		during = identity();
		creds_resume();
		check_same(&before, &during);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	CHECK_EQ(creds_init(), 0);
	CHECK_EQ(creds_thread_init(), 0);
	RUN(takes_on_all_of_a_caller_and_sheds_it);
	RUN(checked_callers_of_whom_nothing_is_known);
	RUN(checked_callers_have_no_more_rights_than_others);
	RUN(no_identity_is_taken_from_a_thread_that_has_another);
	RUN(capabilities_without_uid_0_count);
	RUN(root_has_no_more_capabilities_than_it_has);
	RUN(capabilities_of_another_namespace_count_there);
	RUN(uid_0_of_another_namespace_is_not_root);
	RUN(names_are_objects);
	RUN(groups_without_a_number_are_nobodys);
	RUN(root_that_is_not_seen_has_to_be_checked);
	RUN(root_keeps_everything_but_its_group);
	RUN(unsure_groups_are_left_out);
	RUN(nobody_in_particular_is_refused);
	RUN(other_threads_stay_as_they_are);
	RUN(without_capabilities_nothing_changes);
	creds_destroy();
	return test_result();
}
