/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `caisson doctor` prints a judged stack: as a tree for people, as JSON, or for graphviz. */
#ifndef CAISSON_DOCTOR_PRINT_H
#define CAISSON_DOCTOR_PRINT_H

#include <stdint.h>
#include <stdio.h>

#include "stack/judge.h"

/* What is printed: the nodes that ASKED marks, and verdicts about them. */
struct doctor_report {
	const struct stack *stack;
	const struct judge *judge;
	const uint8_t *asked;
};

void doctor_print_tree(FILE *out, const struct doctor_report *report);
void doctor_print_json(FILE *out, const struct doctor_report *report);
void doctor_print_dot(FILE *out, const struct doctor_report *report);

#endif
