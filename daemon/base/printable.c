/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/printable.h"

#include <stdbool.h>

#include "base/macro.h"

/* RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
size_t printable_utf8(const char *text, uint32_t *ret_code)
{
	static const struct {
		unsigned char first, last, low, high; /* range of the first byte; of the second */
		size_t len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *byte = (const unsigned char *)text;

	*ret_code = byte[0];
	if (byte[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t len = forms[i].len, at = 1;
		uint32_t code = byte[0] & (0xffu >> (len + 1));

		if (byte[0] < forms[i].first || byte[0] > forms[i].last)
			continue;
		if (byte[1] < forms[i].low || byte[1] > forms[i].high)
			return 0;
		for (; at < len && (byte[at] & 0xc0) == 0x80; at++)
			code = code << 6 | (byte[at] & 0x3f);
		*ret_code = code;
		return at == len ? len : 0;
	}
	return 0;
}

static bool is_control(uint32_t code)
{
	return code < ' ' || (code >= 0x7f && code < 0xa0) ||
	       (code >= 0x2028 && code <= 0x202e) || /* separators of lines; directions */
	       (code >= 0x2066 && code <= 0x2069) || /* more directions, and these: */
	       code == 0x200e || code == 0x200f || code == 0x061c;
}

size_t printable_len(const char *text)
{
	uint32_t code;
	size_t len = printable_utf8(text, &code);

	return is_control(code) ? 0 : len;
}

void printable_line(char *text)
{
	while (*text) {
		size_t len = printable_len(text);

		if (!len)
			*text = '?';
		text += len ? len : 1;
	}
}
