/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Zone rules: every state that a small zone and the file below it can get into, by every operation
 * and every way in which the disk can answer, with the rules written down a second time beside it.
 */
#include "store/zone.h"

#include <errno.h>
#include <linux/falloc.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "test.h"

/* In blocks: a zone of 4 of which 3 can be written. */
enum {
	LEN = 4,
	CAPACITY = 3,
	STEPS = 2
}; /* STEPS: a block has that many places for a file to end */

#define STEP	  ((uint64_t)ZONE_BLOCK_LEN / STEPS)
#define BLOCKS(n) ((uint64_t)(n)*ZONE_BLOCK_LEN)

/* The zone as the daemon has it, and the truth about its file, in bytes. */
struct world {
	struct zone zone;
	uint64_t size;	/* of the file */
	uint64_t acked; /* what clients were told is written and have not given up by a reset */
	bool open;
	bool size_unknown; /* fstat() fails */
};

/* --- exploration --- */

enum { WORLDS_MAX = 20000 };
static struct world worlds[WORLDS_MAX];
static unsigned world_count;
static bool seen_move[ZONE_STATES][ZONE_STATES];

static bool same_world(const struct world *a, const struct world *b)
{
	return zone_state(&a->zone) == zone_state(&b->zone) && a->zone.wp == b->zone.wp &&
	       a->zone.error == b->zone.error && a->size == b->size && a->acked == b->acked &&
	       a->open == b->open && a->size_unknown == b->size_unknown;
}

static bool size_is_sound(uint64_t size)
{
	return (size <= BLOCKS(CAPACITY) && size % ZONE_BLOCK_LEN == 0) || size == BLOCKS(LEN);
}

/* What must be true whenever nothing is under way. */
static void check_world(const struct world *world)
{
	const struct zone *zone = &world->zone;

	switch (zone_state(zone)) {
	case ZONE_IDLE:
		CHECK(world->open);
		/* the size is exact, and what was acknowledged is below the write pointer */
		CHECK(size_is_sound(world->size));
		CHECK_EQ(zone->wp, MIN(world->size, BLOCKS(CAPACITY)));
		CHECK(world->acked <= zone->wp);
		break;
	case ZONE_LOST:
		CHECK(world->open);
		CHECK(world->size_unknown || !size_is_sound(world->size));
		break;
	case ZONE_UNREAD:
		CHECK(!world->open);
		break;
	case ZONE_LOAD:
	case ZONE_WRITE:
	case ZONE_REPAIR:
	case ZONE_TRUNCATE:
	case ZONE_STATES:
		CHECK(false); /* each operation ends what it begins */
	}
}

static void reach(const struct world *world)
{
	check_world(world);
	for (unsigned i = 0; i < world_count; i++) {
		if (same_world(&worlds[i], world))
			return;
	}
	CHECK(world_count < WORLDS_MAX);
	worlds[world_count++] = *world;
}

/* Runs CALL on the zone and notes which move it made. */
#define NOTE(world, call)                                                                          \
	do {                                                                                       \
		enum zone_state note_from_ = zone_state(&(world)->zone);                           \
		call;                                                                              \
		if (zone_state(&(world)->zone) != note_from_)                                      \
			seen_move[note_from_][zone_state(&(world)->zone)] = true;                  \
	} while (0)

static void settle(struct world *world)
{
	int64_t size = world->size_unknown ? -1 : (int64_t)world->size;

	NOTE(world, zone_settle(&world->zone, size));
}

/* The first opener; the file may have any size: it lay open to everybody. */
static void explore_open(const struct world *from)
{
	for (uint64_t size = 0; size <= BLOCKS(LEN + 1); size += STEP) {
		for (int unknown = 0; unknown < 2; unknown++) {
			struct world world = *from;
			bool load;

			world.size = size;
			world.acked = 0;
			world.open = true;
			world.size_unknown = unknown;
			NOTE(&world, load = zone_load_begin(&world.zone));
			CHECK(load);
			CHECK(!zone_load_begin(&world.zone)); /* a second one leaves it alone */
			CHECK_EQ(zone_write_begin(&world.zone, size, BLOCKS(1)), -EIO);
			settle(&world);
			reach(&world);
		}
	}
}

static void explore_close(const struct world *from)
{
	struct world world = *from;

	world.open = false;
	NOTE(&world, zone_unload(&world.zone));
	reach(&world);
}

