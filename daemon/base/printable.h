/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filter for text that comes from others and goes to a terminal or a log: file names, names of
 * processes, what a socket answers. It doesn't allocate. Any thread.
 */
#ifndef CAISSON_PRINTABLE_H
#define CAISSON_PRINTABLE_H

#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 character at TEXT in bytes, and its code; 0 where there is none. */
size_t printable_utf8(const char *text, uint32_t *ret_code);

/*
 * The length of the character at TEXT, or 0 where it had better not be shown: bytes that aren't
 * UTF-8; control characters, C1 included; and those that break a line or turn its direction.
 */
size_t printable_len(const char *text);

/* Each byte of TEXT that had better not be shown becomes "?". */
void printable_line(char *text);

#endif
