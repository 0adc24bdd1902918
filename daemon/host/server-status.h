/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of a mount's status that the server knows: its configuration, and its counters, summed
 * over queues and workers. Reading takes no lock, so a sum may be slightly out of date. Any thread.
 */
#ifndef CAISSON_SERVER_STATUS_H
#define CAISSON_SERVER_STATUS_H

struct options;
struct server;
struct status;

/*
 * Sets the fields that SERVER and its OPTIONS determine, and clears all others.
 */
void server_fill_status(const struct server *server, const struct options *options,
			struct status *status);

/*
 * 0, or the -errno with which the kernel has refused a ring entry. All requests then come by
 * /dev/fuse. Any thread.
 */
int server_transport_refusal(const struct server *server);

#endif