/* A write under way: nothing else may touch the zone. */
static void check_busy(struct world *world)
{
	uint64_t to;

	CHECK_EQ(zone_write_begin(&world->zone, world->zone.wp, BLOCKS(1)), -EIO);
	CHECK_EQ(zone_truncate_begin(&world->zone, 0, &to), -EIO);
	CHECK_EQ(zone_truncate_begin(&world->zone, BLOCKS(CAPACITY), &to), -EIO);
	CHECK(!zone_load_begin(&world->zone));
}

/*
 * It failed, RESULT bytes having got anywhere, and the file ends at SIZE. Then it is cut back, or
 * that fails too.
 */
static void explore_failure(const struct world *writing, uint64_t len, int64_t result, int error,
			    uint64_t size)
{
	for (int cut = 0; cut < 3; cut++) {
		struct world world = *writing;
		uint64_t wp = world.zone.wp;
		bool repair;

		world.size = size;
		NOTE(&world, repair = zone_write_end(&world.zone, len, result, error));
		CHECK(repair);
		/* cut to where the write began; the answer is what stopped it */
		CHECK_EQ(world.zone.wp, wp);
		CHECK_EQ(world.zone.error, result < 0 ? result : error ? error : -EIO);
		check_busy(&world);
		if (cut == 0)
			world.size = wp;
		else
			world.size_unknown = cut == 2;
		settle(&world);
		if (cut == 0)
			CHECK_EQ(zone_state(&world.zone), ZONE_IDLE);
		reach(&world);
	}
}

static void explore_write(const struct world *from, uint64_t off, uint64_t len)
{
	struct world world = *from;
	bool allowed = zone_state(&from->zone) == ZONE_IDLE && off == from->zone.wp &&
		       len % ZONE_BLOCK_LEN == 0 && off + len <= BLOCKS(CAPACITY);
	bool repair;
	int r;

	NOTE(&world, r = zone_write_begin(&world.zone, off, len));
	CHECK_EQ(r, allowed ? 0 : -EIO);
	if (r < 0) {
		CHECK(same_world(&world, from));
		return;
	}
	check_busy(&world);

	/* whatever got to the disk: a failed write, and a short one without and with a reason */
	for (uint64_t size = off; size <= off + len; size += STEP) {
		explore_failure(&world, len, -ENOSPC, 0, size);
		if (size < off + len) {
			explore_failure(&world, len, (int64_t)(size - off), 0, size);
			explore_failure(&world, len, (int64_t)(size - off), -ENOSPC, size);
		}
	}

	world.size = off + len;
	NOTE(&world, repair = zone_write_end(&world.zone, len, (int64_t)len, 0));
	CHECK(!repair);
	CHECK_EQ(world.zone.wp, off + len);
	world.acked = off + len;
	reach(&world);
}

static void explore_truncate(const struct world *from, uint64_t size)
{
	enum zone_state state = zone_state(&from->zone);
	bool finishes = size == BLOCKS(CAPACITY) || size == BLOCKS(LEN);
	bool stays = state == ZONE_IDLE && size == from->zone.wp;
	bool allowed = (state == ZONE_IDLE || state == ZONE_LOST) &&
		       (size == 0 || finishes || stays);

	for (int outcome = 0; outcome < 3; outcome++) {
		struct world world = *from;
		uint64_t to = 77;
		int r;

		NOTE(&world, r = zone_truncate_begin(&world.zone, size, &to));
		CHECK_EQ(r, allowed ? 0 : -EIO);
		if (r < 0) {
			CHECK(same_world(&world, from));
			CHECK_EQ(to, 77u);
			return;
		}
		CHECK_EQ(to, finishes ? BLOCKS(CAPACITY) : size);
		CHECK_EQ(zone_write_begin(&world.zone, world.zone.wp, BLOCKS(1)), -EIO);
		/* done; failed and the file is as it was; failed and nothing is known */
		if (outcome == 0) {
			world.size = to;
			world.acked = MIN(world.acked, to);
		}
		world.size_unknown = outcome == 2 || (outcome == 1 && from->size_unknown);
		settle(&world);
		if (outcome == 0)
			CHECK_EQ(zone_state(&world.zone), ZONE_IDLE);
		if (zone_state(&world.zone) != ZONE_IDLE && !world.size_unknown)
			CHECK(!size_is_sound(world.size));
		reach(&world);
	}
}

