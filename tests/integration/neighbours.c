/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * neighbours: many writers in one file, each in bytes of its own, which share sectors, blocks and
 * pages with bytes of others.
 *
 *	neighbours FILE SECONDS [OPTION...]
 *
 *	sector=N	unit of aligned requests (512)
 *	seed=N		how the file is divided (drawn)
 *	kinds=LETTERS	who takes part (default: dDpoOzcte)
 *	bystander=1	somebody holds the file open with O_DIRECT, and does nothing with it
 *	below=FILE	the same file in the backing directory: must have the same bytes at the end
 *
 * The file is cut into slices, and each slice belongs to one thread. The thread stores one byte
 * value in all of the slice, again and again, another one each time. After each write it reads the
 * slice back. Readers look at slices of others meanwhile: each byte must be of a write that had not
 * been replaced when the read began, and that had begun when the read ended. A thread calls fsync
 * all the time, which must never fail, and opens and closes the file.
 *
 * Kinds of owners:
 *	d  aligned, O_DIRECT
 *	D  aligned, O_DIRECT, large: several pages
 *	p  aligned, without O_DIRECT
 *	o  not aligned, without O_DIRECT
 *	O  not aligned, of several pages
 *	x  not aligned, O_DIRECT; where that is refused (EINVAL) as o
 *	z  zeroes by fallocate (zero range, punch hole), writes in between; not aligned
 *	c  copy_file_range; not aligned
 *	m  stores to a shared mapping; not aligned
 *	t  the end of the file: truncates, appends, extends; it begins within a page of others
 *	e  plain and O_DIRECT descriptors in turns, aligned or in two odd halves
 *
 * Exit status 0; 1 with a line for each of the first faults; 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE	    4096
#define FILE_PAGES  24
#define FILE_BYTES  (FILE_PAGES * PAGE)
#define TAIL_OFF    (FILE_BYTES - 1000) /* where the end of the file begins to move */
#define TAIL_MAX    (5 * PAGE)
#define SLICES_MAX  1024
#define REPORTS_MAX 12
#define ALL_KINDS   "dDpoOxzcmte"

/* Owned by one thread; begun and acked are read by others. */
struct slice {
	char kind;
	uint32_t off, len;
	uint8_t phase;	      /* of its values */
	atomic_uint begun;    /* writes that have begun */
	atomic_uint acked;    /* writes that have been acknowledged; begun or begun - 1 */
	atomic_bool mistrust; /* a fault was found here: one is enough */
};

/* A thread that owns all slices of a kind whose number modulo `stride` is `first`. */
struct owner {
	char kind;
	unsigned int first, stride;
	uint64_t random, writes;
	int plain, direct; /* descriptors of its own */
	int source;	   /* 'c': what it copies from */
	uint8_t *map;	   /* 'm': the whole file */
	uint8_t *buffer;   /* aligned, FILE_BYTES */
	pthread_t thread;
};

static const char *path, *below_path;
static char kinds[32] = "dDpoOxzcte";
static uint32_t sector = 512, bystander;
static struct slice slices[SLICES_MAX];
static unsigned int slice_count;
static atomic_bool stop;
static atomic_uint faults;
static uint8_t tail[TAIL_MAX];
static uint32_t tail_len;

static uint64_t draw(uint64_t *random)
{
	/* xorshift64 */
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static void die(const char *action)
{
	fprintf(stderr, "neighbours: %s: %s: %s\n", path, action, strerror(errno));
	exit(1);
}

static void __attribute__((format(printf, 1, 2))) fault(const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&faults, 1) >= REPORTS_MAX)
		return;
	va_start(args, format);
	flockfile(stdout);
	fputs("neighbours: ", stdout);
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	funlockfile(stdout);
	va_end(args);
}

/* What all bytes of the slice are after so many writes. */
static uint8_t value_after(const struct slice *slice, unsigned int writes)
{
	if (writes == 0 || (slice->kind == 'z' && writes % 3 == 0))
		return 0;
	return (uint8_t)(1 + (writes + slice->phase) % 255);
}

