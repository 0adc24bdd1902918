/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson zoned create` makes everything in a directory of its own, syncs it, and then renames it
 * to DIR. So after a crash DIR is a complete zoned directory or isn't there. And nobody can have
 * opened it before it was marked.
 *
 * DIR's parent may belong to another user, who can rename its contents at any moment and put other
 * files in their place. So the new directory is made in the workshop: a directory beside DIR in
 * which nobody else can rename anything. It is reached by descriptors only. A directory isn't used
 * as a workshop unless it belongs to us alone.
 */
#include "tool/tell.h"
#include "tool/zoned.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/macro.h"
#include "store/zone-mark.h"
#include "tool/arguments.h"

struct creation {
	struct zone_geometry geometry;
	bool sparse;
	const char *dir;      /* as given, for messages */
	const char *name;     /* the last component of dir */
	int parent_fd;	      /* opened for reading */
	struct stat replaced; /* DIR as an empty directory; st_mode 0: it doesn't exist */
};

/* The name of the new directory in the workshop. */
#define NEW_NAME "new"

static int failed(const char *object, const char *name, const char *action, int error)
{
	tell("%s%s%s: %s: %s", object, name ? "/" : "", name ? name : "", action, strerror(-error));
	return error;
}

/* Whether a signal has come that ends the program. All that was begun is then removed. */
static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

static void catch_interruptions(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
	const struct sigaction action = { .sa_handler = interrupt };
	struct sigaction inherited;

	/* neither call can fail for these */
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)sigaction(signals[i], NULL, &inherited);
		if (inherited.sa_handler != SIG_IGN) /* nohup(1) */
			(void)sigaction(signals[i], &action, NULL);
	}
}

/* Opens the directory NAME in DIR_FD, if it isn't a symlink. Returns 0 or -errno. */
static int open_directory(int dir_fd, const char *name, int *ret_fd)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Makes and syncs the file of zone NUMBER in FD. Returns 0 or -errno, after a message. */
static int make_zone(const struct creation *creation, int dir_fd, uint32_t number)
{
	const struct zone_geometry *geometry = &creation->geometry;
	char name[ZONE_NAME_LEN];
	autoclose int fd = -1;
	off_t len = (off_t)geometry->zone_len;

	zone_name(geometry, number, name);
	/* the mode that zloop uses */
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(creation->dir, name, "create", -errno);
	if (zone_geometry_kind(geometry, number) == ZONE_CONVENTIONAL) {
		if (creation->sparse && ftruncate(fd, len) < 0)
			return failed(creation->dir, name, "extend", -errno);
		if (!creation->sparse && fallocate(fd, 0, 0, len) < 0)
			return failed(creation->dir, name, "allocate (--sparse does without)",
				      -errno);
	}
	if (fsync(fd) < 0)
		return failed(creation->dir, name, "sync", -errno);
	return 0;
}

/* Fills and marks the directory FD. Returns 0 or -errno, after a message. */
static int fill(const struct creation *creation, int fd)
{
	int r;

	r = zone_mark_write(fd, &creation->geometry);
	if (r == -EPERM) {
		tell("%s: mark: %s: zoned directories are made in BACKING, not through the mount",
		     creation->dir, strerror(-r));
		return r;
	}
	if (r < 0)
		return failed(creation->dir, NULL, "set extended attribute " ZONE_MARK_NAME, r);
	for (uint32_t i = 0; i < creation->geometry.zones && r == 0; i++)
		r = interrupted ? failed(creation->dir, NULL, "create", -EINTR)
				: make_zone(creation, fd, i);
	return r;
}

/* Renames NAME in the workshop, open as FD, to DIR. Returns 0 or -errno, after a message. */
static int put_in_place(const struct creation *creation, int workshop_fd, int fd)
{
	const struct stat *replaced = &creation->replaced;

	if (replaced->st_mode && fchown(fd, replaced->st_uid, replaced->st_gid) < 0)
		return failed(creation->dir, NULL, "keep its owner", -errno);
	/* its final mode comes last, as that may not permit renaming it */
	if (replaced->st_mode && fchmod(fd, (replaced->st_mode & 07777) | S_IRWXU) < 0)
		return failed(creation->dir, NULL, "keep its mode", -errno);
	if (fsync(fd) < 0)
		return failed(creation->dir, NULL, "sync", -errno);
	/* the kernel replaces a directory only if it is empty */
	if (renameat(workshop_fd, NEW_NAME, creation->parent_fd, creation->name) < 0)
		return failed(creation->dir, NULL, "put in place", -errno);
	return 0;
}

/* Removes the new directory, open as FD, and its zones. */
static void undo(const struct creation *creation, int workshop_fd, int fd)
{
	char zone[ZONE_NAME_LEN];

	for (uint32_t i = 0; i < creation->geometry.zones; i++) {
		zone_name(&creation->geometry, i, zone);
		if (unlinkat(fd, zone, 0) < 0)
			break; /* the order in which they were made */
	}
	if (unlinkat(workshop_fd, NEW_NAME, AT_REMOVEDIR) < 0)
		(void)failed(creation->dir, NULL, "remove what was begun beside it", -errno);
}

/* Makes DIR in the workshop. Returns 0 or -errno, after a message. */
static int create_in(const struct creation *creation, int workshop_fd)
{
	const struct stat *replaced = &creation->replaced;
	autoclose int fd = -1;
	int r;

	if (mkdirat(workshop_fd, NEW_NAME, 0700) < 0)
		return failed(creation->dir, NULL, "create", -errno);
	r = open_directory(workshop_fd, NEW_NAME, &fd);
	if (r < 0) {
		(void)unlinkat(workshop_fd, NEW_NAME, AT_REMOVEDIR); /* empty as it is */
		return failed(creation->dir, NULL, "open", r);
	}
	r = fill(creation, fd);
	if (r == 0)
		r = put_in_place(creation, workshop_fd, fd);
	if (r < 0) {
		undo(creation, workshop_fd, fd);
		return r;
	}
	if (replaced->st_mode && (fchmod(fd, replaced->st_mode & 07777) < 0 || fsync(fd) < 0))
		return failed(creation->dir, NULL, "keep its mode", -errno);
	if (fsync(creation->parent_fd) < 0)
		return failed(creation->dir, NULL, "sync its parent", -errno);
	return 0;
}

/* Makes a directory NAME beside DIR that belongs to us alone. Returns 0 or -errno. */
static int make_workshop(const struct creation *creation, const char *name, int *ret_fd)
{
	autoclose int fd = -1;
	struct stat st;
	int r;

	if (mkdirat(creation->parent_fd, name, 0700) < 0)
		return -errno;
	r = open_directory(creation->parent_fd, name, &fd);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* it may have been replaced since it was made */
	if (st.st_uid != geteuid() || st.st_mode & 077)
		return -EPERM;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* 0 or -errno, told. */
static int create(const struct creation *creation)
{
	char name[] = ".caisson-zoned-XXXXXXXXXXX";
	autoclose int workshop_fd = -1;
	int r;

	(void)snprintf(name, sizeof(name), ".caisson-zoned-%d", (int)getpid());
	catch_interruptions();
	r = make_workshop(creation, name, &workshop_fd);
	if (r < 0)
		return failed(creation->dir, NULL, "create a directory of our own beside it", r);
	r = create_in(creation, workshop_fd);
	/* only what is empty goes */
	if (unlinkat(creation->parent_fd, name, AT_REMOVEDIR) < 0 && r == 0)
		r = failed(creation->dir, NULL, "remove what was begun beside it", -errno);
	return r;
}

/* Checks that the directory FD is empty, and closes it. Returns 0, -ENOTEMPTY or -errno. */
static int check_empty(int fd)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		close_fd(&fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = -ENOTEMPTY;
	}
	if (r == 0)
		r = -errno;
	(void)closedir(dir); /* only read */
	return r;
}

/* Checks that DIR doesn't exist or is empty. Returns 0 or -errno, after a message. */
static int look(struct creation *creation)
{
	int fd, r;

	if (strcmp(creation->name, ".") == 0 || strcmp(creation->name, "..") == 0 ||
	    strcmp(creation->name, "/") == 0) {
		tell("%s: create: must end in the directory's own name", creation->dir);
		return -EINVAL;
	}
	fd = openat(creation->parent_fd, creation->name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return failed(creation->dir, NULL, "create", -errno);
	if (fstat(fd, &creation->replaced) < 0) {
		r = -errno;
		close_fd(&fd);
	} else {
		r = check_empty(fd);
	}
	return r < 0 ? failed(creation->dir, NULL, "create", r) : 0;
}

enum { SIZE, ZONE_SIZE, ZONE_CAPACITY, CONVENTIONAL, SPARSE, OPTIONS };

static const struct option options[] = {
	[SIZE] = ARGUMENTS_VALUE("size"),
	[ZONE_SIZE] = ARGUMENTS_VALUE("zone-size"),
	[ZONE_CAPACITY] = ARGUMENTS_VALUE("zone-capacity"),
	[CONVENTIONAL] = ARGUMENTS_VALUE("conventional"),
	[SPARSE] = ARGUMENTS_FLAG("sparse"),
	[OPTIONS] = { 0 },
};

/*
 * Reads the geometry from the options. Returns an exit code, after a message if there is an error.
 */
static int parse_geometry(const char *dir, const char *const *values,
			  struct zone_geometry *ret_geometry)
{
	const char *capacity = values[ZONE_CAPACITY] ? values[ZONE_CAPACITY] : values[ZONE_SIZE];
	struct zone_geometry geometry;
	uint64_t len, conventional = 0, zones;
	const char *fault;

	if (!values[SIZE] || !values[ZONE_SIZE]) {
		tell("%s: create: --size and --zone-size are needed", dir);
		return EXIT_USAGE;
	}
	if (arguments_size(values[SIZE], &len) < 0)
		return arguments_value_is_bad("--size", values[SIZE], "a size such as 8G");
	if (arguments_size(values[ZONE_SIZE], &geometry.zone_len) < 0)
		return arguments_value_is_bad("--zone-size", values[ZONE_SIZE],
					      "a size such as 256M");
	if (arguments_size(capacity, &geometry.capacity_len) < 0)
		return arguments_value_is_bad("--zone-capacity", capacity, "a size such as 255M");
	if (values[CONVENTIONAL] &&
	    arguments_number(values[CONVENTIONAL], ZONES_MAX, &conventional) < 0)
		return arguments_value_is_bad("--conventional", values[CONVENTIONAL],
					      "a number of zones");
	zones = geometry.zone_len ? len / geometry.zone_len : 0;
	geometry.zones = (uint32_t)MIN(zones, (uint64_t)UINT32_MAX);
	geometry.conventional = (uint32_t)conventional;
	fault = zone_geometry_fault(&geometry);
	if (!fault && zones * geometry.zone_len != len)
		fault = "the size isn't a multiple of the zone size";
	if (fault) {
		tell("%s: create: %s", dir, fault);
		return EXIT_USAGE;
	}
	*ret_geometry = geometry;
	return EXIT_FINE;
}

int zoned_create(int argc, char **argv)
{
	const char *values[OPTIONS] = { 0 };
	autofree char *for_name = NULL, *for_parent = NULL;
	autoclose int parent_fd = -1;
	struct creation creation = { 0 };
	int code;

	if (!arguments_parse(argc, argv, options, values, &creation.dir))
		return EXIT_USAGE;
	code = parse_geometry(creation.dir, values, &creation.geometry);
	if (code != EXIT_FINE)
		return code;

	for_name = strdup(creation.dir);
	for_parent = strdup(creation.dir);
	if (!for_name || !for_parent) {
		(void)failed(creation.dir, NULL, "create", -ENOMEM);
		return EXIT_CANNOT_SERVE;
	}
	creation.sparse = values[SPARSE];
	creation.name = basename(for_name);
	parent_fd = open(dirname(for_parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent_fd < 0) {
		(void)failed(creation.dir, NULL, "open its parent", -errno);
		return EXIT_CANNOT_SERVE;
	}
	creation.parent_fd = parent_fd;
	if (look(&creation) < 0 || create(&creation) < 0)
		return EXIT_CANNOT_SERVE;
	return EXIT_FINE;
}
