/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON documents, built and printed with json-c. These calls end the program, with a message, where
 * there is no memory, so that nothing is left out of a document in silence.
 */
#ifndef CAISSON_JSON_H
#define CAISSON_JSON_H

#include <stdio.h>

struct json_object;

/* Adds VALUE, which was just made and belongs to OBJECT then, as KEY. */
void json_add(struct json_object *object, const char *key, struct json_object *value);
void json_add_null(struct json_object *object, const char *key);

/* Adds VALUE to the end of ARRAY, likewise. */
void json_append(struct json_object *array, struct json_object *value);

/*
 * Prints DOCUMENT with json-c's FLAGS, and no newline after it. Strings in it may be any bytes: one
 * that isn't UTF-8 becomes U+FFFD, and a character that had better not reach a terminal
 * (printable.h) is escaped.
 */
void json_print(FILE *out, struct json_object *document, int flags);

#define JSON_PRETTY (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED)

#endif