static bool is_value(const struct slice *slice, uint8_t byte, unsigned int from, unsigned int to)
{
	/* values come again after 255 writes: so slow a read tells nothing */
	if (to - from >= 255)
		return true;
	for (unsigned int writes = from; writes <= to; writes++) {
		if (value_after(slice, writes) == byte)
			return true;
	}
	return false;
}

/* The first byte that is of no write from FROM to TO; the length if there is none. */
static uint32_t first_wrong(const struct slice *slice, const uint8_t *bytes, unsigned int from,
			    unsigned int to)
{
	uint32_t i;

	for (i = 0; i < slice->len; i++) {
		if (!is_value(slice, bytes[i], from, to))
			break;
	}
	return i;
}

/* --- cutting the file --- */

static void add_slice(char kind, uint32_t off, uint32_t len, uint64_t *random)
{
	struct slice *slice = &slices[slice_count++];

	if (slice_count > SLICES_MAX)
		abort();
	/*
	 * No store goes to the page in which the end of the file moves: while Linux 6.18 writes
	 * back such a store, it zeroes what somebody is appending to the same page. It does so on
	 * any FUSE mount without writeback_cache (caisson(7), NON-GUARANTEES).
	 */
	if (kind == 'm' && off + len > TAIL_OFF / PAGE * PAGE && strchr(kinds, 't'))
		kind = 'o';
	slice->kind = kind;
	slice->off = off;
	slice->len = len;
	slice->phase = (uint8_t)draw(random);
}

static char draw_kind(const char *some, uint64_t *random)
{
	char wanted[sizeof(kinds)];
	size_t count = 0;

	for (const char *kind = some; *kind; kind++) {
		if (strchr(kinds, *kind))
			wanted[count++] = *kind;
	}
	return count ? wanted[draw(random) % count] : 0;
}

/* Units of 512 bytes: those who aren't aligned share one, those who are have whole ones. */
static void cut_file(uint64_t *random)
{
	uint32_t off = 0;

	while (off < TAIL_OFF) {
		bool large = draw(random) % 8 == 0;
		uint32_t unit = large ? PAGE : 512;
		uint32_t len = unit * (1 + (uint32_t)draw(random) % 3), cut;
		char kind = draw_kind(large ? "DOe" : "dpeooxzcm", random);

		if (kind == 0)
			kind = draw_kind(ALL_KINDS, random);
		if (strchr("dDpe", kind)) {
			off = (off + sector - 1) / sector * sector;
			len = (len + sector - 1) / sector * sector;
		}
		if (off >= TAIL_OFF)
			break;
		if (off + len > TAIL_OFF)
			len = TAIL_OFF - off;
		if (strchr("dDpe", kind) && len % sector) {
			kind = draw_kind("oOxzcm", random);
			if (!kind)
				break;
		}
		if (strchr("dDpe", kind)) {
			add_slice(kind, off, len, random);
		} else if (len > 2) {
			cut = 1 + (uint32_t)draw(random) % (len - 1);
			add_slice(kind, off, cut, random);
			kind = draw_kind(large ? "Oo" : "ooxzcm", random) ?: kind;
			add_slice(kind, off + cut, len - cut, random);
		}
		off += len;
	}
}

/* --- writing and reading a slice --- */

/* 0, or -errno; a short write is an error of input and output */
static int store_by(int fd, const uint8_t *bytes, uint32_t len, uint32_t off)
{
	errno = EIO;
	return pwrite(fd, bytes, len, off) == (ssize_t)len ? 0 : -errno;
}

static int store_zero(struct owner *owner, const struct slice *slice)
{
	int mode = draw(&owner->random) % 2 ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;

	if (fallocate(owner->plain, mode | FALLOC_FL_KEEP_SIZE, slice->off, slice->len) < 0)
		return -errno;
	return 0;
}

static int store_copy(struct owner *owner, const struct slice *slice)
{
	uint32_t done = 0, at = (uint32_t)draw(&owner->random) % 1000;
	int r = store_by(owner->source, owner->buffer, slice->len, at);

	while (r == 0 && done < slice->len) {
		off_t from = at + done, to = slice->off + done;
		ssize_t copied = copy_file_range(owner->source, &from, owner->plain, &to,
						 slice->len - done, 0);

		if (copied <= 0)
			r = copied < 0 ? -errno : -EIO;
		else
			done += (uint32_t)copied;
	}
	return r;
}

