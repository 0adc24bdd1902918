/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The syncs of one file that are under way form a group. Of two, one may fail, and the other end
 * well after it, as the kernel tells an error once; and the queue of the good one may be the first
 * to look. Its answer would say that lost data is safe (S11). So a sync that has its result
 * waits, parked, until all of the group have theirs and have recorded their errors. Whoever comes
 * meanwhile joins. The group is in the file's primary row (inode.h).
 *
 * The kernel has no two syncs of one node under way, so a group has more than one only if the file
 * is reached through several mounts below BACKING. A sync may then wait for as long as the slowest
 * one's queue does. That ends: a client whose sync is parked sends no other. No thread waits, and
 * no wake-up can be lost, because number and list change together in one word.
 *
 * No function here blocks or takes a lock (S4, S5). Any thread.
 */
#ifndef CAISSON_SYNC_GROUP_H
#define CAISSON_SYNC_GROUP_H

#include <stdbool.h>
#include <stdint.h>

struct gate_table;
struct request;

/*
 * REQUEST (state RUN) is to sync the file of the primary row ROW. TABLE's requests and entered()
 * are as for gates.
 */
void sync_group_join(struct gate_table *table, uint32_t row, struct request *request);

/*
 * REQUEST (state RUN), which has joined, has its result, and its error is recorded. True: it is the
 * last one, and may be answered; entered() was called for all that were parked. False: it is parked
 * (state GATE), and entered() will be called once, perhaps before this returns: the caller touches
 * it no more until then.
 */
bool sync_group_leave(struct gate_table *table, struct request *request);

#endif
