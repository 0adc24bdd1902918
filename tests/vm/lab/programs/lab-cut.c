/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lab-cut: writes that say when they are durable, and after a power cut shows that they were.
 *
 *	lab-cut load   DIR BOOT ACKS [DISK]
 *					writes into DIR until killed; ACKS, a terminal or a file,
 *					gets a line `KIND N` for each write N that was acknowledged
 *					and whose DISK, if there is one, has acknowledged a flush
 *	lab-cut verify DIR BOOT LEDGER	checks DIR against the lines `BOOT KIND N` in LEDGER: the
 *					last N acknowledged of each earlier boot and each kind
 *
 * One process writes for each kind, and each kind is made durable in its own way:
 *
 *	fsync		extents all over a file, through the page cache; fsync(2)
 *	fdatasync	the end of a growing file, a new one each boot; fdatasync(2)
 *	dsync		a file opened with O_DSYNC
 *	direct		a file opened with O_DIRECT and O_DSYNC
 *	rename		a new file, fsync(2), renamed over the last; fsync(2) of the directory
 *	unlink		files made and unlinked in turn; fsync(2) of the directory
 *	noise		O_DIRECT, never made durable: there to be lost
 *
 * What write N of a boot touches follows from (kind, boot, N), and every sector tells of which
 * write it is, so the ledger is enough to know what must be where. A sector must be of the last
 * acknowledged write to it or of a later one that was not; it may not be of an older one, and not
 * anything else. BOOT counts from 1 and makes the versions of all boots different.
 *
 * verify says `verified WRITES SECTORS`: exit status 0; 1 with a line for each of the first sectors
 * or files that are wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

#define SECTOR	    512
#define WORDS	    (SECTOR / sizeof(uint64_t))
#define BLOCK	    4096
#define SECTORS	    (BLOCK / SECTOR)
#define FILE_BLOCKS 2048 /* of a file that is written all over */
#define RUN_BLOCKS  16	 /* of one extent, at most */
#define NOISE	    64	 /* blocks of one extent, always: more than others have flushed meanwhile */
#define EXTENTS	    8	 /* of one write, at most */
#define BOOTS	    256
#define RENAMED	    64
#define UNLINKED    1024
#define APPENDED    4 /* boots after which the growing file is deleted */
/* Acknowledgements that may be on their way when the cut comes: the buffer of a terminal's. */
#define ON_THE_WAY  512
#define TOLD	    20

enum kind {
	KIND_FSYNC,
	KIND_FDATASYNC,
	KIND_DSYNC,
	KIND_DIRECT,
	KIND_RENAME,
	KIND_UNLINK,
	KIND_NOISE,
};

static const char *const kind_names[] = { "fsync",  "fdatasync", "dsync", "direct",
					  "rename", "unlink",	 "noise" };

struct extent {
	uint64_t block, n_blocks;
};

static uint64_t buffer[NOISE * BLOCK / sizeof(uint64_t)] __attribute__((aligned(BLOCK)));
static uint64_t acked[BOOTS][ARRAY_SIZE(kind_names)];
static uint64_t boot; /* this one */
static uint64_t n_wrong, n_sectors;

static void fail(const char *object, const char *action)
{
	fprintf(stderr, "lab-cut: %s: %s: %s\n", object, action, strerror(errno));
	exit(1);
}

/* --- what a write is --- */

static uint64_t version_of(uint64_t of_boot, uint64_t n)
{
	return of_boot << 32 | n;
}
static uint64_t version_boot(uint64_t version)
{
	return version >> 32;
}
static uint64_t version_n(uint64_t version)
{
	return version & UINT32_MAX;
}