/* 'e': as a whole or in two odd halves, with either descriptor */
static int store_either(struct owner *owner, const struct slice *slice)
{
	uint32_t cut = 1 + (uint32_t)draw(&owner->random) % (slice->len - 1);
	int r;

	if (draw(&owner->random) % 2) {
		return store_by(draw(&owner->random) % 2 ? owner->plain : owner->direct,
				owner->buffer, slice->len, slice->off);
	}
	r = store_by(owner->plain, owner->buffer, cut, slice->off);
	return r ?: store_by(owner->plain, owner->buffer, slice->len - cut, slice->off + cut);
}

static int store(struct owner *owner, const struct slice *slice, uint8_t value)
{
	int r;

	memset(owner->buffer, value, slice->len);
	switch (slice->kind) {
	case 'd':
	case 'D':
		return store_by(owner->direct, owner->buffer, slice->len, slice->off);
	case 'x':
		r = owner->direct < 0
			    ? -EINVAL
			    : store_by(owner->direct, owner->buffer, slice->len, slice->off);
		if (r != -EINVAL)
			return r;
		break;
	case 'z':
		if (value == 0)
			return store_zero(owner, slice);
		break;
	case 'c':
		return store_copy(owner, slice);
	case 'm':
		memset(owner->map + slice->off, value, slice->len);
		return 0;
	case 'e':
		return store_either(owner, slice);
	default:
		break;
	}
	return store_by(owner->plain, owner->buffer, slice->len, slice->off);
}

/* With the plain descriptor, or by way of the whole sectors around it with the direct one. */
static int load(struct owner *owner, const struct slice *slice, bool direct,
		const uint8_t **ret_bytes)
{
	uint32_t from = slice->off / sector * sector;
	uint32_t to = (slice->off + slice->len + sector - 1) / sector * sector;

	if (!direct) {
		from = slice->off;
		to = slice->off + slice->len;
	}
	errno = EIO;
	if (pread(direct ? owner->direct : owner->plain, owner->buffer, to - from, from) <
	    (ssize_t)(slice->off + slice->len - from))
		return -errno;
	*ret_bytes = owner->buffer + (slice->off - from);
	return 0;
}

/* Reads by mapping aren't coherent with O_DIRECT anywhere; nor are O_DIRECT reads with stores. */
static bool reads_direct(struct owner *owner)
{
	return owner->direct >= 0 && draw(&owner->random) % 3 == 0;
}

static void report_wrong(struct owner *owner, struct slice *slice, uint32_t at, uint8_t got,
			 unsigned int from, unsigned int to, bool direct, const char *who)
{
	const uint8_t *bytes;
	const char *later = "can't be read";

	if (atomic_exchange(&slice->mistrust, true))
		return;
	usleep(100 * 1000);
	if (load(owner, slice, false, &bytes) == 0)
		later = first_wrong(slice, bytes, from, slice->begun) == slice->len ? "right"
										    : "wrong";
	fault("%s, %s: slice '%c' of bytes %u to %u: byte %u is %u, of no write from %u to %u "
	      "(%u to %u); 0.1 s later it is %s",
	      who, direct ? "O_DIRECT" : "plain", slice->kind, slice->off, slice->off + slice->len,
	      slice->off + at, got, from, to, value_after(slice, from), value_after(slice, to),
	      later);
}

static void write_slice(struct owner *owner, struct slice *slice)
{
	unsigned int number = atomic_fetch_add(&slice->begun, 1) + 1;
	uint8_t value = value_after(slice, number);
	bool direct = slice->kind == 'd' || reads_direct(owner);
	const uint8_t *bytes;
	uint32_t at;
	int r = store(owner, slice, value);

	if (r < 0) {
		fault("write of slice '%c' of bytes %u to %u: %s", slice->kind, slice->off,
		      slice->off + slice->len, strerror(-r));
		atomic_store(&slice->mistrust, true);
		return;
	}
	atomic_store(&slice->acked, number);
	owner->writes++;
	if (draw(&owner->random) % 4 == 0)
		return;
	r = load(owner, slice, direct, &bytes);
	if (r < 0) {
		fault("read of slice '%c' of bytes %u to %u: %s", slice->kind, slice->off,
		      slice->off + slice->len, strerror(-r));
		return;
	}
	at = first_wrong(slice, bytes, number, number);
	if (at < slice->len)
		report_wrong(owner, slice, at, bytes[at], number, number, direct, "its writer");
}

