/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_NAMESPACES_H
#define CAISSON_NAMESPACES_H

#include "stack/stack.h"

/* The mount namespace of process PID: its number; 0 if it is ours, or can't be read. */
uint64_t namespace_of(const struct stack *stack, pid_t pid);

#endif
