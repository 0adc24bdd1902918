/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lab-load: data that proves itself. Every 8 bytes of a file are a function of the file's seed and
 * of where they lie, so nothing has to be remembered to verify them, and a block that is lost,
 * stale or in the wrong place shows.
 *
 *	lab-load write  FILE MIB SEED [SYNC_MIB]	writes; fsync(2) at the end or each SYNC_MIB
 *	lab-load verify FILE MIB SEED
 *	lab-load storm  DIR FILES SEED			small files: create, append, rename, unlink
 *	lab-load verify-storm DIR FILES SEED
 *	lab-load hog    MIB PASSES			fills and checks anonymous memory
 *	lab-load hold   MIB				takes anonymous memory, at a lower priority,
 *							says "held", and keeps it
 *
 * Exit status 0; 1 with a line on stderr when a call failed or data isn't what it should be.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB   ((uint64_t)1 << 20)
#define CHUNK MIB
#define WORD  sizeof(uint64_t)

static uint64_t chunk[CHUNK / WORD];

static void fail(const char *object, const char *action)
{
	fprintf(stderr, "lab-load: %s: %s: %s\n", object, action, strerror(errno));
	exit(1);
}

/*
 * The word at byte OFF of the file of SEED: spread by a multiplication, so that no two are alike.
 */
static uint64_t word_at(uint64_t seed, uint64_t off)
{
	return (off / WORD + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ seed << 32;
}

static void fill(uint64_t *words, uint64_t len, uint64_t seed, uint64_t off)
{
	for (uint64_t i = 0; i < len / WORD; i++)
		words[i] = word_at(seed, off + i * WORD);
}

static void check(const char *name, const uint64_t *words, uint64_t len, uint64_t seed,
		  uint64_t off)
{
	for (uint64_t i = 0; i < len / WORD; i++) {
		if (words[i] == word_at(seed, off + i * WORD))
			continue;
		fprintf(stderr,
			"lab-load: %s: verify: byte %" PRIu64 " is %#" PRIx64 ", not %#" PRIx64
			"\n",
			name, off + i * WORD, words[i], word_at(seed, off + i * WORD));
		exit(1);
	}
}

static void write_all(int fd, const char *name, const void *data, uint64_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0)
			fail(name, "write");
		p += n;
		len -= (uint64_t)n;
	}
}

static void read_all(int fd, const char *name, void *data, uint64_t len)
{
	char *p = data;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0)
			fail(name, "read");
		if (n == 0) {
			fprintf(stderr, "lab-load: %s: verify: it ends too early\n", name);
			exit(1);
		}
		p += n;
		len -= (uint64_t)n;
	}
}

static int open_or_fail(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		fail(name, "open");
	return fd;
}

static void close_or_fail(int fd, const char *name)
{
	if (close(fd) < 0)
		fail(name, "close");
}

/* What of the file has been acknowledged by fsync() is told to stdout, one line each time. */
static void write_file(const char *name, uint64_t mib, uint64_t seed, uint64_t sync_mib)
{
	int fd = open_or_fail(name, O_WRONLY | O_CREAT);

	for (uint64_t i = 0; i < mib; i++) {
		fill(chunk, CHUNK, seed, i * CHUNK);
		write_all(fd, name, chunk, CHUNK);
		if (i + 1 < mib && (!sync_mib || (i + 1) % sync_mib))
			continue;
		if (fsync(fd) < 0)
			fail(name, "fsync");
		printf("synced %s %" PRIu64 " %" PRIu64 "\n", name, i + 1, seed);
		(void)fflush(stdout);
	}
	close_or_fail(fd, name);
}

/* What is verified ends where it must. */
static void check_end(int fd, const char *name)
{
	char more;
	ssize_t n = read(fd, &more, 1);

	if (n == 0)
		return;
	if (n > 0)
		errno = EFBIG;
	fail(name, "verify its end");
}

static void verify_file(const char *name, uint64_t mib, uint64_t seed)
{
	int fd = open_or_fail(name, O_RDONLY);

	for (uint64_t i = 0; i < mib; i++) {
		read_all(fd, name, chunk, CHUNK);
		check(name, chunk, CHUNK, seed, i * CHUNK);
	}
	check_end(fd, name);
	close_or_fail(fd, name);
}

/*
 * The storm. File I is created with a block, appended to when file I+1 has been, renamed when I+2
 * has, and unlinked if I is a multiple of three. What must be there at the end follows from that.
 */
#define STORM_BLOCK 32768
#define STORM_DIRS  16
#define STORM_FILES (1u << 20) /* of a seed, at most: each has one of its own */

static void storm_name(char *ret_name, size_t len, const char *dir, uint64_t i, const char *suffix)
{
	snprintf(ret_name, len, "%s/d%02u/f%06" PRIu64 "%s", dir, (unsigned)(i % STORM_DIRS), i,
		 suffix);
}

static uint64_t storm_seed(uint64_t seed, uint64_t i)
{
	return seed * STORM_FILES + i;
}