static void *run_owner(void *argument)
{
	struct owner *owner = argument;
	struct slice *mine[SLICES_MAX], *slice;
	unsigned int count = 0, seen = 0;

	for (unsigned int i = 0; i < slice_count; i++) {
		if (slices[i].kind == owner->kind && seen++ % owner->stride == owner->first)
			mine[count++] = &slices[i];
	}
	while (count && !atomic_load(&stop)) {
		slice = mine[draw(&owner->random) % count];
		if (!atomic_load(&slice->mistrust))
			write_slice(owner, slice);
	}
	return NULL;
}

static void *run_reader(void *argument)
{
	struct owner *owner = argument;

	while (!atomic_load(&stop)) {
		struct slice *slice = &slices[draw(&owner->random) % slice_count];
		bool direct = reads_direct(owner);
		unsigned int from = atomic_load(&slice->acked), to;
		const uint8_t *bytes;
		uint32_t at;
		int r = load(owner, slice, direct, &bytes);

		to = atomic_load(&slice->begun);
		if (atomic_load(&slice->mistrust))
			continue;
		if (r < 0) {
			fault("a reader of bytes %u to %u: %s", slice->off, slice->off + slice->len,
			      strerror(-r));
			continue;
		}
		at = first_wrong(slice, bytes, from, to);
		if (at < slice->len)
			report_wrong(owner, slice, at, bytes[at], from, to, direct, "a reader");
	}
	return NULL;
}

/* --- the end of the file --- */

static void tail_check(struct owner *owner, const char *what)
{
	struct stat status;
	ssize_t got = pread(owner->plain, owner->buffer, TAIL_MAX + PAGE, TAIL_OFF);

	if (fstat(owner->plain, &status) < 0 || status.st_size != TAIL_OFF + tail_len)
		fault("end of the file after %s: the size is %jd, not %u", what,
		      (intmax_t)status.st_size, TAIL_OFF + tail_len);
	else if (got != (ssize_t)tail_len)
		fault("end of the file after %s: %zd bytes are read, not %u", what, got, tail_len);
	else if (memcmp(owner->buffer, tail, tail_len) != 0)
		fault("end of the file after %s: other bytes than were written, of %u", what,
		      tail_len);
	else
		return;
	atomic_store(&stop, true);
}

static const char *tail_step(struct owner *owner, int appending)
{
	uint32_t at = (uint32_t)draw(&owner->random) % (tail_len + 1);
	uint32_t len = 1 + (uint32_t)draw(&owner->random) % 3000;
	uint8_t value = (uint8_t)draw(&owner->random);

	memset(owner->buffer, value, len);
	switch (draw(&owner->random) % 5) {
	case 0:
		if (ftruncate(owner->plain, TAIL_OFF + at) < 0)
			die("truncate");
		memset(tail + at, 0, TAIL_MAX - at);
		tail_len = at;
		return "a truncate to less";
	case 1:
		if (tail_len + len > TAIL_MAX)
			return "nothing";
		if (ftruncate(owner->plain, TAIL_OFF + tail_len + len) < 0)
			die("truncate");
		tail_len += len;
		return "a truncate to more";
	case 2:
		if (tail_len + len > TAIL_MAX)
			return "nothing";
		if (write(appending, owner->buffer, len) != (ssize_t)len)
			die("append");
		memset(tail + tail_len, value, len);
		tail_len += len;
		return "an append";
	case 3:
		if (at + len > TAIL_MAX)
			return "nothing";
		if (pwrite(owner->plain, owner->buffer, len, TAIL_OFF + at) != (ssize_t)len)
			die("write");
		memset(tail + at, value, len);
		if (tail_len < at + len)
			tail_len = at + len;
		return "a write";
	default:
		if (at + len > TAIL_MAX)
			return "nothing";
		if (fallocate(owner->plain, 0, TAIL_OFF + at, len) < 0)
			die("fallocate");
		if (tail_len < at + len)
			tail_len = at + len;
		return "a fallocate";
	}
}

