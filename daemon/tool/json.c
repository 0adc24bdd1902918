/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/json.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit-code.h"
#include "base/printable.h"
#include "tool/tell.h"

/* Ends the program unless IS_THERE. */
static void check(bool is_there)
{
	if (is_there)
		return;
	tell("JSON document: make: %s", strerror(ENOMEM));
	exit(EXIT_CANNOT_SERVE);
}

void json_add(struct json_object *object, const char *key, struct json_object *value)
{
	check(object && value && json_object_object_add(object, key, value) == 0);
}

void json_add_null(struct json_object *object, const char *key)
{
	check(object && json_object_object_add(object, key, NULL) == 0);
}

void json_append(struct json_object *array, struct json_object *value)
{
	check(array && value && json_object_array_add(array, value) == 0);
}

void json_print(FILE *out, struct json_object *document, int flags)
{
	const char *at =
		json_object_to_json_string_ext(document, flags | JSON_C_TO_STRING_NOSLASHESCAPE);

	check(document && at);
	/* characters to be escaped are in strings, in which json-c has escaped newlines already */
	while (*at) {
		size_t len = *at == '\n' ? 1 : printable_len(at);
		uint32_t code;

		if (len) {
			fprintf(out, "%.*s", (int)len, at);
		} else {
			len = printable_utf8(at, &code);
			fprintf(out, "\\u%04x", (unsigned)(len ? code : 0xfffd));
		}
		at += len ? len : 1;
	}
}
