/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of -o. The table `known` is the only place for an option's name, range, default and
 * help. It serves for parsing, for defaults and for --help.
 */
#include "host/options-word.h"

#include <assert.h>
#include <errno.h>
#include <fuse_opt.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/log.h"
#include "base/macro.h"
#include "host/options.h"

/*
 * Three threads a CPU with few slots each measured best, by both transports. A queue that is full
 * leaves the next request to a sibling, so that all CPUs work on the requests of one client.
 */
#define QUEUES_PER_CPU 3

/* The kernel needs at least FUSE_MIN_READ_BUFFER bytes to read into, headers included. */
#define MAX_WRITE_MIN 8192

#define SECONDS_MAX_NS 1000000000000000000ull

enum kind {
	KIND_REQUIRE, /* bool: require, off */
	KIND_SWITCH,  /* bool: on, off */
	KIND_COUNT,   /* uint32_t */
	KIND_PAGES,   /* uint32_t, bytes with K, M or G, a multiple of the page size */
	KIND_BYTES,   /* as KIND_PAGES, but uint64_t */
	KIND_SECONDS, /* uint64_t nanoseconds, from seconds with a fraction */
	KIND_CACHE,   /* this and the next three: an enum, by the names in names_of */
	KIND_TRANSPORT,
	KIND_PASSTHROUGH,
	KIND_LOG,
	KIND_FLAG, /* bool, true if the option is given */
};

static const struct option {
	const char *name;
	enum kind kind;
	uint32_t offset;     /* in struct options */
	uint64_t min, max;   /* in the field's unit */
	const char *initial; /* default, as it would be given; NULL: it depends on the machine */
	const char *default_text;
	const char *help;
} known[] = {
#define FIELD(f) offsetof(struct options, f)
	{ "io_flusher", KIND_REQUIRE, FIELD(require_io_flusher), 0, 0, "require", "require",
	  "require|off: serve only if every task can be kept out of memory reclaim" },
	{ "mlock", KIND_REQUIRE, FIELD(require_mlock), 0, 0, "require", "require",
	  "require|off: serve only if all memory can be locked" },
	{ "queues", KIND_COUNT, FIELD(serve.queues), 1, SERVE_QUEUES_MAX, NULL,
	  "3 per CPU, at most 16", "N: threads that serve data" },
	{ "queue_depth", KIND_COUNT, FIELD(serve.queue_depth), 1, 256, "12",
	  "12; by uring as memory= permits", "N: requests that one queue serves at a time" },
	{ "workers", KIND_COUNT, FIELD(serve.workers), 1, 64, "8", "8",
	  "N: threads that serve metadata" },
	{ "inodes", KIND_COUNT, FIELD(serve.inodes), SERVE_INODES_MIN, 1 << 24, "65536", "65536",

	  "N: files and directories that the kernel may know of" },
	{ "files", KIND_COUNT, FIELD(serve.files), SERVE_FILES_MIN, 1 << 22, NULL,
	  "16384, fewer with a low RLIMIT_NOFILE", "N: files that may be open" },
	{ "max_write", KIND_PAGES, FIELD(serve.max_write), MAX_WRITE_MIN, 4 << 20, "1M", "1M",
	  "BYTES: of one request at most; the kernel may allow less" },
	{ "extent_size_hint", KIND_PAGES, FIELD(serve.extent_size_hint), 0, 1 << 30, "1M", "1M",
	  "BYTES: that are allocated at once where a sparse file is written to; 0: off" },
	{ "memory", KIND_BYTES, FIELD(serve.memory), 1 << 20, 1ull << 40, "1G", "1G",
	  "BYTES: that buffers and tables may take" },
	{ "cache", KIND_CACHE, FIELD(serve.cache), 0, 0, "none", "none",
	  "none|writeback|writethrough: how backing files are opened" },
	{ "transport", KIND_TRANSPORT, FIELD(serve.transport), 0, 0, "auto", "auto",
	  "auto|dev|uring: how requests come from the kernel" },
	{ "attr_timeout", KIND_SECONDS, FIELD(serve.attr_timeout_ns), 0, SECONDS_MAX_NS, "1", "1",
	  "S: seconds for which the kernel may keep attributes" },
	{ "entry_timeout", KIND_SECONDS, FIELD(serve.entry_timeout_ns), 0, SECONDS_MAX_NS, "1", "1",
	  "S: seconds for which the kernel may keep names" },
	{ "passthrough", KIND_PASSTHROUGH, FIELD(serve.passthrough), 0, 0, "off", "off",
	  "off|auto|on: keep CAP_SYS_ADMIN, and let the kernel itself read for those who only "
	  "read" },
	{ "trusted_xattr", KIND_FLAG, FIELD(trusted_xattr), 0, 0, NULL, "off",
	  "keep CAP_SYS_ADMIN and so trusted.* attributes" },
	{ "recovery", KIND_SWITCH, FIELD(serve.recovery), 0, 0, "on", "on",
	  "on|off: let another server take over if one dies; by /dev/fuse only" },
	{ "spare", KIND_SWITCH, FIELD(spare), 0, 0, "on", "on",
	  "on|off: with recovery=on, start that other server before it is needed" },
	{ "recovery_timeout", KIND_SECONDS, FIELD(recovery_timeout_ns), 1000000000, 600000000000ull,
	  "30", "30",
	  "S: seconds to wait for the I/O of a server that has died; then clients get errors" },
	{ "recoveries", KIND_COUNT, FIELD(recoveries), 1, 100000, "60", "60",
	  "N: servers that may die within a minute" },
	{ "hang_timeout", KIND_SECONDS, FIELD(hang_timeout_ns), 0, 86400000000000ull, "0", "0",
	  "S: seconds after which another server takes over if a thread hangs; 0: off" },
	{ "log", KIND_LOG, FIELD(log), 0, 0, NULL, "stderr with -f, otherwise syslog",
	  "stderr|syslog: where messages go" },
};

