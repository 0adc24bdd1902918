/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/tell.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/printable.h"

void tell(const char *format, ...)
{
	char text[2 * PATH_MAX + 256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printable_line(text);
	fprintf(stderr, "caisson: %s\n", text);
}
