/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tool's error messages, on standard error. */
#ifndef CAISSON_TELL_H
#define CAISSON_TELL_H

/*
 * One line, without its newline: object, action, reason. "caisson: " comes before it, and what had
 * better not reach a terminal is shown as "?" (printable.h). Cut after two paths of full length.
 */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
