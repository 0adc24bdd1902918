/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filter for text that comes from others and goes to a terminal or a log: file names, names of
 * processes, what a socket answers. It doesn't allocate. Any thread.
 */
#ifndef CAISSON_PRINTABLE_H
#define CAISSON_PRINTABLE_H

#include <stddef.h>
#include <stdint.h>

/* The length in bytes of the UTF-8 character at TEXT, and its code; 0 if there is none. */
size_t printable_utf8(const char *text, uint32_t *ret_code);

/*
 * The length of the character at TEXT, or 0 if it must not be shown: bytes that aren't UTF-8,
 * control characters (also C1), and characters that break a line or turn its direction.
 */
size_t printable_len(const char *text);

/* Replaces each byte of TEXT that must not be shown by "?". */
void printable_line(char *text);

#endif