static void storm_write(const char *name, int flags, uint64_t seed, uint64_t off)
{
	int fd = open_or_fail(name, O_WRONLY | flags);

	fill(chunk, STORM_BLOCK, seed, off);
	write_all(fd, name, chunk, STORM_BLOCK);
	close_or_fail(fd, name);
}

static void storm(const char *dir, uint64_t files, uint64_t seed)
{
	char name[512], to[512];

	for (unsigned i = 0; i < STORM_DIRS; i++) {
		snprintf(name, sizeof(name), "%s/d%02u", dir, i);
		if (mkdir(name, 0700) < 0 && errno != EEXIST)
			fail(name, "mkdir");
	}
	for (uint64_t i = 0; i < files + 2; i++) {
		if (i < files) {
			storm_name(name, sizeof(name), dir, i, ".new");
			storm_write(name, O_CREAT | O_TRUNC, storm_seed(seed, i), 0);
		}
		if (i >= 1 && i - 1 < files) {
			storm_name(name, sizeof(name), dir, i - 1, ".new");
			storm_write(name, O_APPEND, storm_seed(seed, i - 1), STORM_BLOCK);
		}
		if (i < 2)
			continue;
		storm_name(name, sizeof(name), dir, i - 2, ".new");
		storm_name(to, sizeof(to), dir, i - 2, "");
		if (rename(name, to) < 0)
			fail(name, "rename");
		if ((i - 2) % 3 == 0 && unlink(to) < 0)
			fail(to, "unlink");
	}
	sync();
}

/* Files in the directories of a storm. */
static uint64_t storm_count(const char *dir)
{
	char name[512];
	uint64_t count = 0;

	for (unsigned i = 0; i < STORM_DIRS; i++) {
		const struct dirent *entry;
		DIR *stream;

		snprintf(name, sizeof(name), "%s/d%02u", dir, i);
		stream = opendir(name);
		if (!stream)
			fail(name, "open");
		while ((errno = 0, entry = readdir(stream)))
			count += entry->d_name[0] != '.';
		if (errno)
			fail(name, "read");
		closedir(stream);
	}
	return count;
}

static void verify_storm(const char *dir, uint64_t files, uint64_t seed)
{
	char name[512];
	uint64_t there = 0;

	for (uint64_t i = 0; i < files; i++) {
		storm_name(name, sizeof(name), dir, i, "");
		if (i % 3 == 0) {
			if (access(name, F_OK) == 0) {
				errno = EEXIST;
				fail(name, "verify");
			}
			continue;
		}
		int fd = open_or_fail(name, O_RDONLY);

		read_all(fd, name, chunk, 2 * STORM_BLOCK);
		check(name, chunk, 2 * STORM_BLOCK, storm_seed(seed, i), 0);
		check_end(fd, name);
		close_or_fail(fd, name);
		there++;
	}
	if (storm_count(dir) != there) {
		errno = EEXIST;
		fail(dir, "verify that no other file is there");
	}
}

static uint64_t *map(uint64_t mib)
{
	void *memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		fail("memory", "map");
	return memory;
}

static void hog(uint64_t mib, uint64_t passes)
{
	uint64_t *memory = map(mib);

	for (uint64_t pass = 0; pass < passes; pass++) {
		for (uint64_t i = 0; i < mib; i++)
			fill(memory + i * (MIB / WORD), MIB, pass, i * MIB);
		for (uint64_t i = 0; i < mib; i++)
			check("memory", memory + i * (MIB / WORD), MIB, pass, i * MIB);
		printf("pass %" PRIu64 "\n", pass + 1);
		(void)fflush(stdout);
	}
}

static void hold(uint64_t mib)
{
	uint64_t *memory = map(mib);

	/* it is to take memory, not the CPU: so the pages aren't filled, either */
	(void)nice(5); /* can't fail */
	if (madvise(memory, mib * MIB, MADV_POPULATE_WRITE) < 0)
		fail("memory", "populate");
	printf("held\n");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end) {
		errno = EINVAL;
		fail(text, "parse as a number");
	}
	return value;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "hog") == 0 && argc == 4) {
		hog(number(argv[2]), number(argv[3]));
		return 0;
	}
	if (strcmp(what, "hold") == 0 && argc == 3)
		hold(number(argv[2]));
	if (argc != 5 && !(argc == 6 && strcmp(what, "write") == 0)) {
		fprintf(stderr, "lab-load: %s: parse: see the top of lab-load.c\n", what);
		return 1;
	}
	if (strcmp(what, "write") == 0)
		write_file(argv[2], number(argv[3]), number(argv[4]),
			   argc == 6 ? number(argv[5]) : 0);
	else if (strcmp(what, "verify") == 0)
		verify_file(argv[2], number(argv[3]), number(argv[4]));
	else if (strcmp(what, "storm") == 0)
		storm(argv[2], number(argv[3]), number(argv[4]));
	else if (strcmp(what, "verify-storm") == 0)
		verify_storm(argv[2], number(argv[3]), number(argv[4]));
	else
		return 1;
	return 0;
}
