/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/oldest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/procfs.h"
#include "caisson/reclaim.h"
#include "handlers/dispatch.h"
#include "serve/plan.h"
#include "serve/request.h"
#include "serve/server.h"
#include "stack/wait.h"

int oldest_create(struct oldest *oldest, const struct server *server)
{
	*oldest = (struct oldest){
		.count = server->plan.queues * plan_slots(&server->plan) + PLAN_META_SLOTS,
	};
	oldest->slots = calloc(oldest->count, sizeof(*oldest->slots));
	return oldest->slots ? 0 : -ENOMEM;
}

void oldest_destroy(struct oldest *oldest)
{
	free(oldest->slots);
	*oldest = (struct oldest){ 0 };
}

/* Whether somebody waits for an answer that isn't made yet. */
static bool is_busy(const struct request *request)
{
	switch (request_state(request)) {
	case REQUEST_RUN:
	case REQUEST_GATE:
	case REQUEST_IO:
	case REQUEST_QUEUED:
		return true;
	case REQUEST_FREE:
	case REQUEST_FETCH:
	case REQUEST_REPLY: /* an idle queue frees it later */
	case REQUEST_STATES:
		break;
	}
	return false;
}

/* --- where our tasks wait --- */

struct places {
	char text[320];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void append(struct places *places, const char *format,
							 ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(places->text + places->len, sizeof(places->text) - places->len, format,
			args);
	va_end(args);
	if (len > 0)
		places->len += (size_t)len;
	if (places->len >= sizeof(places->text))
		places->len = sizeof(places->text) - 1; /* it is cut */
}

/* Appends a task that waits in the kernel for something else than for work. */
static int see(const struct caisson_task *task, void *arg)
{
	struct places *places = arg;
	char path[64], where[64] = "";
	struct wait wait;

	/* wchan, as it takes no capability to read that of one's own tasks */
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/wchan", (int)task->tid); /* fits */
	(void)procfs_read_text(-1, path, where, sizeof(where));
	wait = wait_classify(where);
	if (task->state == 'D' || wait.kind == WAIT_FUSE)
		append(places, "%s%s (%d) %s (%s)", places->len ? ", " : "", task->comm,
		       (int)task->tid, wait_text(wait.kind), *wait.where ? wait.where : "?");
	return 0;
}

static void tell(const struct oldest *oldest, const struct server *server, const char *mountpoint)
{
	const struct request *requests = arena_table(&server->arena, ARENA_REQUESTS);
	const struct request *request = &requests[oldest->index];
	struct caisson_audit_summary summary;
	struct places places = { .len = 0 };

	(void)caisson_audit(0, see, &places, &summary); /* fails if /proc is gone */
	log_warn("%s: answer %s (request %llu, state %s): not done after %u s; %s%s", mountpoint,
		 dispatch_entry(request->opcode)->name, (unsigned long long)request->unique,
		 request_state_name(request_state(request)), oldest->age_s,
		 places.len ? "tasks: " : "none of its tasks waits in the kernel", places.text);
}

/* --- a look --- */

void oldest_look(struct oldest *oldest, const struct server *server, const char *mountpoint)
{
	const struct request *requests = arena_table(&server->arena, ARENA_REQUESTS);
	uint32_t now_s = (uint32_t)(clock_us() / 1000000) + 1; /* 0 means none */

	oldest->age_s = 0;
	for (uint32_t i = 0; i < oldest->count; i++) {
		struct oldest_slot *slot = &oldest->slots[i];
		uint32_t turn = atomic_load_explicit(&requests[i].turn, memory_order_relaxed);

		if (!is_busy(&requests[i]))
			slot->since_s = 0;
		else if (!slot->since_s || slot->turn != turn)
			slot->since_s = now_s;
		slot->turn = turn;
		if (slot->since_s && now_s - slot->since_s > oldest->age_s) {
			oldest->age_s = now_s - slot->since_s;
			oldest->index = i;
		}
	}
	if (oldest->age_s < OLDEST_TOLD_S) {
		oldest->told_s = 0;
	} else if (!oldest->told_s || oldest->age_s >= 2 * oldest->told_s) {
		oldest->told_s = oldest->age_s;
		tell(oldest, server, mountpoint);
	}
}
