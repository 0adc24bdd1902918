/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strings of JSON, from any bytes. */
#include "base/json.h"

#include "base/macro.h"
#include "test.h"

static void expect(const char *string, const char *expected)
{
	char piece[JSON_PIECE_LEN], got[128] = "";

	while (json_next(&string, piece)) {
		CHECK(strlen(got) + strlen(piece) < sizeof(got));
		strcat(got, piece);
	}
	CHECK_EQ(*string, '\0');
	CHECK_STR(got, expected);
}

static void escapes_what_must_be(void)
{
	expect("", "");
	expect("a b/c", "a b/c");
	expect("\"\\", "\\\"\\\\");
	expect("\n\x1f\x7f", "\\u000a\\u001f\\u007f");
}

static void keeps_utf8(void)
{
	expect("\xc2\xa0 \xdf\xbf", "\xc2\xa0 \xdf\xbf");
	expect("\xc2\x80 \xc2\x9f \xe2\x80\xae", "\\u0080 \\u009f \\u202e"); /* for no terminal */
	expect("\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80", "\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80");
	expect("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf");
}

/* A character a byte, so that nothing behind it is lost. */
static void replaces_the_rest(void)
{
	static const char *const bad[] = {
		"\x80",		    /* a second byte alone */
		"\xc1\xbf",	    /* longer than need be */
		"\xe0\x9f\xbf",	    /* the same */
		"\xed\xa0\x80",	    /* a surrogate */
		"\xf0\x8f\xbf\xbf", /* longer than need be */
		"\xf4\x90\x80\x80", /* beyond U+10FFFF */
		"\xf5\x80\x80\x80",
		"\xff",
		"\xc3",
		"\xe2\x82",
		"\xf0\x9f\x9a", /* cut short */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char string[8], expected[64] = "";

		for (size_t byte = 0; byte < strlen(bad[i]); byte++)
			strcat(expected, "\\ufffd");
		strcat(expected, "x");
		CHECK(snprintf(string, sizeof(string), "%sx", bad[i]) > 0);
		expect(string, expected);
	}
}

int main(void)
{
	RUN(escapes_what_must_be);
	RUN(keeps_utf8);
	RUN(replaces_the_rest);
	return test_result();
}
