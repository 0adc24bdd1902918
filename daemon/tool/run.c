/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mark and the OOM score outlive execve(), so this program sets them. The memory lock doesn't,
 * so libcaisson-lock.so sets it from inside the command. The dynamic linker ignores a library that
 * it can't preload. So this program finds out first whether it can.
 */
#include "tool/run.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "caisson/reclaim.h"
#include "reclaim/lock-preload.h"
#include "reclaim/oom.h"
#include "tool/arguments.h"
#include "tool/program.h"
#include "tool/tell.h"

#define LIBRARY_VARIABLE "CAISSON_LOCK_LIBRARY" /* names a library other than the installed one */

struct run {
	bool require_io_flusher, require_mlock;
	char **command;
};

/* Our options end with "--" or with the command, which has options of its own. */
static bool parse(int argc, char **argv, struct run *ret_run)
{
	/* a value must follow "=", or "--mlock command" would take the command for the value */
	static const struct option options[] = {
		{ "io-flusher", optional_argument, NULL, 'i' },
		{ "mlock", optional_argument, NULL, 'm' },
		{ 0 },
	};
	struct run run = { .require_io_flusher = true, .require_mlock = true };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == '?') {
			tell("option %s: parse: unknown", arguments_refused(argv));
			return false;
		}
		if (!optarg || (strcmp(optarg, "require") != 0 && strcmp(optarg, "off") != 0)) {
			tell("option %s: parse: =require or =off is expected", argv[optind - 1]);
			return false;
		}
		*(c == 'i' ? &run.require_io_flusher : &run.require_mlock) = optarg[0] == 'r';
	}
	if (optind == argc) {
		tell("run: parse: a command is expected");
		return false;
	}
	run.command = argv + optind;
	*ret_run = run;
	return true;
}

/* Sets the mark (S1), before anything that allocates. */
static int mark(const struct run *run)
{
	struct caisson_scope scope; /* never left, as the command keeps it */
	int r;

	if (!run->require_io_flusher)
		return EXIT_FINE;
	r = caisson_flusher_enter(&scope);
	if (r == 0)
		return EXIT_FINE;
	tell("IO_FLUSHER state: set: %s (needs CAP_SYS_RESOURCE in the initial user "
	     "namespace; --io-flusher=off runs %s without, not safe to stack on)",
	     strerror(-r), run->command[0]);
	return EXIT_UNSAFE;
}

static void warn_of_choice(const struct run *run)
{
	if (run->require_io_flusher && run->require_mlock)
		return;
	tell("%s: run: not safe to stack on (%s%s%s)", run->command[0],
	     run->require_io_flusher ? "" : "--io-flusher=off",
	     run->require_io_flusher || run->require_mlock ? "" : ", ",
	     run->require_mlock ? "" : "--mlock=off");
}

/* Sets the OOM score (S12). If that fails, the command runs without. */
static void protect_from_oom(const struct run *run)
{
	int r = oom_protect();

	if (r < 0)
		tell("oom_score_adj of %s: set to -1000: %s (needs CAP_SYS_RESOURCE; "
		     "the OOM killer may take it)",
		     run->command[0], strerror(-r));
}

static int tell_unexecuted(const char *object, const char *action, int error)
{
	tell("%s: %s: %s", object, action, strerror(-error));
	return error == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTED;
}

/* Checks that the program PATH will load LIBRARY. Returns 0 or an exit code. */
static int check_program(const char *path, const char *library)
{
	struct program_verdict verdict;
	int r = program_judge(path, &verdict);

	if (r == -ENOENT)
		return tell_unexecuted(path, "find it and its interpreter", r);
	if (r < 0) {
		tell("%s: find out whether it can be locked: %s", path, strerror(-r));
		return EXIT_UNSAFE;
	}
	if (verdict.preload != PROGRAM_PRELOADS) {
		tell("%s: preload %s: %s (--mlock=off runs it unlocked)", verdict.file, library,
		     program_preload_reason(verdict.preload));
		return EXIT_UNSAFE;
	}
	if (verdict.is_script)
		tell("%s: run: it is a script: %s is locked, and nothing that "
		     "it starts or executes",
		     path, verdict.file);
	return EXIT_FINE;
}

/* ERROR without "OBJECT: " at its beginning, which the caller prints. */
static const char *without_prefix(const char *error, const char *object)
{
	size_t len = strlen(object);

	return strncmp(error, object, len) == 0 && strncmp(error + len, ": ", 2) == 0
		       ? error + len + 2
		       : error;
}

/*
 * Checks that the dynamic linker, which is also the command's, can load LIBRARY, and that LIBRARY
 * is the one that locks. It stays loaded until execve(). Returns NULL, or the reason why not.
 */
static const char *check_library(const char *library)
{
	const char *version;
	void *handle;

	if (library[0] != '/' || strpbrk(library, ": \t\n"))
		return "a path from the root is expected, without blanks and colons";
	(void)unsetenv(LOCK_PRELOAD_VARIABLE); /* tells its constructor to do nothing here */
	handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return without_prefix(dlerror(), library);
	version = dlsym(handle, LOCK_PRELOAD_SYMBOL);
	if (!version)
		return "it isn't libcaisson-lock.so";
	return strcmp(version, CAISSON_VERSION) ? "it is of another version" : NULL;
}

/* Raises the limit for a command that gives the capability up. */
static int raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ? -errno : 0;
}

/* Puts LIBRARY first, so that its constructor recognises its own entry. */
static int preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	autofree char *list = NULL;

	if (asprintf(&list, "%s%s%s", library, others ? ":" : "", others ? others : "") < 0)
		return -ENOMEM;
	if (setenv("LD_PRELOAD", list, 1) < 0 || setenv(LOCK_PRELOAD_VARIABLE, library, 1) < 0)
		return -errno;
	return 0;
}

/* Makes the command lock its memory (S3). Returns 0 or an exit code. */
static int arrange_lock(const struct run *run, const char *library, char path[PATH_MAX])
{
	const char *wrong;
	int r, code;

	r = program_find(run->command[0], path);
	if (r < 0)
		return tell_unexecuted(run->command[0], "find", r);
	wrong = check_library(library);
	if (wrong) {
		tell("%s: load: %s (it locks the memory of %s; --mlock=off does "
		     "without)",
		     library, wrong, run->command[0]);
		return EXIT_UNSAFE;
	}
	code = check_program(path, library);
	if (code)
		return code;
	r = raise_limit();
	if (r == 0)
		r = preload(library);
	if (r == 0)
		return EXIT_FINE;
	tell("memory of %s: prepare to lock: %s", path, strerror(-r));
	return EXIT_UNSAFE;
}

int run_command(int argc, char **argv)
{
	const char *library = getenv(LIBRARY_VARIABLE);
	char path[PATH_MAX];
	const char *file = path;
	struct run run;
	int code;

	if (!parse(argc, argv, &run))
		return EXIT_USAGE;
	code = mark(&run);
	if (code)
		return code;
	if (!library)
		library = CAISSON_LOCK_LIBRARY;
	(void)unsetenv(LIBRARY_VARIABLE); /* the string outlives this function */
	if (run.require_mlock)
		code = arrange_lock(&run, library, path);
	else
		file = run.command[0];
	if (code)
		return code;
	/* warnings come last, so that a failure is a single line */
	warn_of_choice(&run);
	protect_from_oom(&run);
	(void)execvp(file, run.command);
	return tell_unexecuted(file, "execute", -errno);
}