/* The header's list of transitions, written down a second time. */
static const enum zone_state listed[][2] = {
	{ ZONE_UNREAD, ZONE_LOAD },   { ZONE_LOAD, ZONE_IDLE },	    { ZONE_LOAD, ZONE_LOST },
	{ ZONE_IDLE, ZONE_WRITE },    { ZONE_WRITE, ZONE_IDLE },    { ZONE_WRITE, ZONE_REPAIR },
	{ ZONE_REPAIR, ZONE_IDLE },   { ZONE_REPAIR, ZONE_LOST },   { ZONE_IDLE, ZONE_TRUNCATE },
	{ ZONE_LOST, ZONE_TRUNCATE }, { ZONE_TRUNCATE, ZONE_IDLE }, { ZONE_TRUNCATE, ZONE_LOST },
	{ ZONE_IDLE, ZONE_UNREAD },   { ZONE_LOST, ZONE_UNREAD },
};

static bool is_listed(unsigned from, unsigned to)
{
	for (size_t i = 0; i < ARRAY_SIZE(listed); i++) {
		if (listed[i][0] == from && listed[i][1] == to)
			return true;
	}
	return false;
}

static void sequential_zone_in_all_states(void)
{
	struct world first = { 0 };

	zone_init(&first.zone, ZONE_SEQUENTIAL, BLOCKS(LEN), BLOCKS(CAPACITY));
	reach(&first);
	for (unsigned i = 0; i < world_count; i++) {
		const struct world world = worlds[i];

		if (world.open)
			explore_close(&world);
		else
			explore_open(&world);
		for (uint64_t off = 0; off <= BLOCKS(LEN); off += STEP) {
			for (uint64_t len = STEP; len <= BLOCKS(LEN); len += STEP)
				explore_write(&world, off, len);
			explore_truncate(&world, off);
		}
		explore_write(&world, UINT64_MAX - BLOCKS(1) + 1, BLOCKS(1)); /* wraps */
	}
	printf("      %u states\n", world_count);
	CHECK(world_count > 100);

	/*
	 * WRITE is left for IDLE within one call, where it isn't allowed: seen by its success too
	 */
	for (unsigned from = 0; from < ZONE_STATES; from++) {
		for (unsigned to = 0; to < ZONE_STATES; to++) {
			if (seen_move[from][to] != is_listed(from, to)) {
				fprintf(stderr, "%s -> %s: %s\n",
					zone_state_name((enum zone_state)from),
					zone_state_name((enum zone_state)to),
					is_listed(from, to) ? "listed, never made"
							    : "made, not listed");
				CHECK(false);
			}
		}
	}
}

/* --- single rules --- */

/* Zones that were finished by a kernel that ignores the capacity are full. */
static void zone_as_long_as_itself_is_full(void)
{
	struct zone zone = { 0 };

	zone_init(&zone, ZONE_SEQUENTIAL, BLOCKS(LEN), BLOCKS(CAPACITY));
	CHECK(zone_load_begin(&zone));
	zone_settle(&zone, (int64_t)BLOCKS(LEN));
	CHECK_EQ(zone_state(&zone), ZONE_IDLE);
	CHECK_EQ(zone.wp, BLOCKS(CAPACITY));
	CHECK_EQ(zone_write_begin(&zone, BLOCKS(CAPACITY), BLOCKS(1)), -EIO);
	CHECK_EQ(zone_allocate(&zone, FALLOC_FL_KEEP_SIZE, 0, BLOCKS(1)), -EIO);
}