/* splitmix64: the next of a row of numbers that *STATE stands for */
static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* The extents of a write, as many as are returned. A renamed or unlinked file is one from 0. */
static unsigned extents_of(enum kind kind, uint64_t version, struct extent *ret_extents)
{
	uint64_t state = version ^ (uint64_t)kind << 56, n = version_n(version);
	unsigned count = 1;

	switch (kind) {
	case KIND_FDATASYNC:
		/* five blocks each, and from the start again when the file is full */
		ret_extents[0].n_blocks = 5;
		ret_extents[0].block = (n - 1) * 5 % (FILE_BLOCKS / 5 * 5);
		return 1;
	case KIND_RENAME:
	case KIND_UNLINK:
		ret_extents[0].n_blocks = kind == KIND_RENAME ? 1 + mix(&state) % RUN_BLOCKS : 1;
		ret_extents[0].block = 0;
		return 1;
	case KIND_NOISE:
		ret_extents[0].n_blocks = NOISE;
		ret_extents[0].block = mix(&state) % (FILE_BLOCKS / NOISE) * NOISE;
		return 1;
	case KIND_FSYNC:
		count = 1 + (unsigned)(mix(&state) % EXTENTS);
		break;
	case KIND_DSYNC:
	case KIND_DIRECT:
		break;
	}
	for (unsigned i = 0; i < count; i++) {
		ret_extents[i].n_blocks = 1 + mix(&state) % RUN_BLOCKS;
		ret_extents[i].block = mix(&state) % (FILE_BLOCKS - RUN_BLOCKS);
	}
	return count;
}

/* The slot of a renamed or unlinked file. An odd write makes it, an even one unlinks it. */
static uint64_t slot_of(enum kind kind, uint64_t version)
{
	return kind == KIND_RENAME ? version_n(version) % RENAMED
				   : (version_n(version) - 1) / 2 % UNLINKED;
}
static bool is_unlink(enum kind kind, uint64_t version)
{
	return kind == KIND_UNLINK && version_n(version) % 2 == 0;
}

static void fill_sector(uint64_t *words, enum kind kind, uint64_t version, uint64_t sector)
{
	uint64_t state = version ^ (uint64_t)kind << 56 ^ sector << 33;

	words[0] = version;
	words[1] = sector;
	for (unsigned i = 2; i < WORDS; i++)
		words[i] = mix(&state);
}

static void fill(enum kind kind, uint64_t version, struct extent extent)
{
	for (uint64_t i = 0; i < extent.n_blocks * SECTORS; i++)
		fill_sector(buffer + i * WORDS, kind, version, extent.block * SECTORS + i);
}

/* --- load --- */

static int acks_fd, disk_fd = -1;

static int open_or_fail(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		fail(name, "open");
	return fd;
}

static void sync_or_fail(int fd, const char *name)
{
	if (fsync(fd) < 0)
		fail(name, "fsync");
}

static void write_extent(int fd, const char *name, enum kind kind, uint64_t version,
			 struct extent extent)
{
	size_t len = extent.n_blocks * BLOCK;

	fill(kind, version, extent);
	if (pwrite(fd, buffer, len, (off_t)(extent.block * BLOCK)) != (ssize_t)len)
		fail(name, "write");
}

/*
 * One write(2), so that lines of several processes don't mix. What is flushed before is the whole
 * device, dirty pages of it and its cache.
 */
static void acknowledge(enum kind kind, uint64_t n)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", kind_names[kind], n);

	if (disk_fd >= 0)
		sync_or_fail(disk_fd, "disk");
	if (write(acks_fd, line, (size_t)len) != len)
		fail("acknowledgement", "write");
}

static void file_name(enum kind kind, uint64_t of_boot, char *ret_name, size_t cap)
{
	if (kind == KIND_FDATASYNC)
		snprintf(ret_name, cap, "%s-%" PRIu64, kind_names[kind], of_boot);
	else
		snprintf(ret_name, cap, "%s", kind_names[kind]);
}

static void slot_name(enum kind kind, uint64_t slot, char *ret_name, size_t cap)
{
	snprintf(ret_name, cap, "%s/%" PRIu64, kind_names[kind], slot);
}

