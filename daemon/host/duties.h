/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The periodic duties of the server's main thread. All of them, with their periods, stand in one
 * table in duties.c. None of them allocates.
 */
#ifndef CAISSON_DUTIES_H
#define CAISSON_DUTIES_H

#include <stdbool.h>
#include <stdint.h>

#include "host/hang.h"
#include "host/oldest.h"

struct self_audit;
struct server;

/* Totals since the start. An increase is logged: the data path counts, and doesn't log. */
struct duty_counters {
	uint64_t io_errors;	  /* data requests answered with an error */
	uint64_t protocol_errors; /* messages that didn't parse */
	uint64_t inodes_refused;  /* look-ups refused because the inode table was full */
	uint64_t files_refused;	  /* opens refused because the file table was full */
	uint64_t zone_refusals;	  /* operations refused because zones don't allow them */
};

struct duties {
	/* set by the caller */
	struct hang hang;     /* its limit */
	struct oldest oldest; /* created */
	struct server *server;
	struct self_audit *audit;
	const char *mountpoint; /* for messages */

	bool hangs; /* a thread does: the server has to end */
	uint64_t ticks;
	struct duty_counters logged;
	bool told_transport; /* that the kernel has gone back to /dev/fuse */
};

/* The totals of now. An heir's are not 0 at its start. */
struct duty_counters duties_count(const struct server *server);

/* Does what is due. To be called each CONTROL_TICK_MS (control.h). The main thread. */
void duties_tick(struct duties *duties);

#endif
