/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints what `caisson watch` has found. */
#ifndef CAISSON_WATCH_PRINT_H
#define CAISSON_WATCH_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "stack/chain.h"

/* Writes CHAIN to TEXT as a JSON document on a line of its own. Returns false if it doesn't fit. */
bool watch_json(const struct chains *chains, const struct chain *chain, char *text, size_t size);

#endif
