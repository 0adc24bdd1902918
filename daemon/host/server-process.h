/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server, from its start to its end, in a process of its own that the keeper has made. Its phases
 * go on where those of main() end (caissond.c):
 *
 *   6. lock memory		later mappings are locked as they are made (S3)
 *   7. open the control socket	this needs capabilities
 *   8. drop capabilities
 *   9. create the arena, tables, threads and rings (server.c)
 *  10. audit			check the mark of every task, io-wq workers included (S1)
 *  11. seal			answer INIT, or take over from a server that has died (takeover.h);
 *				from now on the data path allocates nothing (S4)
 *  12. serve until the mount is gone
 */
#ifndef CAISSON_SERVER_PROCESS_H
#define CAISSON_SERVER_PROCESS_H

#include <stdint.h>

struct keeper_link;
struct options;
struct store;

/* What a server is given. All is borrowed; it closes the descriptors that it doesn't need. */
struct server_process {
	const char *version;
	const struct options *options;
	struct store *store;
	int lock_fd;	       /* of BACKING's lock */
	int session_fd;	       /* the device of the mount */
	uint32_t major, minor; /* st_dev of the mount */
	const char *sizes;     /* successor_note_sizes(), for whoever adopts the mount */
};

/* Does the phases 6 to 12. Returns an exit code, or exits (link.h). */
int server_process_run(const struct server_process *given, const struct keeper_link *link);

#endif
