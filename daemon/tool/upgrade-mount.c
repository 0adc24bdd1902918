/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/upgrade-mount.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/exit-code.h"
#include "base/printable.h"
#include "tool/ask.h"
#include "tool/tell.h"

/* How often to ask, and how many times: longer than the keeper waits for a successor. */
#define LOOK_MS 50
#define LOOKS	1200

#define TEXT_LEN 200

/* Copies the value of KEY, of which nothing disturbs a terminal. Returns TEXT. */
static const char *get_text(const struct answer *answer, const char *key,
			    char text[static TEXT_LEN])
{
	const char *value = json_object_get_string(json_object_object_get(answer->status, key));

	(void)snprintf(text, TEXT_LEN, "%s", value ? value : "?"); /* a long one is cut */
	printable_line(text);
	return text;
}

/* How many upgrades the daemon has tried, or -1: it is of a version that can't be upgraded. */
static int64_t count_upgrades(const struct answer *answer)
{
	struct json_object *upgrades = json_object_object_get(answer->status, "upgrades");

	return upgrades ? json_object_get_int64(upgrades) : -1;
}

/* Asks the keeper for an upgrade. Returns NULL, or why it can't be asked. */
static const char *request(const struct answer *answer)
{
	pid_t keeper = ask_keeper(answer);

	if (count_upgrades(answer) < 0)
		return "its version can't be upgraded while it serves";
	if (!keeper || !ask_is_owners(answer, keeper))
		return "its keeper has died, or isn't of this PID namespace";
	/* not kill(): see asks_for_upgrade() in keeper.c */
	return sigqueue(keeper, SIGHUP, (union sigval){ 0 }) < 0 ? strerror(errno) : NULL;
}

/* Waits until the daemon has tried more than TRIED upgrades. Returns whether it has. */
static bool await_end(struct answer *answer, int64_t tried)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };

	for (int look = 0; look < LOOKS; look++) {
		(void)nanosleep(&pause, NULL); /* a signal makes it shorter */
		/* no answer: one server ends, the next begins */
		if (ask_again(answer) && count_upgrades(answer) > tried)
			return true;
	}
	return false;
}

int upgrade_command(const char *mountpoint)
{
	char before[TEXT_LEN], now[TEXT_LEN], outcome[TEXT_LEN], pause[TEXT_LEN];
	struct answer answer;
	const char *why;
	int code = ask(mountpoint, &answer);

	if (code != EXIT_FINE)
		return code;
	(void)get_text(&answer, "version", before);
	why = request(&answer);
	if (!why && !await_end(&answer, count_upgrades(&answer)))
		why = "no answer within a minute (see caisson status and the log)";
	(void)get_text(&answer, "version", now);
	(void)get_text(&answer, "pause_ms", pause);
	if (!why && strcmp(get_text(&answer, "last_upgrade", outcome), "done") != 0)
		why = outcome;
	(void)json_object_put(answer.status);
	if (why) {
		tell("%s: upgrade: %s; version %s serves", mountpoint, why, now);
		return EXIT_CANNOT_SERVE;
	}
	printf("%s: upgrade: done: version %s serves, before it was %s; pause %s ms\n", mountpoint,
	       now, before, pause);
	return EXIT_FINE;
}
