/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Part of caissond-traced, which is caissond with each change of a request's state recorded in the
 * file CAISSON_TRACE, for moves.py: of 32 bits, from the top: 1, the slot's number (23), where from
 * (4), where to (4). As many as there is room for; then none.
 *
 * A change is numbered before it is made: whoever makes the slot's next one, on whatever thread,
 * has the later number.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "serve/request.h"

#define RECORDS	 (16u << 20)
#define RECORDED (1u << 31)

/* The file: the counter is of all processes, as the keeper's child serves. */
static struct {
	_Atomic uint32_t records[RECORDS];
	_Atomic uint32_t count;
} * trace;

void __real_request_move(struct request *request, enum request_state to);
const void *__real_request_reply(const struct arena *arena, struct request *request, int error,
				 uint32_t body_len);

/* Before main, so that the memory is there to be locked. */
__attribute__((constructor)) static void open_trace(void)
{
	const char *path = getenv("CAISSON_TRACE");
	void *memory;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*trace)) < 0)
		abort();
	memory = mmap(NULL, sizeof(*trace), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		      0);
	if (memory == MAP_FAILED)
		abort();
	trace = memory;
	(void)close(fd);
}

static void record(const struct request *request, enum request_state to)
{
	uint32_t at;

	if (!trace)
		return;
	at = atomic_fetch_add(&trace->count, 1);
	if (at < RECORDS)
		atomic_store(&trace->records[at], RECORDED | request->index << 8 |
							  (uint32_t)request_state(request) << 4 |
							  (uint32_t)to);
}

void __wrap_request_move(struct request *request, enum request_state to);
void __wrap_request_move(struct request *request, enum request_state to)
{
	record(request, to);
	__real_request_move(request, to);
}

const void *__wrap_request_reply(const struct arena *arena, struct request *request, int error,
				 uint32_t body_len);
const void *__wrap_request_reply(const struct arena *arena, struct request *request, int error,
				 uint32_t body_len)
{
	record(request, REQUEST_REPLY);
	return __real_request_reply(arena, request, error, body_len);
}
