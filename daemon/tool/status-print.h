/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson status`: what a daemon answers, for people and for programs. The daemon's version may
 * differ from ours during an upgrade, so a key that isn't known here is shown as a string, and one
 * that isn't sent is left out. The answer is the word of the mount's owner, who may be anybody.
 */
#ifndef CAISSON_STATUS_PRINT_H
#define CAISSON_STATUS_PRINT_H

#include <stdio.h>

struct json_object;

/*
 * The JSON document of TEXT, which has the form of status.h and is overwritten: a member for each
 * key, and the queues as an array, "queue". NULL where TEXT hasn't that form. For
 * json_object_put().
 */
struct json_object *status_parse(char *text);

/* Prints it as text: a line for each member and for each queue. */
void status_print(FILE *out, struct json_object *status);

#endif
