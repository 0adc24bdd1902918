/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/ask.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/procfs.h"
#include "host/control.h"
#include "tool/status-print.h"
#include "tool/tell.h"

/* How often to ask if a server ends before it answers, and how long to wait before. */
#define AGAIN	 3
#define AGAIN_MS 50

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

/* Asks the daemon of answer->mount. Returns NULL, or why there is no answer. */
static const char *fetch(struct answer *answer)
{
	static char text[CONTROL_ANSWER_LEN + 1];
	const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
	int r = -ECONNRESET;

	/* one server may just have ended, and another taken over */
	for (int i = 0; i < AGAIN && (r == -ECONNRESET || r == -ECONNREFUSED); i++) {
		if (i)
			(void)nanosleep(&pause, NULL);
		r = control_ask(&answer->mount, "status", text, sizeof(text), &answer->server);
	}
	if (r < 0)
		return ask_error(r);
	if (strncmp(text, "error: ", 7) == 0) {
		text[strcspn(text, "\n")] = '\0';
		return text + 7;
	}
	/* an empty line ends it */
	if (r < 2 || (size_t)r != strlen(text) || strcmp(text + r - 2, "\n\n") != 0)
		return "its answer is cut short";
	answer->status = status_parse(text);
	return answer->status ? NULL : "its answer is not understood";
}

int ask(const char *mountpoint, struct answer *answer)
{
	autofree char *path = NULL;
	const char *why;
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
	why = fetch(answer);
	if (!why)
		return EXIT_FINE;
	tell("%s: ask caissond: %s", path, why);
	return EXIT_CANNOT_SERVE;
}

bool ask_again(struct answer *answer)
{
	(void)json_object_put(answer->status);
	answer->status = NULL;
	return !fetch(answer);
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

bool ask_is_owners(const struct answer *answer, pid_t pid)
{
	uid_t uid;

	return read_user(pid, &uid) && uid == answer->mount.owner;
}

pid_t ask_keeper(const struct answer *answer)
{
	struct json_object *alive = json_object_object_get(answer->status, "keeper_alive");

	if (json_object_is_type(alive, json_type_boolean) && !json_object_get_boolean(alive))
		return 0;
	return answer->server ? read_parent(answer->server) : 0;
}

int ask_for_processes(const char *mountpoint, pid_t pids[static 3], size_t *ret_count)
{
	struct answer answer;
	int code = ask(mountpoint, &answer);
	size_t count = 1;
	pid_t keeper;

	if (code != EXIT_FINE)
		return code;
	keeper = ask_keeper(&answer);
	pids[2] = (pid_t)json_object_get_int(
		json_object_object_get(answer.status, "spare_pid")); /* 0: there is none */
	(void)json_object_put(answer.status);
	if (!answer.server) {
		tell("%s: find the processes of its caissond: they are in another PID namespace",
		     mountpoint);
		return EXIT_CANNOT_SERVE;
	}
	pids[0] = answer.server;
	pids[1] = keeper;
	if (keeper)
		count = 2;
	if (count == 2 && pids[2] > 0 && read_parent(pids[2]) == keeper)
		count = 3; /* it is here: a PID of another namespace has another parent */
	for (size_t i = 0; i < count; i++) {
		if (ask_is_owners(&answer, pids[i]))
			continue;
		tell("%s: find the processes of its caissond: PID %d isn't one of the mount's "
		     "owner",
		     mountpoint, (int)pids[i]);
		return EXIT_CANNOT_SERVE;
	}
	*ret_count = count;
	return EXIT_FINE;
}
