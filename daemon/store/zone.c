/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/zone.h"

#include <assert.h>
#include <errno.h>
#include <linux/falloc.h>

#include "base/macro.h"

#define TO(state) (1u << ZONE_##state)

static const uint8_t allowed[ZONE_STATES] = {
	[ZONE_UNREAD] = TO(LOAD),
	[ZONE_LOAD] = TO(IDLE) | TO(LOST),
	[ZONE_IDLE] = TO(WRITE) | TO(TRUNCATE) | TO(UNREAD),
	[ZONE_WRITE] = TO(IDLE) | TO(REPAIR),
	[ZONE_REPAIR] = TO(IDLE) | TO(LOST),
	[ZONE_TRUNCATE] = TO(IDLE) | TO(LOST),
	[ZONE_LOST] = TO(TRUNCATE) | TO(UNREAD),
};

/* Moves ZONE from FROM to TO. Returns false, and changes nothing, if ZONE isn't in FROM. */
static bool move(struct zone *zone, enum zone_state from, enum zone_state to)
{
	uint8_t expected = (uint8_t)from;

	assert(allowed[from] & 1u << to);
	return atomic_compare_exchange_strong(&zone->state, &expected, (uint8_t)to);
}

/* move() by the thread that owns ZONE. It can't fail, because no other thread moves ZONE. */
static void leave(struct zone *zone, enum zone_state from, enum zone_state to)
{
	bool moved = move(zone, from, to);

	assert(moved);
	(void)moved;
}

enum zone_state zone_state(const struct zone *zone)
{
	return (enum zone_state)atomic_load(&zone->state);
}

const char *zone_state_name(enum zone_state state)
{
	switch (state) {
	case ZONE_UNREAD:
		return "unread";
	case ZONE_LOAD:
		return "load";
	case ZONE_IDLE:
		return "idle";
	case ZONE_WRITE:
		return "write";
	case ZONE_REPAIR:
		return "repair";
	case ZONE_TRUNCATE:
		return "truncate";
	case ZONE_LOST:
		return "lost";
	case ZONE_STATES:
		break;
	}
	return "?";
}

static bool is_sequential(const struct zone *zone)
{
	return zone_kind(zone) == ZONE_SEQUENTIAL;
}

/* Whether the LEN bytes at OFF lie within the first END bytes. */
static bool is_within(uint64_t off, uint64_t len, uint64_t end)
{
	return len <= end && off <= end - len;
}

void zone_init(struct zone *zone, enum zone_kind kind, uint64_t len, uint64_t capacity_len)
{
	assert(kind >= ZONE_CONVENTIONAL && capacity_len <= len);
	zone->len = len;
	zone->capacity_len = capacity_len;
	atomic_store(&zone->state, kind == ZONE_SEQUENTIAL ? ZONE_UNREAD : ZONE_IDLE);
	atomic_store_explicit(&zone->kind, (uint8_t)kind, memory_order_release);
}

bool zone_load_begin(struct zone *zone)
{
	return is_sequential(zone) && move(zone, ZONE_UNREAD, ZONE_LOAD);
}

void zone_settle(struct zone *zone, int64_t size)
{
	enum zone_state to = ZONE_LOST;

	if (!is_sequential(zone))
		return;
	if (size >= 0 && (uint64_t)size <= zone->capacity_len && is_aligned(size, ZONE_BLOCK_LEN)) {
		zone->wp = (uint64_t)size;
		to = ZONE_IDLE;
	} else if (size >= 0 && (uint64_t)size == zone->len) {
		zone->wp = zone->capacity_len;
		to = ZONE_IDLE;
	}
	leave(zone, zone_state(zone), to);
}

void zone_attach(struct zone *zone)
{
	static const uint8_t attached[ZONE_STATES] = {
		[ZONE_UNREAD] = ZONE_UNREAD,   [ZONE_LOAD] = ZONE_UNREAD, [ZONE_IDLE] = ZONE_IDLE,
		[ZONE_WRITE] = ZONE_IDLE,      [ZONE_REPAIR] = ZONE_IDLE, [ZONE_LOST] = ZONE_LOST,
		[ZONE_TRUNCATE] = ZONE_UNREAD,
	};

	atomic_store(&zone->state, attached[zone_state(zone)]);
}

void zone_unload(struct zone *zone)
{
	/* in UNREAD no opener has loaded it: it was open before it was found to be a zone */
	if (is_sequential(zone) && zone_state(zone) != ZONE_UNREAD)
		leave(zone, zone_state(zone), ZONE_UNREAD);
}

int zone_write_begin(struct zone *zone, uint64_t off, uint64_t len)
{
	if (!is_sequential(zone))
		return is_within(off, len, zone->len) ? 0 : -EIO;
	if (!move(zone, ZONE_IDLE, ZONE_WRITE))
		return -EIO;
	if (off == zone->wp && is_aligned(len, ZONE_BLOCK_LEN) &&
	    is_within(off, len, zone->capacity_len))
		return 0;
	leave(zone, ZONE_WRITE, ZONE_IDLE);
	return -EIO;
}

bool zone_has_written(const struct zone *zone, uint64_t off, uint64_t len)
{
	return is_sequential(zone) && zone->wp == off + len;
}

bool zone_write_end(struct zone *zone, uint64_t len, int64_t result, int error)
{
	if (!is_sequential(zone))
		return false;
	assert(zone_state(zone) == ZONE_WRITE && result <= (int64_t)len);
	if (result == (int64_t)len) {
		zone->wp += len;
		leave(zone, ZONE_WRITE, ZONE_IDLE);
		return false;
	}
	if (result < 0)
		zone->error = (int32_t)result;
	else
		zone->error = error ? error : -EIO;
	leave(zone, ZONE_WRITE, ZONE_REPAIR);
	return true;
}

int zone_truncate_begin(struct zone *zone, uint64_t size, uint64_t *ret_size)
{
	enum zone_state from = zone_state(zone);

	if (!is_sequential(zone)) {
		*ret_size = zone->len;
		return size == zone->len ? 0 : -EIO;
	}
	if ((from != ZONE_IDLE && from != ZONE_LOST) || !move(zone, from, ZONE_TRUNCATE))
		return -EIO;
	if (size == 0 || (from == ZONE_IDLE && size == zone->wp)) {
		*ret_size = size;
		return 0;
	}
	if (size == zone->capacity_len || size == zone->len) {
		*ret_size = zone->capacity_len;
		return 0;
	}
	leave(zone, ZONE_TRUNCATE, from);
	return -EIO;
}

int zone_allocate(const struct zone *zone, uint32_t mode, uint64_t off, uint64_t len)
{
	if (is_sequential(zone) || !is_within(off, len, zone->len))
		return -EIO;
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		return 0;
	}
	return -EIO;
}