/*
 * Words that libfuse 3.14 passes on to the kernel or to fusermount3. Those with "=" take a value.
 */
static const char *const mount_words[] = {
	"allow_other", "default_permissions",
	"ro",	       "rw",
	"suid",	       "nosuid",
	"dev",	       "nodev",
	"exec",	       "noexec",
	"async",       "sync",
	"atime",       "noatime",
	"dirsync",     "fsname=",
	"subtype=",    "max_read=",
	"context=",    "fscontext=",
	"defcontext=", "rootcontext=",
};

/*
 * Words that change nothing: the keeper unmounts in any case, and FUSE's inodes have S_NOATIME, so
 * kinds of atime make no difference.
 */
static const char *const idle_words[] = {
	"auto_unmount", "diratime",	 "nodiratime", "relatime",   "norelatime",
	"strictatime",	"nostrictatime", "lazytime",   "nolazytime",
};

/* Words of fstab that are for others, but reach a mount helper as well. */
static const char *const fstab_words[] = {
	"defaults", "auto",  "noauto", "nofail",   "_netdev", "user", "nouser", "users",
	"owner",    "group", "user=",  "comment=", "x-",      "X-",   "silent", "loud",
};

static const char *const cache_names[] = {
	[CACHE_NONE] = "none",
	[CACHE_WRITEBACK] = "writeback",
	[CACHE_WRITETHROUGH] = "writethrough",
};

static const char *const transport_names[] = {
	[TRANSPORT_AUTO] = "auto",
	[TRANSPORT_DEV] = "dev",
	[TRANSPORT_URING] = "uring",
};

static const char *const passthrough_names[] = {
	[PASSTHROUGH_OFF] = "off",
	[PASSTHROUGH_AUTO] = "auto",
	[PASSTHROUGH_ON] = "on",
};

static const char *const log_names[] = {
	[LOG_TARGET_STDERR] = "stderr",
	[LOG_TARGET_SYSLOG] = "syslog",
};

static const char *const require_names[] = { "off", "require" };
static const char *const switch_names[] = { "off", "on" };

static const struct {
	const char *const *names;
	int count;
} names_of[] = {
#define NAMES(list)                                                                                \
	{                                                                                          \
		list, ARRAY_SIZE(list)                                                             \
	}
	[KIND_REQUIRE] = NAMES(require_names),
	[KIND_SWITCH] = NAMES(switch_names),
	[KIND_CACHE] = NAMES(cache_names),
	[KIND_TRANSPORT] = NAMES(transport_names),
	[KIND_PASSTHROUGH] = NAMES(passthrough_names),
	[KIND_LOG] = NAMES(log_names),
};

const char *options_cache_name(enum cache_mode cache)
{
	return cache_names[cache];
}

const char *options_passthrough_name(enum passthrough_mode passthrough)
{
	return passthrough_names[passthrough];
}

/* Whether LIST has WORD. An item that ends in "=" or "-" matches all words that begin with it. */
static bool is_listed(const char *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(list[i]);
		char last = list[i][len - 1];

		if (last == '=' || last == '-' ? !strncmp(word, list[i], len)
					       : !strcmp(word, list[i]))
			return true;
	}
	return false;
}

static int find_name(enum kind kind, const char *value)
{
	for (int i = 0; i < names_of[kind].count; i++) {
		if (strcmp(value, names_of[kind].names[i]) == 0)
			return i;
	}
	return -EINVAL;
}

