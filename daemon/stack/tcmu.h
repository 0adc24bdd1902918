/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_TCMU_H
#define CAISSON_TCMU_H

#include "stack/stack.h"

/* The disk that is served through /dev/uioUIO, or GRAPH_NONE. */
uint32_t tcmu_disk(struct stack *stack, unsigned uio);

#endif