static void load_file(enum kind kind)
{
	static const int flags[] = {
		[KIND_DSYNC] = O_DSYNC,
		[KIND_DIRECT] = O_DIRECT | O_DSYNC,
		[KIND_NOISE] = O_DIRECT,
	};
	struct extent extents[EXTENTS];
	char name[64];
	int fd, dir;

	if (kind == KIND_FDATASYNC && boot > APPENDED) {
		file_name(kind, boot - APPENDED, name, sizeof(name));
		(void)unlink(name); /* there may have been no write */
	}
	file_name(kind, boot, name, sizeof(name));
	fd = open_or_fail(name, O_WRONLY | O_CREAT | flags[kind]);
	sync_or_fail(fd, name);
	dir = open_or_fail(".", O_RDONLY | O_DIRECTORY);
	sync_or_fail(dir, ".");

	for (uint64_t n = 1;; n++) {
		unsigned count = extents_of(kind, version_of(boot, n), extents);

		for (unsigned i = 0; i < count; i++)
			write_extent(fd, name, kind, version_of(boot, n), extents[i]);
		if (kind == KIND_FSYNC)
			sync_or_fail(fd, name);
		if (kind == KIND_FDATASYNC && fdatasync(fd) < 0)
			fail(name, "fdatasync");
		if (kind != KIND_NOISE)
			acknowledge(kind, n);
	}
}

static void load_slots(enum kind kind)
{
	const char *dir_name = kind_names[kind];
	struct extent extent;
	char name[64], to[64];
	int dir, fd;

	if (mkdir(dir_name, 0700) < 0 && errno != EEXIST)
		fail(dir_name, "mkdir");
	dir = open_or_fail(".", O_RDONLY | O_DIRECTORY);
	sync_or_fail(dir, ".");
	dir = open_or_fail(dir_name, O_RDONLY | O_DIRECTORY);

	for (uint64_t n = 1;; n++) {
		uint64_t version = version_of(boot, n);

		slot_name(kind, slot_of(kind, version), to, sizeof(to));
		if (is_unlink(kind, version)) {
			if (unlink(to) < 0)
				fail(to, "unlink");
		} else {
			snprintf(name, sizeof(name), "%s", to);
			if (kind == KIND_RENAME)
				snprintf(name, sizeof(name), "%s/new", dir_name);
			/* What a cut has left of an unlinked file is overwritten: it may count. */
			fd = open_or_fail(name,
					  O_WRONLY | O_CREAT | (kind == KIND_RENAME ? O_TRUNC : 0));
			(void)extents_of(kind, version, &extent);
			write_extent(fd, name, kind, version, extent);
			sync_or_fail(fd, name);
			close(fd);
			if (kind == KIND_RENAME && rename(name, to) < 0)
				fail(name, "rename");
		}
		sync_or_fail(dir, dir_name);
		acknowledge(kind, n);
	}
}

static int load(const char *acks, const char *disk)
{
	struct termios settings;

	if (disk)
		disk_fd = open_or_fail(disk, O_RDONLY);
	acks_fd = open_or_fail(acks, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY);
	if (tcgetattr(acks_fd, &settings) == 0) {
		cfmakeraw(&settings);
		if (tcsetattr(acks_fd, TCSANOW, &settings) < 0)
			fail(acks, "set up the terminal");
	}
	for (enum kind kind = 0; kind < ARRAY_SIZE(kind_names); kind++) {
		pid_t pid = fork();

		if (pid < 0)
			fail(kind_names[kind], "fork");
		if (pid == 0) {
			if (kind == KIND_RENAME || kind == KIND_UNLINK)
				load_slots(kind);
			else
				load_file(kind);
		}
	}
	/* they end by failing only */
	(void)wait(NULL);
	return 1;
}

/* --- verify --- */

static void complain(const char *name, uint64_t sector, const char *what, uint64_t found,
		     uint64_t wanted)
{
	if (n_wrong++ >= TOLD)
		return;
	fprintf(stderr,
		"lab-cut: %s: verify: sector %" PRIu64 " %s: write %" PRIu64 " of boot %" PRIu64
		", wanted %" PRIu64 " of boot %" PRIu64 "\n",
		name, sector, what, version_n(found), version_boot(found), version_n(wanted),
		version_boot(wanted));
}

