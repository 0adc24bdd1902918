/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount of our own: it is unmounted, and nobody else's is. Mounts of tmpfs stand in for FUSE's,
 * in a mount namespace of the test's; what needs a connection is in test-keeper.
 */
#include "own-mount.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <unistd.h>

#include "log.h"
#include "test.h"

static char mountpoint[] = "/tmp/test-own-mount.XXXXXX";
static unsigned lines;

void log_message(enum log_level level, const char *format, ...)
{
	(void)level, (void)format;
	lines++;
}

static void mount_one(void)
{
	CHECK(mount("none", mountpoint, "tmpfs", 0, NULL) == 0);
}

static bool is_mounted(void)
{
	struct mountinfo info;

	return mountinfo_find(mountpoint, &info) == 0;
}

static void is_to_be_found(void)
{
	struct own_mount mount;

	CHECK_EQ(own_mount_find(&mount, mountpoint, NULL), -ENOENT);
}

static void unmounts_once(void)
{
	struct own_mount mount;

	mount_one();
	CHECK_EQ(own_mount_find(&mount, mountpoint, NULL), 0);
	CHECK(own_mount_unmount(&mount));
	CHECK(!is_mounted());
	CHECK(own_mount_unmount(&mount)); /* by somebody else, for all it knows */
	CHECK_EQ(lines, 0u);
}

static void leaves_others_alone(void)
{
	struct own_mount mount;

	mount_one();
	CHECK_EQ(own_mount_find(&mount, mountpoint, NULL), 0);
	mount_one();
	CHECK(!own_mount_unmount(&mount));
	CHECK_EQ(lines, 1u);
	CHECK(umount2(mountpoint, 0) == 0);
	CHECK(own_mount_unmount(&mount));
	CHECK(!is_mounted());
}

static void can_run(void)
{
	SKIP("needs root, to mount");
}

int main(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		RUN(can_run);
		return test_result();
	}
	CHECK(mkdtemp(mountpoint));
	RUN(is_to_be_found);
	RUN(unmounts_once);
	RUN(leaves_others_alone);
	CHECK(rmdir(mountpoint) == 0);
	return test_result();
}
