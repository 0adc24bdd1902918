/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson status` shows the answer of a daemon, as text and as JSON. The daemon's version may
 * differ from the tool's during an upgrade. So an unknown key is shown as a string, and a missing
 * one is left out. The answer isn't trusted, because the mount's owner may be any user.
 */
#ifndef CAISSON_STATUS_PRINT_H
#define CAISSON_STATUS_PRINT_H

#include <stdio.h>

struct json_object;

/*
 * Parses TEXT, which has the form that status.h describes, and overwrites it. Returns a document
 * with a member for each key, and the queues in the array "queue"; or NULL if TEXT hasn't that
 * form. json_object_put() is due.
 */
struct json_object *status_parse(char *text);

/* Prints STATUS as text: a line for each member, and one for each queue. */
void status_print(FILE *out, struct json_object *status);

#endif
