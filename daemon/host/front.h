/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The front: what an upgrade leaves of a keeper that was started in the foreground. Whoever started
 * it watches this process. So it stays, passes signals on to its successor, and ends with it.
 */
#ifndef CAISSON_FRONT_H
#define CAISSON_FRONT_H

/* Makes successors our children: to be called before the first one is started. */
void front_begin(void);

/*
 * Closes all descriptors but the standard ones, and waits for the successor, a child, and for the
 * successor's successors. SIGTERM, SIGINT and SIGHUP have to be blocked. Returns the exit code of
 * the last one.
 */
int front_stay(void);

#endif
