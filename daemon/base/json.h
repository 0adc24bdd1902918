/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON strings from any bytes, a piece at a time. No allocation, any thread. */
#ifndef CAISSON_JSON_H
#define CAISSON_JSON_H

#include <stdbool.h>

#define JSON_PIECE_LEN 8 /* "\uXXXX" or one UTF-8 character, and a NUL */

/*
 * Takes the next character of *STRING and moves it on: PIECE is what stands for it between the
 * quotes. JSON is Unicode: a byte that isn't UTF-8 becomes U+FFFD. What had better not reach a
 * terminal (printable.h) is escaped. False at the end.
 */
bool json_next(const char **string, char piece[JSON_PIECE_LEN]);

#endif
