/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of the device mapper. */
#ifndef CAISSON_MAPPER_H
#define CAISSON_MAPPER_H

#include "stack/system.h"

/*
 * Writes "dm" and the names of the targets in DEV's table to TYPE, such as "dm zoned". Returns 0 or
 * -errno; without root -EACCES.
 */
int mapper_type(const struct system *system, dev_t dev, char *type, size_t size);

#endif
