/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks the loop devices on which filesystem their files are. sysfs has only a path, which another
 * mount namespace may have given, or another mount may hide by now. Without root it has to do.
 */
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "stack/careful.h"
#include "stack/stack.h"

struct asking {
	const struct system *system;
	int out_fd;
};

/* Writes "MAJOR:MINOR FILE_MAJOR:FILE_MINOR" for a loop device with a file. */
static int ask(void *arg, const char *name)
{
	const struct asking *asking = arg;
	autoclose int fd = -1;
	struct loop_info64 info;
	char file[16];
	dev_t dev;

	if (strncmp(name, "loop", strlen("loop")) != 0 ||
	    system_dev(asking->system, PATH("sys/class/block/%s/dev", name), &dev) < 0 ||
	    system_read(asking->system, PATH("sys/class/block/%s/loop/backing_file", name), file,
			sizeof(file)) < 0)
		return 0;
	fd = system_openat(asking->system, PATH("dev/%s", name), O_RDONLY | O_NONBLOCK);
	if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0)
		(void)dprintf(asking->out_fd, "%u:%u %u:%u\n", major(dev), minor(dev),
			      major(info.lo_device), minor(info.lo_device));
	return 0;
}

static void ask_all(const struct system *system, const void *arg, int out_fd)
{
	struct asking asking = { .system = system, .out_fd = out_fd };

	(void)arg;
	(void)system_names(system, "sys/class/block", ask, &asking);
}

void stack_read_loops(struct stack *stack)
{
	unsigned loop_major, loop_minor, file_major, file_minor;
	struct careful careful;
	char *line;

	/* a device that hangs keeps whoever opens it waiting */
	if (careful_run(stack->system, ask_all, NULL, &careful) < 0)
		return;
	while (stack->loop_count < STACK_LOOPS_MAX && (line = system_lines_next(&careful.lines))) {
		if (sscanf(line, "%u:%u %u:%u", &loop_major, &loop_minor, &file_major,
			   &file_minor) != 4)
			continue;
		stack->loops[stack->loop_count++] = (struct loop){
			.dev = makedev(loop_major, loop_minor),
			.file_dev = makedev(file_major, file_minor),
		};
	}
	if (careful_close(&careful) < 0)
		stack_unseen(stack, "the files of some loop devices: one hangs");
}
