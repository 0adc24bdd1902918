/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON documents, built and printed with json-c. Without memory these functions end the program
 * with a message, so that no document is incomplete.
 */
#ifndef CAISSON_JSON_H
#define CAISSON_JSON_H

#include <stdio.h>

struct json_object;

/* Adds VALUE, which was just made, as KEY. OBJECT owns it then. */
void json_add(struct json_object *object, const char *key, struct json_object *value);
void json_add_null(struct json_object *object, const char *key);

/* Adds VALUE, which was just made, to the end of ARRAY, which owns it then. */
void json_append(struct json_object *array, struct json_object *value);

/*
 * Prints DOCUMENT with json-c's FLAGS, without a newline. Its strings may hold any bytes. Bytes
 * that aren't UTF-8 become U+FFFD, and characters that could harm a terminal (printable.h) are
 * escaped.
 */
void json_print(FILE *out, struct json_object *document, int flags);

#define JSON_PRETTY (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED)

#endif
