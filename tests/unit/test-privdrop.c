/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dropping privileges, as the kernel sees it. Each case is a process of its own. */
#include "store/privdrop.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/procfs.h"
#include "test.h"

#define SERVING                                                                                    \
	(CAPS_BIT(CAP_CHOWN) | CAPS_BIT(CAP_DAC_OVERRIDE) | CAPS_BIT(CAP_DAC_READ_SEARCH) |        \
	 CAPS_BIT(CAP_FOWNER) | CAPS_BIT(CAP_FSETID) | CAPS_BIT(CAP_SETUID) |                      \
	 CAPS_BIT(CAP_SETGID) | CAPS_BIT(CAP_MKNOD) | CAPS_BIT(CAP_LINUX_IMMUTABLE) |              \
	 CAPS_BIT(CAP_SETFCAP) | CAPS_BIT(CAP_SYS_PTRACE))

static uint64_t get(const char *key)
{
	uint64_t set;

	CHECK_EQ(procfs_read_number("/proc/thread-self/status", key, 16, &set), 0);
	return set;
}

static void expect_caps(uint64_t set)
{
	CHECK_EQ(get("CapEff"), set);
	CHECK_EQ(get("CapPrm"), set);
	CHECK_EQ(get("CapInh"), 0u);
	CHECK_EQ(get("CapAmb"), 0u);
}

static bool has(uint64_t caps)
{
	if ((get("CapPrm") & caps) == caps)
		return true;
	SKIP("needs capabilities %#llx", (unsigned long long)caps);
	return false;
}

static void *drop_in_thread(void *arg)
{
	uint64_t prepared = *(uint64_t *)arg;

	expect_caps(prepared); /* inherited */
	CHECK_EQ(privdrop_thread(), 0);
	expect_caps(SERVING);
	return NULL;
}

static void drop_stage_by_stage(void)
{
	const struct privdrop_plan plan = { 0 };
	uint64_t prepared = SERVING | (get("CapPrm") & CAPS_BIT(CAP_IPC_LOCK));
	pthread_t thread;
	char text[256];

	CHECK_EQ(privdrop_process(&plan), 0);
	expect_caps(prepared);
	CHECK_EQ(get("CapBnd"), 0u);
	CHECK_EQ(get("NoNewPrivs"), 1u);

	/* a thread drops its own, and nobody else's */
	CHECK(pthread_create(&thread, NULL, drop_in_thread, &prepared) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	expect_caps(prepared);
	CHECK_EQ(privdrop_thread(), 0);
	expect_caps(SERVING);
	CHECK_EQ(privdrop_thread(), 0); /* nothing left to drop */

	privdrop_serving_set(text, sizeof(text));
	CHECK_STR(text, "chown dac_override dac_read_search fowner fsetid setuid setgid mknod "
			"linux_immutable setfcap sys_ptrace");
	/* cut, but a string */
	privdrop_serving_set(text, 9);
	CHECK_STR(text, "chown da");
}

static void drops_stage_by_stage(void)
{
	if (has(SERVING | CAPS_BIT(CAP_SETPCAP)))
		test_in_child(drop_stage_by_stage);
}

static void there_is_no_way_back_in_child(void)
{
	const struct privdrop_plan plan = { 0 };
	char script[256];
	struct caps caps;

	CHECK_EQ(privdrop_process(&plan), 0);
	CHECK_EQ(privdrop_thread(), 0);
	CHECK_EQ(caps_get(0, &caps), 0);
	caps.permitted |= CAPS_BIT(CAP_IPC_LOCK);
	CHECK_EQ(caps_set(&caps), -EPERM);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0);
	/* root by name, and yet: what is executed has no more, which it tells by its exit code */
	snprintf(script, sizeof(script),
		 "while read -r key value; do [ \"$key\" != CapPrm: ] || permitted=$value; done "
		 "</proc/self/status; exit $((0x$permitted & ~%#llx ? 1 : 0))",
		 (unsigned long long)SERVING);
	execl("/bin/sh", "sh", "-c", script, NULL);
	CHECK(!"/bin/sh can be executed");
}

static void there_is_no_way_back(void)
{
	if (has(SERVING))
		test_in_child(there_is_no_way_back_in_child);
}

static void keep_trusted_xattrs(void)
{
	const struct privdrop_plan plan = { .sys_admin = true };

	CHECK_EQ(privdrop_process(&plan), 0);
	CHECK_EQ(privdrop_thread(), 0);
	expect_caps(SERVING | CAPS_BIT(CAP_SYS_ADMIN));
}

static void keeps_sys_admin_when_told(void)
{
	if (has(SERVING | CAPS_BIT(CAP_SYS_ADMIN)))
		test_in_child(keep_trusted_xattrs);
}

static void become_nobody(void)
{
	CHECK(setgroups(0, NULL) == 0);
	CHECK(setresgid(65534, 65534, 65534) == 0);
	CHECK(setresuid(65534, 65534, 65534) == 0);
}

static void serve_without_any(void)
{
	const struct privdrop_plan plan = { .sys_admin = true };
	char text[64];

	if (geteuid() == 0)
		become_nobody();
	CHECK_EQ(privdrop_process(&plan), 0);
	CHECK_EQ(privdrop_thread(), 0);
	expect_caps(0);
	CHECK_EQ(get("NoNewPrivs"), 1u);
	privdrop_serving_set(text, sizeof(text));
	CHECK_STR(text, "none");
}

static void works_without_any(void)
{
	test_in_child(serve_without_any);
}

/* What wasn't there can't be kept, and isn't asked for. */
static void serve_with_some(void)
{
	const struct privdrop_plan plan = { 0 };
	const uint64_t gone = CAPS_BIT(CAP_MKNOD) | CAPS_BIT(CAP_SETPCAP);
	struct caps caps;

	CHECK_EQ(caps_get(0, &caps), 0);
	caps.permitted &= ~gone;
	caps.effective &= ~gone;
	CHECK_EQ(caps_set(&caps), 0);
	CHECK_EQ(privdrop_process(&plan), 0);
	CHECK_EQ(privdrop_thread(), 0);
	expect_caps(SERVING & ~CAPS_BIT(CAP_MKNOD));
}

static void works_with_some(void)
{
	if (has(SERVING))
		test_in_child(serve_with_some);
}

static void keep_as_root(void)
{
	CHECK_EQ(privdrop_keeper(), 0);
	expect_caps(CAPS_BIT(CAP_SYS_ADMIN));
	CHECK_EQ(get("NoNewPrivs"), 1u);
}

static void keep_as_nobody(void)
{
	if (geteuid() == 0)
		become_nobody();
	CHECK_EQ(privdrop_keeper(), 0);
	expect_caps(0);
	CHECK_EQ(get("NoNewPrivs"), 0u); /* fusermount3 is set-uid */
}

static void keeper_can_unmount(void)
{
	test_in_child(keep_as_nobody);
	if (has(CAPS_BIT(CAP_SYS_ADMIN)))
		test_in_child(keep_as_root);
}

int main(void)
{
	RUN(drops_stage_by_stage);
	RUN(there_is_no_way_back);
	RUN(keeps_sys_admin_when_told);
	RUN(works_without_any);
	RUN(works_with_some);
	RUN(keeper_can_unmount);
	return test_result();
}
