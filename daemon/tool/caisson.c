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
#include "tool/audit-print.h"
#include "tool/json.h"
#include "tool/run.h"
#include "tool/status-print.h"
#include "tool/tell.h"
#include "tool/umount.h"
#include "tool/zoned.h"

/* The options of `status` and `audit`. */
static const struct option options[] = { ARGUMENTS_FLAG("json"), { 0 } };

static const char *ask_error(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "no caissond listens (is it one of its mounts?)";
	case -ECONNRESET:
		return "it closed the connection: only root and its own user may ask";
	case -EPERM:
		return "who listens isn't the owner of the mount";
	case -ENOSPC:
		return "its answer is too long";
	default:
		return strerror(-error);
	}
}

/* The answer of a mount's daemon. */
struct answer {
	struct mountinfo mount;
	pid_t server;		    /* as the kernel tells; 0: of another PID namespace */
	struct json_object *status; /* as the daemon tells, whose owner may be any user */
};

/* Asks the daemon of MOUNTPOINT. Returns an exit code, after a message if it isn't EXIT_FINE. */
static int ask(const char *mountpoint, struct answer *answer)
{
	static char text[CONTROL_ANSWER_LEN + 1];
	autofree char *path = NULL;
	int r;

	r = mountinfo_path(mountpoint, &path);
	if (r < 0) {
		tell("%s: look up: %s", mountpoint, strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	r = mountinfo_find(path, &answer->mount);
	if (r < 0 || !answer->mount.is_fuse) {
		tell("%s: find its mount: %s", path,
		     r == -ENOENT ? "nothing is mounted there"
		     : r < 0	  ? strerror(-r)
				  : "what is mounted there isn't a FUSE filesystem");
		return EXIT_CANNOT_SERVE;
	}
	r = control_ask(&answer->mount, "status", text, sizeof(text), &answer->server);
	if (r < 0) {
		tell("%s: ask caissond: %s", path, ask_error(r));
		return EXIT_CANNOT_SERVE;
	}
	if (strncmp(text, "error: ", 7) == 0) {
		tell("%s: ask caissond: %.*s", path, (int)strcspn(text + 7, "\n"), text + 7);
		return EXIT_CANNOT_SERVE;
	}
	/* an empty line ends it */
	if (r < 2 || (size_t)r != strlen(text) || strcmp(text + r - 2, "\n\n") != 0) {
		tell("%s: ask caissond: its answer is cut short", path);
		return EXIT_CANNOT_SERVE;
	}
	answer->status = status_parse(text);
	if (!answer->status) {
		tell("%s: ask caissond: its answer is not understood", path);
		return EXIT_CANNOT_SERVE;
	}
	return EXIT_FINE;
}

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

/* Reads the effective user of process PID. Returns false if that isn't known. */
static bool read_user(pid_t pid, uid_t *ret_uid)
{
	char path[32], ids[64];
	unsigned effective;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid); /* fits */
	if (procfs_read_value(path, "Uid", ids, sizeof(ids)) < 0 ||
	    sscanf(ids, "%*u %u", &effective) != 1)
		return false;
	*ret_uid = effective;
	return true;
}

/* The parent of process PID, or 0 if that isn't known. */
static pid_t read_parent(pid_t pid)
{
	uint64_t parent;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid); /* fits */
	return procfs_read_number(path, "PPid", 10, &parent) == 0 ? (pid_t)parent : 0;
}

/*
 * Finds the processes of MOUNTPOINT's daemon: the server, the keeper unless it has died, and the
 * spare if there is one. The daemon is only asked whether it has them, and for the spare's PID. The
 * kernel tells which processes these are: the server made the socket listen, the keeper is its
 * parent and the spare's, and all belong to the mount's owner. Returns an exit code, after a
 * message if it isn't EXIT_FINE.
 */
static int find_processes(const char *mountpoint, pid_t pids[static 3], size_t *ret_count)
{
	struct answer answer;
	int code = ask(mountpoint, &answer);
	struct json_object *alive;
	size_t count = 2;
	uid_t uid;

	if (code != EXIT_FINE)
		return code;
	alive = json_object_object_get(answer.status, "keeper_alive");
	if (json_object_is_type(alive, json_type_boolean) && !json_object_get_boolean(alive))
		count = 1;
	pids[2] = (pid_t)json_object_get_int(
		json_object_object_get(answer.status, "spare_pid")); /* 0: there is none */
	(void)json_object_put(answer.status);
	if (!answer.server) {
		tell("%s: find the processes of its caissond: they are in another PID namespace",
		     mountpoint);
		return EXIT_CANNOT_SERVE;
	}
	pids[0] = answer.server;
	pids[1] = read_parent(answer.server);
	if (count == 2 && pids[2] > 0 && read_parent(pids[2]) == pids[1])
		count = 3; /* it is here: a PID of another namespace has another parent */
	for (size_t i = 0; i < count; i++) {
		if (read_user(pids[i], &uid) && uid == answer.mount.owner)
			continue;
		tell("%s: find the processes of its caissond: PID %d isn't one of the mount's "
		     "owner",
		     mountpoint, (int)pids[i]);
		return EXIT_CANNOT_SERVE;
	}
	*ret_count = count;
	return EXIT_FINE;
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
		code = find_processes(object, pids, &count);
		if (code != EXIT_FINE)
			return code;
	}
	return finish_output((int)audit_command(stdout, stderr, pids, count, json));
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
