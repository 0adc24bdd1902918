/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/successor-argv.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/options.h"

char *successor_program(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (len < 0)
		return NULL;
	path[len] = '\0';
	return strdup(path);
}

void successor_note_sizes(const struct options *options, char sizes[static SUCCESSOR_SIZES])
{
	const struct serve_config *config = &options->serve;

	(void)snprintf(sizes, SUCCESSOR_SIZES, /* fits */
		       "queues=%u,queue_depth=%u,workers=%u,inodes=%u,files=%u,max_write=%u,"
		       "extent_size_hint=%u,cache=%s,passthrough=%s",
		       config->queues, config->queue_depth, config->workers, config->inodes,
		       config->files, config->max_write, config->extent_size_hint,
		       options_cache_name(config->cache),
		       options_passthrough_name(config->passthrough));
}

char **successor_argv_make(const struct options *options, int argc, char **argv,
			   const struct successor_words *words)
{
	static char dash_o[] = "-o"; /* argv isn't const */
	char **result = calloc((size_t)argc + 4, sizeof(*result));
	bool has_sizes = false;
	int at = 0;

	if (!result)
		return NULL;
	result[at++] = argv[0];
	at++;
	for (int i = 1; i <= argc; i++) {
		/* the last word counts, but nothing is an option after "--" */
		if (!has_sizes && (i == argc || strcmp(argv[i], "--") == 0)) {
			result[at++] = dash_o;
			result[at++] = words->sizes;
			has_sizes = true;
		}
		if (i == argc)
			break;
		if (argv[i] == options->backing_word)
			result[at++] = words->backing;
		else if (argv[i] == options->mountpoint_word)
			result[at++] = words->mountpoint;
		else
			result[at++] = argv[i];
	}
	return result;
}

int successor_argv_parse(struct options *options, int argc, char **argv)
{
	autofree char **arguments = calloc((size_t)argc, sizeof(*arguments));

	if (!arguments)
		return -ENOMEM;
	arguments[0] = argv[0];
	memcpy(arguments + 1, argv + 2, ((size_t)argc - 2) * sizeof(*argv));
	return options_parse(options, argc - 1, arguments);
}
