/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount of our own: it is unmounted, and nobody else's is. Mounts of tmpfs stand in for FUSE's,
 * in a mount namespace of the test's; what needs a connection is in test-keeper.
 */
#include "host/own-mount.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
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

/*
 * It is the mount that counts, not its name nor its device number, which others may come to have.
 */
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

/* A directory above it has another name by now, or it was moved; others are in its old place. */
static void is_found_where_it_has_gone(void)
{
	char old[64], new[64], decoy[64];
	struct own_mount own;
	struct mountinfo info;

	CHECK(snprintf(old, sizeof(old), "%s/old", mountpoint) > 0);
	CHECK(snprintf(new, sizeof(new), "%s/new", mountpoint) > 0);
	CHECK(snprintf(decoy, sizeof(decoy), "%s/old/m", mountpoint) > 0);
	for (int taken = 0; taken < 2; taken++) {
		CHECK(mkdir(old, 0700) == 0 && mkdir(decoy, 0700) == 0);
		CHECK(mount("none", decoy, "tmpfs", 0, NULL) == 0);
		CHECK_EQ(own_mount_find(&own, decoy, NULL), 0);
		CHECK(rename(old, new) == 0);
		if (taken) {
			CHECK(mkdir(old, 0700) == 0 && mkdir(decoy, 0700) == 0);
			CHECK(mount("none", decoy, "tmpfs", 0, NULL) == 0);
		}
		if (own.unique_id) {
			CHECK(own_mount_unmount(&own));
			CHECK_EQ(lines, 2u); /* as before */
		} else {
			SKIP("no unique mount ids: a connection tells there");
		}
		CHECK(snprintf(new, sizeof(new), "%s/new/m", mountpoint) > 0);
		CHECK_EQ(mountinfo_find(new, &info), own.unique_id ? -ENOENT : 0);
		CHECK_EQ(mountinfo_find(decoy, &info), taken ? 0 : -ENOENT);
		if (!own.unique_id)
			CHECK(umount2(new, MNT_DETACH) == 0);
		if (taken)
			CHECK(umount2(decoy, MNT_DETACH) == 0 && rmdir(decoy) == 0 &&
			      rmdir(old) == 0);
		CHECK(rmdir(new) == 0);
		CHECK(snprintf(new, sizeof(new), "%s/new", mountpoint) > 0);
		CHECK(rmdir(new) == 0);
	}
}

/* All numbers that mountinfo has are given anew when a mount has gone. */
static void others_with_its_numbers_stay(void)
{
	struct own_mount own;

	mount_one();
	CHECK_EQ(own_mount_find(&own, mountpoint, NULL), 0);
	if (own.unique_id) {
		own.unique_id--;
		CHECK(own_mount_unmount(&own));
		CHECK(is_mounted());
	} else {
		SKIP("no unique mount ids");
	}
	CHECK(umount2(mountpoint, 0) == 0);
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
	RUN(is_found_where_it_has_gone);
	RUN(others_with_its_numbers_stay);
	CHECK(rmdir(mountpoint) == 0);
	return test_result();
}