/* Was a write of that version possible, and was it not acknowledged? */
static bool is_unacknowledged(enum kind kind, uint64_t version)
{
	uint64_t of_boot = version_boot(version), n = version_n(version);

	return of_boot >= 1 && of_boot < boot && n > acked[of_boot][kind] &&
	       (kind == KIND_NOISE || n <= acked[of_boot][kind] + ON_THE_WAY);
}

/*
 * Sector SECTOR of a file, as it was read; WANTED was the last write to it that was acknowledged.
 */
static uint64_t check_sector(const char *name, enum kind kind, const uint64_t *words,
			     uint64_t sector, uint64_t wanted)
{
	static const uint64_t zeroes[WORDS];
	uint64_t should[WORDS], found = words[0];

	n_sectors++;
	if (memcmp(words, zeroes, SECTOR) == 0) {
		if (wanted)
			complain(name, sector, "was never written", 0, wanted);
		return 0;
	}
	fill_sector(should, kind, found, sector);
	if (memcmp(words, should, SECTOR) != 0)
		complain(name, sector, "is of no write", 0, wanted);
	else if (found != wanted && (found < wanted || !is_unacknowledged(kind, found)))
		complain(name, sector, "is of another write", found, wanted);
	return found;
}

static void verify_blocks(enum kind kind, uint64_t from_boot, uint64_t to_boot)
{
	static uint64_t wanted[FILE_BLOCKS];
	struct extent extents[EXTENTS];
	char name[64];
	ssize_t n;
	int fd;

	memset(wanted, 0, sizeof(wanted));
	for (uint64_t b = from_boot; b <= to_boot; b++) {
		for (uint64_t i = 1; i <= acked[b][kind]; i++) {
			unsigned count = extents_of(kind, version_of(b, i), extents);

			for (unsigned e = 0; e < count; e++) {
				for (uint64_t k = 0; k < extents[e].n_blocks; k++)
					wanted[extents[e].block + k] = version_of(b, i);
			}
		}
	}
	file_name(kind, from_boot, name, sizeof(name));
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		fail(name, "open");
	for (uint64_t block = 0; block < FILE_BLOCKS; block++) {
		memset(buffer, 0, BLOCK); /* what is beyond its end */
		n = fd < 0 ? 0 : pread(fd, buffer, BLOCK, (off_t)(block * BLOCK));
		if (n < 0)
			fail(name, "read");
		for (unsigned i = 0; i < SECTORS; i++)
			(void)check_sector(name, kind, buffer + i * WORDS, block * SECTORS + i,
					   wanted[block]);
	}
	if (fd >= 0)
		close(fd);
}

/* Can a write have been on its way that would make (or unlink) a file after WANTED? */
static bool may_follow(enum kind kind, uint64_t slot, uint64_t wanted, bool unlinks)
{
	for (uint64_t b = wanted ? version_boot(wanted) : 1; b < boot; b++) {
		for (uint64_t n = acked[b][kind] + 1; n <= acked[b][kind] + ON_THE_WAY; n++) {
			if (slot_of(kind, version_of(b, n)) == slot &&
			    is_unlink(kind, version_of(b, n)) == unlinks)
				return true;
		}
	}
	return false;
}

/* All of the file must be of one write; of which, its first sector tells. */
static void verify_slot(enum kind kind, uint64_t slot, uint64_t wanted)
{
	struct extent extent;
	uint64_t found;
	char name[64];
	ssize_t n;
	int fd;

	slot_name(kind, slot, name, sizeof(name));
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		fail(name, "open");
	if (fd < 0) {
		if (wanted && !is_unlink(kind, wanted) && !may_follow(kind, slot, wanted, true))
			complain(name, 0, "is not there", 0, wanted);
		return;
	}
	n = read(fd, buffer, sizeof(buffer));
	if (n < 0)
		fail(name, "read");
	close(fd);
	/* made, and not yet written; what is renamed is whole before */
	if (n == 0 && kind == KIND_UNLINK && may_follow(kind, slot, wanted, false))
		return;
	found = n < SECTOR ? 0 : check_sector(name, kind, buffer, 0, wanted);
	if (!found) {
		complain(name, 0, "is in a file without data", 0, wanted);
		return;
	}
	(void)extents_of(kind, found, &extent);
	if ((uint64_t)n != extent.n_blocks * BLOCK)
		complain(name, (uint64_t)n / SECTOR, "is the wrong end", found, wanted);
	for (uint64_t i = 1; i < (uint64_t)n / SECTOR; i++) {
		if (check_sector(name, kind, buffer + i * WORDS, i, wanted) != found)
			complain(name, i, "is of another write than the first", found, wanted);
	}
}

