/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The status of a server: its counters, summed over queues and workers. Reading them takes no
 * lock, so a sum is of values that were true a moment ago. Any thread.
 */
#ifndef CAISSON_SERVER_STATUS_H
#define CAISSON_SERVER_STATUS_H

struct options;
struct server;
struct status;

/*
 * Fills what SERVER and the OPTIONS that it was started with tell, and clears the other fields:
 * those of the process and its watchers.
 */
void server_fill_status(const struct server *server, const struct options *options,
			struct status *status);

/*
 * 0, or the -errno with which the kernel has refused an entry of FUSE-over-io_uring, after which
 * all requests come by /dev/fuse. Any thread.
 */
int server_transport_refusal(const struct server *server);

#endif
