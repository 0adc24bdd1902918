/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/zoned.h"

#include <stdio.h>
#include <string.h>

#include "base/exit-code.h"
#include "base/macro.h"
#include "tool/tell.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
} commands[] = {
	{ "create", zoned_create,
	  "DIR --size SIZE --zone-size SIZE [--zone-capacity SIZE] [--conventional N] [--sparse]" },
	{ "attach", zoned_attach, "DIR [--id N]" },
	{ "detach", zoned_detach, "ID|DEVICE" },
	{ "report", zoned_report, "DIR|DEVICE [--json]" },
};

static void usage(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "%s caisson zoned %s %s\n", i ? "      " : "usage:", commands[i].name,
			commands[i].arguments);
}

int zoned_command(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return EXIT_FINE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	tell("zoned %s: run: no such command; try caisson zoned help", argv[1]);
	return EXIT_USAGE;
}
