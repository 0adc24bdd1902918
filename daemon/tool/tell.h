/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the tool's error messages on standard error. */
#ifndef CAISSON_TELL_H
#define CAISSON_TELL_H

/*
 * Prints one line: "caisson: ", then the object, the action and the reason. The format has no
 * newline. Characters that could harm a terminal become "?" (printable.h). The line is cut if it is
 * longer than two paths.
 */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
