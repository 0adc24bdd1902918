/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parser of the command line: libfuse's fuse_opt. options-word.c has the words of -o. */
#include "host/options.h"

#include <errno.h>
#include <fuse_log.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/options-word.h"

/* Logs a message of libfuse, which is one line. */
__attribute__((format(printf, 2, 0))) static void log_for_libfuse(enum fuse_log_level level,
								  const char *format, va_list args)
{
	char text[400];
	size_t len;

	(void)vsnprintf(text, sizeof(text), format, args); /* a long one is cut */
	len = strlen(text);
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	log_message(level <= FUSE_LOG_ERR ? LOG_LEVEL_FAIL : LOG_LEVEL_WARN, "%s", text);
}

enum key { KEY_HELP, KEY_VERSION, KEY_HELPER_VALUE };

static const struct fuse_opt spec[] = {
	FUSE_OPT_KEY("-h", KEY_HELP),
	FUSE_OPT_KEY("--help", KEY_HELP),
	FUSE_OPT_KEY("-V", KEY_VERSION),
	FUSE_OPT_KEY("--version", KEY_VERSION),
	FUSE_OPT_KEY("-t ", KEY_HELPER_VALUE),
	FUSE_OPT_KEY("-N ", KEY_HELPER_VALUE),
	FUSE_OPT_END,
};

/* The state of a parse. */
struct parse {
	struct options *options;
	char *mount_options; /* separated by commas, escaped */
};

/* Takes -sfnv, with which mount(8) calls a helper: sloppy, fake, no mtab, verbose. */
static int take_helper_flags(struct options *options, const char *word)
{
	for (const char *flag = word + 1; *flag; flag++) {
		switch (*flag) {
		case 's':
			options->sloppy = true;
			break;
		case 'f':
			options->done = true;
			break;
		case 'n':
		case 'v':
			break;
		default:
			return options_refuse(word, "unknown");
		}
	}
	return 0;
}

static int take_path(struct options *options, const char *path)
{
	bool is_first = !options->backing;
	char **field = is_first ? &options->backing : &options->mountpoint;

	if (*field)
		return options_refuse(path, "only BACKING and MOUNTPOINT are expected");
	*(is_first ? &options->backing_word : &options->mountpoint_word) = path;
	*field = strdup(path);
	return *field ? 0 : -1;
}

static int take(void *data, const char *word, int key, struct fuse_args *out)
{
	struct parse *parse = data;
	struct options *options = parse->options;

	(void)out;
	switch (key) {
	case KEY_HELP:
		options_print_help();
		options->done = true;
		return 0;
	case KEY_VERSION:
		printf("caissond %s\n", CAISSON_VERSION);
		options->done = true;
		return 0;
	case KEY_HELPER_VALUE:
		if (options->helper && word[1] == 't')
			return 0; /* there is only one type */
		return options_refuse(word, options->helper ? "mount namespaces: use nsenter"
							    : "unknown");
	case FUSE_OPT_KEY_NONOPT:
		return take_path(options, word);
	default:
		break;
	}
	if (word[0] != '-' && options->remount) {
		options_take_remount_word(options, word);
		return 0;
	}
	if (word[0] != '-')
		return options_take_word(options, word, &parse->mount_options);
	if (strcmp(word, "--") == 0)
		return 0;
	if (options->helper)
		return take_helper_flags(options, word);
	if (strcmp(word, "-f") != 0)
		return options_refuse(word, "unknown");
	options->foreground = true;
	return 0;
}

/* Sets the mount's source and type, unless options have set them. */
static int name_mount(struct parse *parse)
{
	const struct options *options = parse->options;
	autofree char *fsname = NULL, *whole = NULL;

	if (!options->subtype_given &&
	    fuse_opt_add_opt(&parse->mount_options, "subtype=caisson") < 0)
		return -ENOMEM;
	if (options->fsname_given)
		return 0;
	if (options->backing[0] != '/') /* if it isn't there, that is told later */
		whole = realpath(options->backing, NULL);
	if (asprintf(&fsname, "fsname=%s", whole ? whole : options->backing) < 0) {
		fsname = NULL;
		return -ENOMEM;
	}
	return fuse_opt_add_opt_escaped(&parse->mount_options, fsname) < 0 ? -ENOMEM : 0;
}

static int make_mount_args(struct options *options, const char *mount_options)
{
	if (fuse_opt_add_arg(&options->mount_args, "caissond") < 0 ||
	    fuse_opt_add_arg(&options->mount_args, "-o") < 0 ||
	    fuse_opt_add_arg(&options->mount_args, mount_options) < 0)
		return -ENOMEM;
	return 0;
}

static bool is_mount_helper(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');

	return strncmp(slash ? slash + 1 : argv0, "mount.", 6) == 0;
}

/* Whether LIST, whose items are separated by commas, has WORD. */
static bool list_has(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (;; list++) {
		if (strncmp(list, word, len) == 0 && (list[len] == ',' || list[len] == '\0'))
			return true;
		list = strchr(list, ',');
		if (!list)
			return false;
	}
}

/* Looks for remount in advance, as it may follow words that only a mount must understand. */
static bool asks_for_remount(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *list = NULL;

		if (strcmp(argv[i], "--") == 0)
			break;
		if (strncmp(argv[i], "-o", 2) == 0)
			list = argv[i][2] ? argv[i] + 2 : argv[++i]; /* ends with NULL */
		if (list && list_has(list, "remount"))
			return true;
	}
	return false;
}

int options_parse(struct options *options, int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct parse parse = { .options = options };
	int r;

	options_set_defaults(options);
	options->helper = argc > 0 && is_mount_helper(argv[0]);
	options->remount = asks_for_remount(argc, argv);
	fuse_set_log_func(log_for_libfuse);

	r = fuse_opt_parse(&args, &parse, spec, take) < 0 ? -EINVAL : 0;
	fuse_opt_free_args(&args);
	if (!r && !options->done && (!options->backing || !options->mountpoint)) {
		log_fail("%s: parse: not given; try caissond --help",
			 options->backing ? "MOUNTPOINT" : "BACKING");
		r = -EINVAL;
	}
	if (!r && !options->done)
		r = name_mount(&parse);
	if (!r && !options->done)
		r = make_mount_args(options, parse.mount_options);
	free(parse.mount_options);
	if (options->serve.recovery && options->serve.transport == TRANSPORT_URING) {
		log_info("transport=uring: serve without recovery: what the kernel has put into a "
			 "ring is lost with it");
		options->serve.recovery = false;
	}
	if (options->hang_timeout_ns && !options->serve.recovery) {
		log_info("hang_timeout: look for threads that hang: only with recovery=on");
		options->hang_timeout_ns = 0;
	}
	if (!options->log_given)
		options->log = options->foreground ? LOG_TARGET_STDERR : LOG_TARGET_SYSLOG;
	return r;
}

void options_destroy(struct options *options)
{
	fuse_opt_free_args(&options->mount_args);
	free(options->backing);
	free(options->mountpoint);
	options->backing = options->mountpoint = NULL;
}