static void *run_tail(void *argument)
{
	struct owner *owner = argument;
	int appending = open(path, O_WRONLY | O_APPEND);

	if (appending < 0)
		die("open with O_APPEND");
	while (!atomic_load(&stop)) {
		tail_check(owner, tail_step(owner, appending));
		owner->writes++;
	}
	close(appending);
	return NULL;
}

/* Whoever opens the file, however, and closes it again takes no page from others. */
static void come_and_go(void)
{
	const int flags[] = { O_RDONLY, O_RDWR, O_RDONLY | O_DIRECT, O_RDWR | O_DIRECT };
	/* where the file is mapped, nobody else goes around the page cache */
	unsigned int ways = strchr(kinds, 'm') ? 2 : 4;

	for (unsigned int i = 0; i < ways; i++) {
		int fd = open(path, flags[i]);

		if (fd < 0)
			fault("open: %s", strerror(errno));
		else
			close(fd);
	}
}

static void *run_sync(void *argument)
{
	struct owner *owner = argument;

	while (!atomic_load(&stop)) {
		if (fsync(owner->plain) < 0) {
			fault("fsync: %s", strerror(errno));
			break;
		}
		owner->writes++;
		come_and_go();
		usleep(20 * 1000);
	}
	return NULL;
}

/* --- all of it --- */

static void prepare(struct owner *owner, char kind, uint64_t random)
{
	char name[4096];

	owner->kind = kind;
	owner->stride = owner->stride ?: 1;
	owner->random = random | 1;
	owner->plain = open(path, O_RDWR);
	/* where the file is mapped, nobody else goes around the page cache */
	owner->direct = strchr(kinds, 'm') ? -1 : open(path, O_RDWR | O_DIRECT);
	if (owner->plain < 0 || (owner->direct < 0 && !strchr(kinds, 'm')))
		die("open");
	if (posix_memalign((void **)&owner->buffer, PAGE, FILE_BYTES + TAIL_MAX + PAGE))
		abort();
	if (kind == 'c') {
		snprintf(name, sizeof(name), "%s.source", path);
		owner->source = open(name, O_RDWR | O_CREAT, 0600);
		if (owner->source < 0)
			die("open the source of copies");
	}
	if (kind == 'm') {
		owner->map =
			mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, owner->plain, 0);
		if (owner->map == MAP_FAILED)
			die("map");
	}
}

/* Half of the slices are written, the others are holes at first. */
static void make_file(struct owner *owner)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || ftruncate(fd, TAIL_OFF) < 0)
		die("create");
	prepare(owner, ' ', 1);
	for (unsigned int i = 0; i < slice_count; i++) {
		if (slices[i].off / (4 * PAGE) % 2)
			continue;
		slices[i].begun = slices[i].acked = 1;
		memset(owner->buffer, value_after(&slices[i], 1), slices[i].len);
		if (store_by(fd, owner->buffer, slices[i].len, slices[i].off) < 0)
			die("write");
	}
	if (fsync(fd) < 0)
		die("fsync");
	close(fd);
}

/*
 * Everything is as the last write left it, however it is read. Nobody reads past the page of the
 * end: XFS answers EIO to a direct read there while it has blocks in store for appends (delayed
 * allocation, seen without a mount).
 */
