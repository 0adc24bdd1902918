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

/* It is the mount that counts, not its name nor its device number, which others may come to have. */
static void is_told_by_its_id(void)
{
	char decoy[64];
	struct own_mount own;
	struct mountinfo info;
	int fd;

	CHECK(snprintf(decoy, sizeof(decoy), "%s.decoy", mountpoint) > 0);
	mount_one();
	CHECK_EQ(own_mount_find(&own, mountpoint, NULL), 0);
	CHECK_EQ(mountinfo_find(mountpoint, &info), 0);
	CHECK_EQ(mountinfo_open(mountpoint, &info, &fd), 0);
	CHECK(close(fd) == 0);

	/* another mount of the same filesystem, so also of the same device number, lies on it */
	CHECK(mount(mountpoint, mountpoint, NULL, MS_BIND, NULL) == 0);
	CHECK_EQ(mountinfo_open(mountpoint, &info, &fd), -ESTALE);
	CHECK(!own_mount_unmount(&own));
	CHECK_EQ(lines, 2u);
	CHECK(umount2(mountpoint, 0) == 0);
	CHECK(is_mounted());

	/* a symlink isn't followed, whatever is mounted where it leads */
	CHECK(symlink(mountpoint, decoy) == 0);
	CHECK(mountinfo_open(decoy, &info, &fd) == -ESTALE);
	CHECK(unlink(decoy) == 0);
	CHECK(own_mount_unmount(&own));
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
	RUN(is_told_by_its_id);
	CHECK(rmdir(mountpoint) == 0);
	return test_result();
}