/* Reads digits at *AT and moves it past them. Returns 0, -EINVAL: no digits, -ERANGE: too many. */
static int parse_digits(const char **at, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *digit = *at;

	for (; *digit >= '0' && *digit <= '9'; digit++) {
		if (__builtin_mul_overflow(number, 10u, &number) ||
		    __builtin_add_overflow(number, (unsigned)(*digit - '0'), &number))
			return -ERANGE;
	}
	if (digit == *at)
		return -EINVAL;
	*at = digit;
	*ret_number = number;
	return 0;
}

/* Applies a unit at *AT to NUMBER, as in "64K" and "1M". */
static int parse_unit(const char **at, uint64_t *number)
{
	static const char units[] = "KMG";
	const char *unit = **at ? strchr(units, **at) : NULL;

	if (!unit)
		return 0;
	(*at)++;
	return __builtin_mul_overflow(*number, 1ull << 10 * (unit - units + 1), number) ? -ERANGE
											: 0;
}

/* Reads digits after a decimal point. NUMBER becomes nanoseconds; more digits are cut off. */
static int parse_fraction(const char **at, uint64_t *number)
{
	uint64_t digit_ns = 1000000000;

	if (__builtin_mul_overflow(*number, digit_ns, number))
		return -ERANGE;
	if (**at != '.')
		return 0;
	for ((*at)++; **at >= '0' && **at <= '9'; (*at)++) {
		digit_ns /= 10;
		*number += digit_ns * (unsigned)(**at - '0');
	}
	return 0;
}

static int set_number(const struct option *option, const char *value, void *field)
{
	bool in_bytes = option->kind == KIND_PAGES || option->kind == KIND_BYTES;
	const char *at = value;
	uint64_t number = 0;
	int r;

	r = parse_digits(&at, &number);
	if (!r && in_bytes)
		r = parse_unit(&at, &number);
	if (!r && option->kind == KIND_SECONDS)
		r = parse_fraction(&at, &number);
	if (r < 0)
		return r;
	if (*at || (in_bytes && !is_aligned(number, PAGE_BYTES)))
		return -EINVAL;
	if (number < option->min || number > option->max)
		return -ERANGE;
	if (option->kind == KIND_SECONDS || option->kind == KIND_BYTES)
		*(uint64_t *)field = number;
	else
		*(uint32_t *)field = (uint32_t)number;
	return 0;
}

/* Stores VALUE. Returns 0, -EINVAL: it isn't a value, -ERANGE: it is too small or too large. */
static int set(struct options *options, const struct option *option, const char *value)
{
	void *field = (char *)options + option->offset;
	int r = 0;

	switch (option->kind) {
	case KIND_REQUIRE:
	case KIND_SWITCH:
		r = find_name(option->kind, value);
		if (r >= 0)
			*(bool *)field = r;
		options->recovery_given |= field == &options->serve.recovery;
		break;
	case KIND_LOG:
		options->log_given = true;
		/* fall through */
	case KIND_CACHE:
	case KIND_TRANSPORT:
	case KIND_PASSTHROUGH:
		r = find_name(option->kind, value);
		if (r >= 0)
			*(unsigned *)field = (unsigned)r; /* which is what these enums are */
		break;
	case KIND_COUNT:
		options->serve.queue_depth_given |= field == &options->serve.queue_depth;
		/* fall through */
	case KIND_PAGES:
	case KIND_BYTES:
	case KIND_SECONDS:
		r = set_number(option, value, field);
		break;
	case KIND_FLAG:
		*(bool *)field = true;
		break;
	}
	return MIN(r, 0);
}

void options_set_defaults(struct options *options)
{
	cpu_set_t cpus;
	uint32_t cpu_count = 1;

	*options = (struct options){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].initial) {
			int r = set(options, &known[i], known[i].initial);

			assert(r == 0); /* the table is ours */
			(void)r;
		}
	}
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		cpu_count = MAX((uint32_t)CPU_COUNT(&cpus), 1u);
	options->serve.queues = MIN(cpu_count * QUEUES_PER_CPU, (uint32_t)SERVE_QUEUES_DEFAULT);
	options->log_given = options->serve.queue_depth_given = false;
	options->recovery_given = false;
	options->remount_flags = MS_NOSUID | MS_NODEV; /* as libfuse mounts */
}

