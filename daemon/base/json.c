/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macro.h"
#include "base/printable.h"

bool json_next(const char **string, char piece[JSON_PIECE_LEN])
{
	const char *at = *string;
	uint32_t code;
	size_t len = printable_utf8(at, &code);

	if (!*at)
		return false;
	if (len == 0)
		(void)snprintf(piece, JSON_PIECE_LEN, "\\ufffd"); /* all of these fit */
	else if (*at == '"' || *at == '\\')
		(void)snprintf(piece, JSON_PIECE_LEN, "\\%c", *at);
	else if (!printable_len(at))
		(void)snprintf(piece, JSON_PIECE_LEN, "\\u%04x", code & 0xffffu); /* is no more */
	else
		(void)snprintf(piece, JSON_PIECE_LEN, "%.*s", (int)len, at);
	*string += MAX(len, 1u);
	return true;
}
