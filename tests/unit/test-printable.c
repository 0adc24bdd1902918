/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reaches a terminal: whole characters that do nothing but be seen. */
#include "base/printable.h"

#include "test.h"

static void expect(const char *text, const char *line)
{
	char copy[64];

	CHECK(snprintf(copy, sizeof(copy), "%s", text) < (int)sizeof(copy));
	printable_line(copy);
	CHECK_STR(copy, line);
}

static void text_stays(void)
{
	static const char *const texts[] = {
		"",
		"plain ~text",
		"\xc3\xa9",
		"\xe2\x82\xac",
		"\xf0\x9f\x98\x80",
		"\xc2\xa0 \xdf\xbf",
		"\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80",
		"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect(texts[i], texts[i]);
}

static void controls_go(void)
{
	expect("\033[31m\a\x7f\t\r", "?[31m????");
	expect("a\nb", "a?b");
	expect("\x9b[0m", "?[0m");	/* C1 as a byte */
	expect("\xc2\x9b[0m", "??[0m"); /* and in UTF-8 */
	expect("\xe2\x80\xae", "???");	/* right to left from here on */
	expect("\xe2\x80\xa8", "???");	/* line separator */
}

static void what_is_no_utf8_goes(void)
{
	expect("\xff", "?");
	expect("\x80", "?");		    /* a second byte alone */
	expect("\xc0\xaf", "??");	    /* longer than need be */
	expect("\xe0\x9f\xbf", "???");	    /* the same */
	expect("\xf0\x8f\xbf\xbf", "????"); /* the same */
	expect("\xed\xa0\x80", "???");	    /* surrogate */
	expect("\xf4\x90\x80\x80", "????"); /* beyond the end */
	expect("\xf5\x80\x80\x80", "????"); /* the same */
	expect("\xe2\x82", "??");	    /* cut off */
	expect("\xe2\x82x", "??x");
}

static void codes_are_decoded(void)
{
	uint32_t code;

	CHECK_EQ(printable_utf8("\xe2\x82\xac", &code), 3);
	CHECK_EQ(code, 0x20ac);
	CHECK_EQ(printable_utf8("\xf0\x9f\x98\x80", &code), 4);
	CHECK_EQ(code, 0x1f600);
	CHECK_EQ(printable_utf8("\xc2\x9b", &code), 2);
	CHECK_EQ(code, 0x9b);
}

int main(void)
{
	RUN(text_stays);
	RUN(controls_go);
	RUN(what_is_no_utf8_goes);
	RUN(codes_are_decoded);
	return test_result();
}