static void verify_slots(enum kind kind)
{
	static uint64_t wanted[UNLINKED];

	memset(wanted, 0, sizeof(wanted));
	for (uint64_t b = 1; b < boot; b++) {
		for (uint64_t n = 1; n <= acked[b][kind]; n++)
			wanted[slot_of(kind, version_of(b, n))] = version_of(b, n);
	}
	for (uint64_t slot = 0; slot < (kind == KIND_RENAME ? RENAMED : UNLINKED); slot++)
		verify_slot(kind, slot, wanted[slot]);
}

static void read_ledger(const char *path)
{
	char line[128], name[32];
	uint64_t of_boot, n;
	FILE *ledger = fopen(path, "re");
	bool known;

	if (!ledger)
		fail(path, "open");
	/* a disk: zeroes from the end of the text on */
	while (fgets(line, sizeof(line), ledger) && line[0]) {
		if (sscanf(line, "%" SCNu64 " %31s %" SCNu64, &of_boot, name, &n) != 3 ||
		    of_boot < 1 || of_boot >= boot) {
			errno = EINVAL;
			fail(line, "parse");
		}
		known = false;
		for (enum kind kind = 0; kind < ARRAY_SIZE(kind_names); kind++) {
			if (strcmp(name, kind_names[kind]) != 0)
				continue;
			acked[of_boot][kind] = n;
			known = true;
		}
		if (!known) {
			errno = EINVAL;
			fail(line, "parse");
		}
	}
	(void)fclose(ledger);
}

static int verify(const char *ledger)
{
	uint64_t writes = 0;

	read_ledger(ledger);
	for (uint64_t b = 1; b < boot; b++) {
		for (enum kind kind = 0; kind < ARRAY_SIZE(kind_names); kind++)
			writes += acked[b][kind];
	}
	for (uint64_t b = boot > APPENDED ? boot - APPENDED + 1 : 1; b < boot; b++)
		verify_blocks(KIND_FDATASYNC, b, b);
	verify_blocks(KIND_FSYNC, 1, boot - 1);
	verify_blocks(KIND_DSYNC, 1, boot - 1);
	verify_blocks(KIND_DIRECT, 1, boot - 1);
	verify_blocks(KIND_NOISE, 1, boot - 1);
	verify_slots(KIND_RENAME);
	verify_slots(KIND_UNLINK);
	if (n_wrong) {
		fprintf(stderr, "lab-cut: wrong: %" PRIu64 "\n", n_wrong);
		return 1;
	}
	printf("verified %" PRIu64 " %" PRIu64 "\n", writes, n_sectors);
	return 0;
}

int main(int argc, char **argv)
{
	char *end;

	if (argc < 5 || argc > 6) {
		fprintf(stderr, "lab-cut: see the top of lab-cut.c\n");
		return 1;
	}
	boot = strtoull(argv[3], &end, 10);
	if (*end || boot < 1 || boot >= BOOTS) {
		errno = EINVAL;
		fail(argv[3], "parse as the number of a boot");
	}
	if (chdir(argv[2]) < 0)
		fail(argv[2], "enter");
	if (strcmp(argv[1], "load") == 0)
		return load(argv[4], argv[5]);
	if (strcmp(argv[1], "verify") == 0 && argc == 5)
		return verify(argv[4]);
	fprintf(stderr, "lab-cut: %s: parse: see the top of lab-cut.c\n", argv[1]);
	return 1;
}
