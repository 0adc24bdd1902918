/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * volatile-disk: a disk that forgets, as a plugin of nbdkit. Between the guest and its image stands
 * a write cache as drives have it: a write is acknowledged when it is in the cache, a flush when
 * all that was in the cache as it came is in the image. SIGUSR1 is the power cut: requests under
 * way come to nothing. When nbdkit ends, chance decides of each block that was not flushed whether
 * the image gets it.
 *
 *	nbdkit volatile-disk.so image=FILE report=FILE [seed=N] [survive=PERCENT] [delay=US]
 *		[flush=ignored]
 *
 *	report=FILE	what was lost, a line written at the end
 *	survive=PERCENT	of the unflushed blocks, default 50
 *	delay=US	a write takes up to that long on its way to the cache, default 1000, so that
 *			writes overtake each other, and a flush that does not wait for them misses
 *			them; a flush takes up to ten times as long
 *	flush=ignored	a flush is acknowledged, and nothing is done: the disk that lies
 *
 * A block is 4096 bytes and never torn, as in a drive with such physical sectors; of a block that
 * is written twice between flushes only the second version is kept.
 */
#define NBDKIT_API_VERSION 2
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nbdkit-plugin.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define BLOCK	     4096
#define SECTOR	     512
#define SECTORS	     (BLOCK / SECTOR)

struct block {
	uint64_t flushes; /* n_flushes when it was written */
	uint8_t dirty;	  /* a bit a sector */
	uint8_t data[BLOCK];
};

static struct {
	char *image, *report;
	uint32_t survive, delay_us;
	uint64_t seed;
	bool ignore_flush;
} options = { .survive = 50, .delay_us = 1000 };

static int image_fd = -1;
static uint64_t image_len;

static volatile sig_atomic_t power_is_off;

/* guards all below */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block **blocks; /* by number; NULL: as in the image */
static uint64_t *dirty;	      /* the numbers of those that aren't NULL */
static uint64_t n_blocks, n_dirty;
static uint64_t n_flushes; /* that have come */
static uint64_t written_bytes;
static struct random_data random_state;
static char random_table[64];

static uint32_t chance(uint32_t below)
{
	int32_t value = 0;

	(void)random_r(&random_state, &value); /* fails for a null pointer only */
	return below ? (uint32_t)value % below : 0;
}

static int parse_u32(const char *key, const char *value, uint32_t max, uint32_t *ret_number)
{
	if (nbdkit_parse_uint32_t(key, value, ret_number) < 0)
		return -1;
	if (*ret_number > max) {
		nbdkit_error("%s: more than %" PRIu32, key, max);
		return -1;
	}
	return 0;
}

static int disk_config(const char *key, const char *value)
{
	if (strcmp(key, "image") == 0)
		return (options.image = nbdkit_absolute_path(value)) ? 0 : -1;
	if (strcmp(key, "report") == 0)
		return (options.report = nbdkit_absolute_path(value)) ? 0 : -1;
	if (strcmp(key, "seed") == 0)
		return nbdkit_parse_uint64_t(key, value, &options.seed);
	if (strcmp(key, "survive") == 0)
		return parse_u32(key, value, 100, &options.survive);
	if (strcmp(key, "delay") == 0)
		return parse_u32(key, value, 999999, &options.delay_us);
	if (strcmp(key, "flush") == 0 && strcmp(value, "ignored") == 0) {
		options.ignore_flush = true;
		return 0;
	}
	nbdkit_error("%s=%s: no such option", key, value);
	return -1;
}

static void on_power_cut(int signal)
{
	(void)signal;
	power_is_off = 1;
}

static int disk_get_ready(void)
{
	const struct sigaction action = { .sa_handler = on_power_cut, .sa_flags = SA_RESTART };
	struct stat st;

	if (!options.image || !options.report) {
		nbdkit_error("image=FILE and report=FILE are needed");
		return -1;
	}
	image_fd = open(options.image, O_RDWR | O_CLOEXEC);
	if (image_fd < 0 || fstat(image_fd, &st) < 0) {
		nbdkit_error("%s: open: %m", options.image);
		return -1;
	}
	image_len = (uint64_t)st.st_size / BLOCK * BLOCK;
	n_blocks = image_len / BLOCK;
	blocks = calloc(n_blocks, sizeof(*blocks));
	dirty = calloc(n_blocks, sizeof(*dirty));
	if (!blocks || !dirty) {
		nbdkit_error("cache: allocate: %m");
		return -1;
	}
	if (sigaction(SIGUSR1, &action, NULL) < 0) {
		nbdkit_error("SIGUSR1: handle: %m");
		return -1;
	}
	initstate_r((unsigned)options.seed, random_table, sizeof(random_table), &random_state);
	return 0;
}

static int image_write(const void *data, size_t len, uint64_t off)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(image_fd, p, len, (off_t)off);

		if (n < 0)
			return -1;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Into the image, with the lock held. */
static int block_settle(uint64_t number)
{
	struct block *block = blocks[number];

	if (block->dirty == UINT8_MAX)
		return image_write(block->data, BLOCK, number * BLOCK);
	for (unsigned i = 0; i < SECTORS; i++) {
		if (block->dirty & 1U << i && image_write(block->data + (size_t)i * SECTOR, SECTOR,
							  number * BLOCK + i * SECTOR) < 0)
			return -1;
	}
	return 0;
}

static void block_forget(uint64_t number)
{
	free(blocks[number]);
	blocks[number] = NULL;
}

