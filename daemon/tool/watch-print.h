/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints what `caisson watch` has found. */
#ifndef CAISSON_WATCH_PRINT_H
#define CAISSON_WATCH_PRINT_H

#include <stdio.h>

#include "stack/chain.h"

/* Prints CHAIN as a JSON document on a line of its own. */
void watch_print_json(FILE *out, const struct chains *chains, const struct chain *chain);

#endif
