/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"

#include <stddef.h>
#include <stdio.h>

#include "macro.h"

/*
 * The length of the UTF-8 character at TEXT, or 0 if it isn't one (RFC 3629: none that is longer
 * than it need be, no surrogates, nothing beyond U+10FFFF).
 */
static size_t utf8_len(const unsigned char *text)
{
	static const struct {
		unsigned char first, last, low, high; /* of the first byte; of the second */
		size_t len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (text[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t at = 2;

		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		if (text[1] < forms[i].low || text[1] > forms[i].high)
			return 0;
		while (at < forms[i].len && (text[at] & 0xc0) == 0x80)
			at++;
		return at == forms[i].len ? at : 0;
	}
	return 0;
}

bool json_next(const char **string, char piece[JSON_PIECE_LEN])
{
	const unsigned char *at = (const unsigned char *)*string;
	size_t len = utf8_len(at);

	if (!*at)
		return false;
	if (len == 0)
		(void)snprintf(piece, JSON_PIECE_LEN, "\\ufffd"); /* all of these fit */
	else if (*at == '"' || *at == '\\')
		(void)snprintf(piece, JSON_PIECE_LEN, "\\%c", *at);
	else if (*at < ' ' || *at == 0x7f)
		(void)snprintf(piece, JSON_PIECE_LEN, "\\u%04x", *at);
	else
		(void)snprintf(piece, JSON_PIECE_LEN, "%.*s", (int)len, *string);
	*string += MAX(len, 1u);
	return true;
}
