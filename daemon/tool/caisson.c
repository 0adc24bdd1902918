/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command-line tool. It never touches a mount that it is asked about, which could hang. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/macro.h"
#include "base/mountinfo.h"
#include "base/procfs.h"
#include "host/control.h"
#include "tool/arguments.h"
#include "tool/ask.h"
#include "tool/audit-print.h"
#include "tool/doctor.h"
#include "tool/json.h"
#include "tool/run.h"
#include "tool/status-print.h"
#include "tool/tell.h"
#include "tool/umount.h"
#include "tool/upgrade-mount.h"
#include "tool/watch.h"
#include "tool/zoned.h"

/* The options of `status` and `audit`. */
static const struct option options[] = { ARGUMENTS_FLAG("json"), { 0 } };

/* Makes sure that the output has reached its file or pipe, or else prints a message. */
static int finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	tell("standard output: write: %s", strerror(errno ? errno : EIO));
	return EXIT_CANNOT_SERVE;
}

static int command_status(int argc, char **argv)
{
	const char *mountpoint, *json = NULL;
	struct answer answer;
	int code;

	if (!arguments_parse(argc, argv, options, &json, &mountpoint))
		return EXIT_USAGE;
	code = ask(mountpoint, &answer);
	if (code != EXIT_FINE)
		return code;
	if (json) {
		json_print(stdout, answer.status, JSON_PRETTY);
		putchar('\n');
	} else {
		status_print(stdout, answer.status);
	}
	(void)json_object_put(answer.status);
	return finish_output(EXIT_FINE);
}

/* Parses a PID. A directory whose name is a number can be given as ./NAME. */
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
	const char *object, *json = NULL;
	size_t count = 1;
	pid_t pids[3];
	int code;

	if (!arguments_parse(argc, argv, options, &json, &object))
		return EXIT_USAGE;
	if (parse_pid(object, &pids[0])) {
		if (pids[0] == 0) {
			tell("%s: parse: isn't a PID", object);
			return EXIT_USAGE;
		}
	} else {
		code = ask_for_processes(object, pids, &count);
		if (code != EXIT_FINE)
			return code;
	}
	return finish_output((int)audit_command(stdout, stderr, pids, count, json));
}

static int command_upgrade(int argc, char **argv)
{
	const struct option none[] = { { 0 } };
	const char *mountpoint;

	if (!arguments_parse(argc, argv, none, NULL, &mountpoint))
		return EXIT_USAGE;
	return finish_output(upgrade_command(mountpoint));
}

static int command_doctor(int argc, char **argv)
{
	int code = doctor_command(argc, argv);

	return finish_output(EXIT_FINE) == EXIT_FINE ? code : DOCTOR_CANNOT;
}

static int command_watch(int argc, char **argv)
{
	int code = watch_command(argc, argv);

	return finish_output(EXIT_FINE) == EXIT_FINE ? code : WATCH_CANNOT;
}

static int command_zoned(int argc, char **argv)
{
	return finish_output(zoned_command(argc, argv));
}

static int usage(FILE *out);

static int command_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return finish_output(usage(stdout));
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
	  "what a mount does: mode, features, memory, counters, and whether it is safe to stack "
	  "on" },
	{ "audit", command_audit, "MOUNTPOINT|PID [--json]",
	  "every task of a mount's daemon, or of any process: exits 0 if all are marked and "
	  "locked" },
	{ "upgrade", command_upgrade, "MOUNTPOINT",
	  "have the installed version of caissond go on with a mount that is in use" },
	{ "doctor", command_doctor, "[PATH|DEVICE|PID]... [--all] [--json|--dot]",
	  "draw the storage stack below each and judge where it can deadlock, whatever daemons "
	  "serve it" },
	{ "watch", command_watch, "[--stall SECONDS] [--once] [--json] [--exec COMMAND] [--syslog]",
	  "say who waits for whom when storage hangs, whatever daemons serve it" },
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

static int usage(FILE *out)
{
	fprintf(out, "usage: caisson COMMAND [ARGUMENTS]\n"
		     "       caisson --version\n\ncommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *command = &commands[i];

		if (command->help)
			fprintf(out, "  %s %s\n      %s\n", command->name, command->arguments,
				command->help);
	}
	return EXIT_FINE;
}

int main(int argc, char **argv)
{
	if (argc && strcmp(basename(argv[0]), "umount.fuse.caisson") == 0)
		return umount_command(argc, argv);
	if (argc < 2) {
		(void)usage(stderr);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	tell("%s: run: no such command; try caisson help", argv[1]);
	return EXIT_USAGE;
}