static void *disk_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t disk_get_size(void *handle)
{
	(void)handle;
	return (int64_t)image_len;
}

static int disk_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = SECTOR;
	*preferred = BLOCK;
	*maximum = 32U << 20; /* nbdkit's own bound */
	return 0;
}

static int disk_pread(void *handle, void *buf, uint32_t count, uint64_t off, uint32_t flags)
{
	uint8_t *to = buf;
	ssize_t n;

	(void)handle;
	(void)flags;
	pthread_mutex_lock(&lock);
	n = pread(image_fd, buf, count, (off_t)off);
	for (uint64_t at = off; n == (ssize_t)count && at < off + count; at += SECTOR) {
		const struct block *block = blocks[at / BLOCK];

		if (block && block->dirty & 1U << at % BLOCK / SECTOR)
			memcpy(to + (at - off), block->data + at % BLOCK, SECTOR);
	}
	pthread_mutex_unlock(&lock);
	if (n == (ssize_t)count)
		return 0;
	nbdkit_error("%s: read: %m", options.image);
	return -1;
}

/* The time that a request takes, in which nobody can count on it; with the lock held. */
static void dawdle(uint32_t max_us)
{
	uint32_t us = chance(max_us);
	struct timespec time = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };

	pthread_mutex_unlock(&lock);
	(void)nanosleep(&time, NULL); /* cut short by a signal is as good */
	pthread_mutex_lock(&lock);
}

static int cache_sector(const uint8_t *data, uint64_t off)
{
	uint64_t number = off / BLOCK;

	if (!blocks[number]) {
		blocks[number] = calloc(1, sizeof(**blocks));
		if (!blocks[number])
			return -1;
		blocks[number]->flushes = n_flushes;
		dirty[n_dirty++] = number;
	}
	if (blocks[number]->flushes != n_flushes) {
		/* a flush is under way that must cover what was there before */
		if (block_settle(number) < 0)
			return -1;
		blocks[number]->dirty = 0;
		blocks[number]->flushes = n_flushes;
	}
	memcpy(blocks[number]->data + off % BLOCK, data, SECTOR);
	blocks[number]->dirty |= (uint8_t)(1U << off % BLOCK / SECTOR);
	return 0;
}

static int disk_pwrite(void *handle, const void *buf, uint32_t count, uint64_t off, uint32_t flags)
{
	const uint8_t *from = buf;
	int r = 0;

	(void)handle;
	(void)flags; /* FUA is emulated, by a flush */
	pthread_mutex_lock(&lock);
	dawdle(options.delay_us);
	if (power_is_off) {
		pthread_mutex_unlock(&lock);
		return -1;
	}
	for (uint64_t at = 0; r == 0 && at < count; at += SECTOR)
		r = cache_sector(from + at, off + at);
	written_bytes += count;
	pthread_mutex_unlock(&lock);
	if (r < 0)
		nbdkit_error("cache: write: %m");
	return r;
}

/* Covers what was in the cache as it came, and not what has come since. */
static int disk_flush(void *handle, uint32_t flags)
{
	uint64_t flush, kept = 0;
	int r = 0;

	(void)handle;
	(void)flags;
	if (options.ignore_flush)
		return 0;
	pthread_mutex_lock(&lock);
	flush = n_flushes++;
	dawdle(options.delay_us * 10);
	if (power_is_off) {
		pthread_mutex_unlock(&lock);
		return -1;
	}
	for (uint64_t i = 0; i < n_dirty; i++) {
		uint64_t number = dirty[i];

		if (r < 0 || blocks[number]->flushes > flush) {
			dirty[kept++] = number;
			continue;
		}
		r = block_settle(number);
		block_forget(number);
	}
	n_dirty = kept;
	pthread_mutex_unlock(&lock);
	if (r < 0)
		nbdkit_error("%s: write: %m", options.image);
	return r;
}

static int disk_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_EMULATE;
}

/* The cut. Every connection has ended by now. */
static void disk_unload(void)
{
	uint64_t lost = 0, survived = 0;
	FILE *report;

	if (!blocks)
		return;
	for (; n_dirty > 0; n_dirty--) {
		uint64_t number = dirty[n_dirty - 1];
		uint64_t len = (uint64_t)__builtin_popcount(blocks[number]->dirty) * SECTOR;

		if (chance(100) < options.survive) {
			if (block_settle(number) < 0)
				nbdkit_error("%s: write: %m", options.image);
			survived += len;
		} else {
			lost += len;
		}
		block_forget(number);
	}
	report = fopen(options.report, "we");
	if (!report ||
	    fprintf(report,
		    "lost=%" PRIu64 " survived=%" PRIu64 " written=%" PRIu64 " flushes=%" PRIu64
		    "\n",
		    lost, survived, written_bytes, n_flushes) < 0 ||
	    fclose(report) != 0)
		nbdkit_error("%s: write: %m", options.report);
	close(image_fd);
	free(blocks);
	free(dirty);
}

static struct nbdkit_plugin plugin = {
	.name = "volatile-disk",
	.description = "a disk with a write cache that a power cut empties",
	.unload = disk_unload,
	.config = disk_config,
	.get_ready = disk_get_ready,
	.open = disk_open,
	.get_size = disk_get_size,
	.block_size = disk_block_size,
	.pread = disk_pread,
	.pwrite = disk_pwrite,
	.flush = disk_flush,
	.can_fua = disk_can_fua,
};

NBDKIT_REGISTER_PLUGIN(plugin)
