/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Callers' identities, as the kernel sees the thread: ids, groups, capabilities, and back again. */
#include "creds.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
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

static void checked_callers_keep_the_capabilities(void)
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
	CHECK_EQ(during.effective, before.effective);
	check_same(&before, &after);

	caller.without_fsetid = true;
	CHECK_EQ(creds_assume(&caller), 0);
	during = identity();
	creds_resume();
	after = identity();
	CHECK_EQ(during.effective, before.effective & ~cap(CAP_FSETID));
	check_same(&before, &after);
}

static void root_keeps_everything_but_its_group(void)
{
	struct identity before = identity(), during, after;
	struct caller caller = { .gid = GID, .supp_gid = UINT32_MAX };

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
	RUN(checked_callers_keep_the_capabilities);
	RUN(root_keeps_everything_but_its_group);
	RUN(unsure_groups_are_left_out);
	RUN(nobody_in_particular_is_refused);
	RUN(other_threads_stay_as_they_are);
	RUN(without_capabilities_nothing_changes);
	creds_destroy();
	return test_result();
}
