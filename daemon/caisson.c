/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command-line tool. Never touches a mount that it is asked about: it could hang. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "audit-print.h"
#include "cleanup.h"
#include "control.h"
#include "exit-code.h"
#include "macro.h"
#include "mountinfo.h"
#include "run.h"
#include "zoned.h"

static int usage(FILE *out, const char *name);

struct arguments {
	const char *object; /* MOUNTPOINT or PID */
	bool json;
};

/* One object and --json, in any order. False: not understood, and told so. */
static bool parse_arguments(int argc, char **argv, struct arguments *ret_arguments)
{
	struct arguments arguments = { 0 };
	bool only_objects = false;

	for (int i = 1; i < argc; i++) {
		if (!only_objects && strcmp(argv[i], "--") == 0) {
			only_objects = true;
		} else if (!only_objects && strcmp(argv[i], "--json") == 0) {
			arguments.json = true;
		} else if (!only_objects && argv[i][0] == '-') {
			fprintf(stderr, "caisson: option %s: parse: unknown\n", argv[i]);
			return false;
		} else if (arguments.object) {
			fprintf(stderr, "caisson: %s: parse: one argument is expected\n", argv[i]);
			return false;
		} else {
			arguments.object = argv[i];
		}
	}
	if (!arguments.object) {
		(void)usage(stderr, argv[0]);
		return false;
	}
	*ret_arguments = arguments;
	return true;
}

static const char *ask_error(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "no caissond listens (is it one of its mounts?)";
	case -ECONNRESET:
		return "it closed the connection: only root and its own user may ask";
	default:
		return strerror(-error);
	}
}

/* Asks the daemon of MOUNTPOINT. Returns an exit code; what is wrong has been told. */
static int ask(const char *mountpoint, const char *request, char *answer, uint32_t len)
{
	autofree char *path = NULL;
	struct mountinfo mount;
	int r;

	r = mountinfo_path(mountpoint, &path);
	if (r < 0) {
		fprintf(stderr, "caisson: %s: look up: %s\n", mountpoint, strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	r = mountinfo_find(path, &mount);
	if (r < 0 || !mount.is_fuse) {
		fprintf(stderr, "caisson: %s: find its mount: %s\n", path,
			r == -ENOENT ? "nothing is mounted there"
			: r < 0	     ? strerror(-r)
				     : "what is mounted there isn't a FUSE filesystem");
		return EXIT_CANNOT_SERVE;
	}
	r = control_ask(&mount, request, answer, len);
	if (r >= 0 && strncmp(answer, "error: ", 7) == 0) {
		fprintf(stderr, "caisson: %s: ask caissond for \"%s\": %s", path, request,
			answer + 7);
		return EXIT_CANNOT_SERVE;
	}
	if (r < 0) {
		fprintf(stderr, "caisson: %s: ask caissond: %s\n", path, ask_error(r));
		return EXIT_CANNOT_SERVE;
	}
	return EXIT_FINE;
}

/* What was printed has reached its file or pipe, or that was told. */
static int finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "caisson: standard output: write: %s\n", strerror(errno));
	return EXIT_CANNOT_SERVE;
}

static int command_status(int argc, char **argv)
{
	static char answer[CONTROL_ANSWER_LEN + 1];
	struct arguments arguments;
	int code;

	if (!parse_arguments(argc, argv, &arguments))
		return EXIT_USAGE;
	code = ask(arguments.object, arguments.json ? "status" : "status text", answer,
		   sizeof(answer));
	if (code != EXIT_FINE)
		return code;
	(void)fputs(answer, stdout); /* finish_output() asks how it went */
	return finish_output(EXIT_FINE);
}

/* A number is a PID; a directory of such a name is given as ./NAME. */
static bool parse_pid(const char *text, pid_t *ret_pid)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end)
		return false;
	*ret_pid = errno || pid > INT32_MAX ? 0 : (pid_t)pid;
	return true;
}

static int command_audit(int argc, char **argv)
{
	struct arguments arguments;
	size_t count = 1;
	pid_t pids[2];
	char answer[64];
	int code;

	if (!parse_arguments(argc, argv, &arguments))
		return EXIT_USAGE;
	if (parse_pid(arguments.object, &pids[0])) {
		if (pids[0] == 0) {
			fprintf(stderr, "caisson: %s: parse: isn't a PID\n", arguments.object);
			return EXIT_USAGE;
		}
	} else {
		code = ask(arguments.object, "pids", answer, sizeof(answer));
		if (code != EXIT_FINE)
			return code;
		if (sscanf(answer, "%d %d", &pids[0], &pids[1]) != 2 || pids[0] <= 0) {
			fprintf(stderr, "caisson: %s: ask caissond for pids: not understood\n",
				arguments.object);
			return EXIT_CANNOT_SERVE;
		}
		count = pids[1] > 0 ? 2 : 1; /* the keeper may have died */
	}
	return finish_output((int)audit_command(stdout, stderr, pids, count, arguments.json));
}

static int command_zoned(int argc, char **argv)
{
	return finish_output(zoned_command(argc, argv));
}

static int command_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return finish_output(usage(stdout, NULL));
}

static int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("caisson %s\n", CAISSON_VERSION);
	return finish_output(EXIT_FINE);
}

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *help;
} commands[] = {
	{ "status", command_status, "MOUNTPOINT [--json]",
	  "what a mount does: mode, features, memory, counters, and whether it is safe to stack on" },
	{ "audit", command_audit, "MOUNTPOINT|PID [--json]",
	  "every task of a mount's daemon, or of any process: exits 0 if all are marked and locked" },
	{ "run", run_command,
	  "[--io-flusher=require|off] [--mlock=require|off] [--] COMMAND [ARGUMENT...]",
	  "execute another storage daemon marked, locked, and last for the OOM killer to take" },
	{ "zoned", command_zoned, "create|attach|detach|report ...",
	  "directories of zones for zloop, and what dm-zoned can then use" },
	{ "help", command_help, "", "print this" },
	{ "--help", command_help, NULL, NULL },
	{ "-h", command_help, NULL, NULL },
	{ "--version", command_version, NULL, NULL },
	{ "-V", command_version, NULL, NULL },
};

/* Of all commands, or of the one that is called NAME. */
static int usage(FILE *out, const char *name)
{
	if (!name)
		fprintf(out, "usage: caisson COMMAND [ARGUMENTS]\n"
			     "       caisson --version\n\ncommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *command = &commands[i];

		if (!name && command->help)
			fprintf(out, "  %s %s\n      %s\n", command->name, command->arguments,
				command->help);
		else if (name && command->arguments && strcmp(name, command->name) == 0)
			fprintf(out, "usage: caisson %s %s\n", command->name, command->arguments);
	}
	return EXIT_FINE;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)usage(stderr, NULL);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "caisson: %s: run: no such command; try caisson help\n", argv[1]);
	return EXIT_USAGE;
}
