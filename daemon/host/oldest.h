/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long the oldest request that a server has waits for its answer. When that becomes long, a
 * line in the log tells it, with where in the kernel the server's own tasks wait; and again when it
 * has doubled. The main thread.
 */
#ifndef CAISSON_OLDEST_H
#define CAISSON_OLDEST_H

#include <stdint.h>

struct server;

/* When it is told. `caisson watch` has the same default. */
#define OLDEST_TOLD_S 20

/* What was in a slot at the last look. */
struct oldest_slot {
	uint32_t turn;	  /* request.h */
	uint32_t since_s; /* when it was first seen, or 0 */
};

struct oldest {
	uint32_t count;
	struct oldest_slot *slots;
	uint32_t index;	 /* of the oldest request, if age_s isn't 0 */
	uint32_t age_s;	 /* 0: every request is younger than a second or two */
	uint32_t told_s; /* its age when it was told last, or 0 */
};

/* Allocates for the slots of SERVER. Returns 0 or -ENOMEM. */
int oldest_create(struct oldest *oldest, const struct server *server);

void oldest_destroy(struct oldest *oldest);

/* Looks at all requests. Once a second. Allocates nothing. */
void oldest_look(struct oldest *oldest, const struct server *server, const char *mountpoint);

#endif