static void check_all(struct owner *owner, const char *name, int flags)
{
	uint32_t size = TAIL_OFF + tail_len;
	int fd = open(name, O_RDONLY | flags);
	ssize_t got;

	errno = 0;
	got = fd < 0 ? -1 : pread(fd, owner->buffer, (size + PAGE - 1) / PAGE * PAGE, 0);
	if (got != (ssize_t)size) {
		fault("%s%s: %zd bytes are read at the end, not %u: %s", name,
		      flags ? " by O_DIRECT" : "", got, size, strerror(errno));
		return;
	}
	for (unsigned int i = 0; i < slice_count; i++) {
		const struct slice *slice = &slices[i];
		const uint8_t *bytes = owner->buffer + slice->off;
		uint32_t at = first_wrong(slice, bytes, slice->acked, slice->begun);

		if (at < slice->len)
			fault("%s%s: at the end byte %u (slice '%c' of %u to %u) is %u, not %u",
			      name, flags ? " by O_DIRECT" : "", slice->off + at, slice->kind,
			      slice->off, slice->off + slice->len, bytes[at],
			      value_after(slice, slice->acked));
	}
	if (memcmp(owner->buffer + TAIL_OFF, tail, tail_len) != 0)
		fault("%s: the end of the file has other bytes at the end", name);
	close(fd);
}

static bool parse(int count, char **words, uint64_t *ret_random)
{
	for (int i = 3; i < count; i++) {
		if (sscanf(words[i], "sector=%" SCNu32, &sector) == 1 ||
		    sscanf(words[i], "bystander=%" SCNu32, &bystander) == 1 ||
		    sscanf(words[i], "seed=%" SCNu64, ret_random) == 1 ||
		    sscanf(words[i], "kinds=%31s", kinds) == 1)
			continue;
		if (strncmp(words[i], "below=", 6) != 0)
			return false;
		below_path = words[i] + 6;
	}
	return count >= 3 && sector && PAGE % sector == 0;
}

/* How many threads share the slices of a kind. */
static unsigned int threads_of(char kind)
{
	return kind == 'd' || kind == 'o' ? 2 : 1;
}

int main(int count, char **words)
{
	struct owner first = { 0 }, owners[32] = { 0 };
	uint64_t random = (uint64_t)time(NULL) * 1000003 ^ (uint64_t)getpid();
	unsigned int running = 0;

	if (!parse(count, words, &random)) {
		fprintf(stderr, "usage: neighbours FILE SECONDS [sector=N] [seed=N] "
				"[kinds=LETTERS] [bystander=1] [below=FILE]\n");
		return 2;
	}
	path = words[1];
	printf("neighbours: seed=%" PRIu64 " kinds=%s sector=%u\n", random, kinds, sector);
	fflush(stdout);
	random |= 1;
	cut_file(&random);
	make_file(&first);
	if (bystander && open(path, O_RDONLY | O_DIRECT) < 0)
		die("open with O_DIRECT");
	for (const char *kind = kinds; *kind; kind++) {
		for (unsigned int i = 0; i < threads_of(*kind); i++) {
			struct owner *owner = &owners[running++];

			owner->first = i;
			owner->stride = threads_of(*kind);
			prepare(owner, *kind, draw(&random));
			pthread_create(&owner->thread, NULL, *kind == 't' ? run_tail : run_owner,
				       owner);
		}
	}
	for (unsigned int i = 0; i < 3; i++) {
		struct owner *owner = &owners[running++];

		prepare(owner, i ? 'r' : 's', draw(&random));
		pthread_create(&owner->thread, NULL, i ? run_reader : run_sync, owner);
	}
	for (int tenth = 0; tenth < atof(words[2]) * 10 && !atomic_load(&stop); tenth++)
		usleep(100 * 1000);
	atomic_store(&stop, true);
	printf("neighbours:");
	for (unsigned int i = 0; i < running; i++) {
		pthread_join(owners[i].thread, NULL);
		if (owners[i].kind != 'r')
			printf(" %c %" PRIu64, owners[i].kind, owners[i].writes);
	}
	printf(" writes (s: fsync)\n");
	for (unsigned int i = 0; i < running; i++) {
		if (owners[i].map && msync(owners[i].map, FILE_BYTES, MS_SYNC) < 0)
			fault("msync: %s", strerror(errno));
	}
	if (fsync(first.plain) < 0)
		fault("fsync at the end: %s", strerror(errno));
	check_all(&first, path, 0);
	check_all(&first, path, O_DIRECT);
	if (below_path) {
		check_all(&first, below_path, 0);
		check_all(&first, below_path, O_DIRECT);
	}
	printf("neighbours: %u faults\n", atomic_load(&faults));
	return atomic_load(&faults) ? 1 : 0;
}