void options_print_help(void)
{
	printf("usage: caissond [-f] [-o OPTION[,OPTION...]] BACKING MOUNTPOINT\n"
	       "       mount -t fuse.caisson BACKING MOUNTPOINT [-o OPTION[,OPTION...]]\n"
	       "Serves the directory BACKING at MOUNTPOINT, for storage stacked on it.\n\n"
	       "  -f               stay in the foreground\n"
	       "  -h, --help       print this\n"
	       "  -V, --version    print the version\n\n"
	       "options, with their defaults in parentheses:\n");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		bool flag = known[i].kind == KIND_FLAG;
		const char *help = known[i].help;
		/* the part before the colon is the value */
		int value_len = flag ? 0 : (int)strcspn(help, ":");

		printf("  %s%s%.*s\n      %s (%s)\n", known[i].name, flag ? "" : "=", value_len,
		       help, flag ? help : help + value_len + 2, known[i].default_text);
	}
	printf("\nmount options that are passed on:\n ");
	for (size_t i = 0; i < ARRAY_SIZE(mount_words); i++)
		printf(" %s", mount_words[i]);
	printf("\n\nremount,FLAG...: changes flags of a mount, and starts no daemon\n");
}

void options_take_remount_word(struct options *options, const char *word)
{
	static const struct {
		const char *word;
		unsigned long flag;
		bool on;
	} flags[] = {
		{ "ro", MS_RDONLY, true },
		{ "rw", MS_RDONLY, false },
		{ "nosuid", MS_NOSUID, true },
		{ "suid", MS_NOSUID, false },
		{ "nodev", MS_NODEV, true },
		{ "dev", MS_NODEV, false },
		{ "noexec", MS_NOEXEC, true },
		{ "exec", MS_NOEXEC, false },
		{ "sync", MS_SYNCHRONOUS, true },
		{ "async", MS_SYNCHRONOUS, false },
		{ "noatime", MS_NOATIME, true },
		{ "atime", MS_NOATIME, false },
		{ "nodiratime", MS_NODIRATIME, true },
		{ "diratime", MS_NODIRATIME, false },
		{ "relatime", MS_RELATIME, true },
		{ "norelatime", MS_RELATIME, false },
		{ "strictatime", MS_STRICTATIME, true },
		{ "nostrictatime", MS_STRICTATIME, false },
		{ "lazytime", MS_LAZYTIME, true },
		{ "nolazytime", MS_LAZYTIME, false },
		{ "bind", MS_BIND, true },
	};

	options->subtype_given |= strncmp(word, "subtype=", 8) == 0;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (strcmp(word, flags[i].word) != 0)
			continue;
		if (flags[i].on)
			options->remount_flags |= flags[i].flag;
		else
			options->remount_flags &= ~flags[i].flag;
	}
}

int options_refuse(const char *word, const char *why)
{
	log_fail("option %s: parse: %s", word, why);
	return -1;
}

static void log_range(const struct option *option, const char *value)
{
	uint64_t unit = option->kind == KIND_SECONDS ? 1000000000 : 1;

	log_fail("option %s=%s: parse: must be %llu to %llu", option->name, value,
		 (unsigned long long)(option->min / unit),
		 (unsigned long long)(option->max / unit));
}

static int take_known(struct options *options, const struct option *option, const char *value)
{
	int r;

	if (!value != (option->kind == KIND_FLAG))
		return options_refuse(option->name, value ? "takes no value" : "needs a value");
	r = set(options, option, value);
	if (r == 0)
		return 0;
	if (r == -ERANGE)
		log_range(option, value);
	else
		log_fail("option %s=%s: parse: is not %.*s%s", option->name, value,
			 (int)strcspn(option->help, ":"), option->help,
			 option->kind == KIND_PAGES ? " in whole pages" : "");
	return -1;
}

int options_take_word(struct options *options, const char *word, char **mount_options)
{
	size_t name_len = strcspn(word, "=");

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strlen(known[i].name) == name_len && !strncmp(word, known[i].name, name_len))
			return take_known(options, &known[i],
					  word[name_len] ? word + name_len + 1 : NULL);
	}
	if (is_listed(word, mount_words, ARRAY_SIZE(mount_words))) {
		options->allow_other |= strcmp(word, "allow_other") == 0;
		options->serve.default_permissions |= strcmp(word, "default_permissions") == 0;
		if (strcmp(word, "atime") == 0 || strcmp(word, "noatime") == 0)
			options->serve.noatime = word[0] == 'n';
		options->fsname_given |= strncmp(word, "fsname=", 7) == 0;
		options->subtype_given |= strncmp(word, "subtype=", 8) == 0;
		return fuse_opt_add_opt_escaped(mount_options, word);
	}
	if (is_listed(word, idle_words, ARRAY_SIZE(idle_words)))
		return 0;
	if (options->helper &&
	    (options->sloppy || is_listed(word, fstab_words, ARRAY_SIZE(fstab_words))))
		return 0;
	return options_refuse(word, "unknown");
}