static void conventional_zone_is_written_anywhere_within(void)
{
	struct zone zone = { 0 };
	uint64_t to = 0;

	CHECK(!zone_is_file(&zone));
	zone_init(&zone, ZONE_CONVENTIONAL, BLOCKS(LEN), BLOCKS(CAPACITY));
	CHECK(zone_is_file(&zone));
	CHECK(!zone_load_begin(&zone));
	/* many at once, of any alignment */
	CHECK_EQ(zone_write_begin(&zone, 0, BLOCKS(LEN)), 0);
	CHECK_EQ(zone_write_begin(&zone, 5, 7), 0);
	CHECK_EQ(zone_write_begin(&zone, BLOCKS(LEN) - 1, 1), 0);
	CHECK_EQ(zone_write_begin(&zone, BLOCKS(LEN) - 1, 2), -EIO);
	CHECK_EQ(zone_write_begin(&zone, BLOCKS(LEN), 1), -EIO);
	CHECK_EQ(zone_write_begin(&zone, UINT64_MAX, 2), -EIO);
	CHECK(!zone_write_end(&zone, BLOCKS(LEN), -ENOSPC, 0));
	CHECK(!zone_write_end(&zone, 7, 3, -ENOSPC));

	CHECK_EQ(zone_truncate_begin(&zone, BLOCKS(LEN), &to), 0);
	CHECK_EQ(to, BLOCKS(LEN));
	zone_settle(&zone, (int64_t)to);
	for (uint64_t size = 0; size <= BLOCKS(LEN + 1); size += STEP)
		CHECK_EQ(zone_truncate_begin(&zone, size, &to), size == BLOCKS(LEN) ? 0 : -EIO);
	zone_unload(&zone);
	CHECK_EQ(zone_write_begin(&zone, 0, 1), 0);
}

static void conventional_zone_is_allocated_within(void)
{
	const uint32_t fine[] = { 0, FALLOC_FL_KEEP_SIZE,
				  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	struct zone zone = { 0 };

	zone_init(&zone, ZONE_CONVENTIONAL, BLOCKS(LEN), BLOCKS(CAPACITY));
	for (uint32_t mode = 0; mode < 256; mode++) {
		bool is_fine = false;

		for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
			is_fine |= fine[i] == mode;
		CHECK_EQ(zone_allocate(&zone, mode, 0, BLOCKS(LEN)), is_fine ? 0 : -EIO);
		CHECK_EQ(zone_allocate(&zone, mode, 1, BLOCKS(LEN)), -EIO);
		CHECK_EQ(zone_allocate(&zone, mode, UINT64_MAX, 2), -EIO);
	}
}

/* Found to be a zone while it is open: no writes; and closing it is fine. */
static void zone_that_nobody_has_loaded(void)
{
	struct zone zone = { 0 };
	uint64_t to;

	zone_init(&zone, ZONE_SEQUENTIAL, BLOCKS(LEN), BLOCKS(CAPACITY));
	CHECK_EQ(zone_write_begin(&zone, 0, BLOCKS(1)), -EIO);
	CHECK_EQ(zone_truncate_begin(&zone, 0, &to), -EIO);
	zone_unload(&zone);
	CHECK_EQ(zone_state(&zone), ZONE_UNREAD);
}

/* Whether CALL on ZONE, our own bug, ends the process. */
static bool dies(void (*call)(struct zone *zone), struct zone zone)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		(void)!freopen("/dev/null", "w", stderr);
		call(&zone);
		_exit(0);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	return WIFSIGNALED(status);
}

static void end_write(struct zone *zone)
{
	(void)zone_write_end(zone, BLOCKS(1), (int64_t)BLOCKS(1), 0);
}

static void settle_empty(struct zone *zone)
{
	zone_settle(zone, 0);
}

static void unload(struct zone *zone)
{
	zone_unload(zone);
}

static void ends_nothing_that_has_not_begun(void)
{
	struct zone zone = { 0 };

	zone_init(&zone, ZONE_SEQUENTIAL, BLOCKS(LEN), BLOCKS(CAPACITY));
	CHECK(dies(end_write, zone) && dies(settle_empty, zone));
	CHECK(zone_load_begin(&zone));
	CHECK(dies(end_write, zone) && dies(unload, zone) && !dies(settle_empty, zone));
	zone_settle(&zone, 0);
	CHECK(dies(end_write, zone) && dies(settle_empty, zone) && !dies(unload, zone));
	CHECK_EQ(zone_write_begin(&zone, 0, BLOCKS(1)), 0);
	CHECK(!dies(end_write, zone) && dies(unload, zone));
}

int main(void)
{
	RUN(sequential_zone_in_all_states);
	RUN(zone_as_long_as_itself_is_full);
	RUN(conventional_zone_is_written_anywhere_within);
	RUN(conventional_zone_is_allocated_within);
	RUN(zone_that_nobody_has_loaded);
	RUN(ends_nothing_that_has_not_begun);
	return test_result();
}
