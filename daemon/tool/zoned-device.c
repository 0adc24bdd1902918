/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson zoned attach` and `detach` write commands to zloop's control device, one with each write
 * (zloop_ctl_write() in drivers/block/zloop.c). Sizes are in MiB there. The directory is given in
 * two parts: base_dir, and the device's number below it.
 */
#include "tool/tell.h"
#include "tool/zoned.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "store/zone-mark.h"
#include "tool/arguments.h"

#define CONTROL	    "/dev/zloop-control"
#define DEVICE	    "/dev/zloop"
#define MIB	    (1ull << 20)
#define COMMAND_LEN (PATH_MAX + 256)

/* Sends COMMAND about OBJECT. Returns an exit code, after a message if it failed. */
static int control(const char *object, const char *action, const char *command)
{
	autoclose int fd = -1;
	size_t len = strlen(command);

	fd = open(CONTROL, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV)) {
		tell("" CONTROL
		     ": open: %s: this kernel has no zloop (Linux 6.16, modprobe zloop): use "
		     "tcmu-runner's file_zbc handler, or dm-zoned on a real zoned device; see "
		     "caisson-zoned(7)",
		     strerror(errno));
		return EXIT_CANNOT_SERVE;
	}
	if (fd < 0) {
		tell("" CONTROL ": open: %s", strerror(errno));
		return EXIT_CANNOT_SERVE;
	}
	if (write(fd, command, len) != (ssize_t)len) {
		tell("%s: %s: %s; the kernel's log may say more", object, action, strerror(errno));
		return EXIT_CANNOT_SERVE;
	}
	return EXIT_FINE;
}

/* Reads the mark of DIR on a mount. Returns an exit code, after a message if it failed. */
static int read_geometry(const char *dir, struct zone_geometry *ret_geometry)
{
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	int r = fd < 0 ? -errno : zone_mark_read(fd, ret_geometry);

	if (r == 0)
		r = fstatfs(fd, &fs) < 0 ? -errno : 0;
	if (r == 0 && fs.f_type != FUSE_SUPER_MAGIC) {
		tell("%s: attach: is in BACKING; zloop is to use it through the mount", dir);
		return EXIT_CANNOT_SERVE;
	}
	if (r == 0)
		return EXIT_FINE;
	tell("%s: read its mark: %s", dir,
	     r == -ENODATA ? "it has none; caisson zoned create makes directories that do"
			   : strerror(-r));
	return EXIT_CANNOT_SERVE;
}

/* Splits the absolute PATH into base_dir and the number. Returns an exit code, as above. */
static int split(char *path, const char *id, const char **ret_base_dir, uint64_t *ret_number)
{
	char *slash = strrchr(path, '/');
	uint64_t number, wanted;

	if (id && arguments_number(id, INT32_MAX, &wanted) < 0)
		return arguments_value_is_bad("--id", id, "a number");
	/* zloop would look for "7" and not for "07" */
	if (arguments_number(slash + 1, INT32_MAX, &number) < 0 || (slash[1] == '0' && slash[2])) {
		tell("%s: attach: zloop wants the device's number for its last component, as in "
		     "/srv/zones/0",
		     path);
		return EXIT_USAGE;
	}
	if (id && wanted != number) {
		tell("%s: attach: its last component isn't %s", path, id);
		return EXIT_USAGE;
	}
	if (strpbrk(path, ",\n")) {
		tell("%s: attach: zloop takes no path with a comma or newline", path);
		return EXIT_USAGE;
	}
	*slash = '\0';
	*ret_base_dir = path[0] ? path : "/";
	*ret_number = number;
	return EXIT_FINE;
}

int zoned_attach(int argc, char **argv)
{
	static const struct option options[] = { ARGUMENTS_VALUE("id"), { 0 } };
	const char *dir, *id = NULL, *base_dir = NULL;
	struct zone_geometry geometry = { 0 };
	autofree char *path = NULL;
	char command[COMMAND_LEN];
	uint64_t number = 0;
	int code;

	if (!arguments_parse(argc, argv, options, &id, &dir))
		return EXIT_USAGE;
	path = realpath(dir, NULL);
	if (!path) {
		tell("%s: open: %s", dir, strerror(errno));
		return EXIT_CANNOT_SERVE;
	}
	code = read_geometry(dir, &geometry);
	if (code == EXIT_FINE)
		code = split(path, id, &base_dir, &number);
	if (code != EXIT_FINE)
		return code;
	(void)snprintf(command, sizeof(command),
		       "add id=%llu,capacity_mb=%llu,zone_size_mb=%llu,zone_capacity_mb=%llu,"
		       "conv_zones=%u,base_dir=%s",
		       (unsigned long long)number,
		       (unsigned long long)(geometry.zones * geometry.zone_len / MIB),
		       (unsigned long long)(geometry.zone_len / MIB),
		       (unsigned long long)(geometry.capacity_len / MIB), geometry.conventional,
		       base_dir);
	code = control(dir, "attach", command);
	if (code == EXIT_FINE)
		printf(DEVICE "%llu\n", (unsigned long long)number);
	return code;
}

int zoned_detach(int argc, char **argv)
{
	static const struct option options[] = { { 0 } };
	const char *device, *digits;
	uint64_t number;
	char command[64];

	if (!arguments_parse(argc, argv, options, NULL, &device))
		return EXIT_USAGE;
	digits = strncmp(device, DEVICE, strlen(DEVICE)) == 0 ? device + strlen(DEVICE) : device;
	if (arguments_number(digits, INT32_MAX, &number) < 0) {
		tell("%s: detach: is neither a number nor a " DEVICE "N", device);
		return EXIT_USAGE;
	}
	(void)snprintf(command, sizeof(command), "remove id=%llu", (unsigned long long)number);
	return control(device, "detach", command);
}
