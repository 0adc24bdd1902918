/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: what it gives, what is refused and with which one line; paths and limits. */
#include "host/options.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "test.h"

static int real_stderr, real_stdout, captured;
static char told[8192];

static void capture_start(void)
{
	(void)fflush(stdout);
	captured = memfd_create("output", MFD_CLOEXEC);
	real_stderr = dup(STDERR_FILENO);
	real_stdout = dup(STDOUT_FILENO);
	CHECK(captured >= 0 && real_stderr >= 0 && real_stdout >= 0);
	CHECK(dup2(captured, STDERR_FILENO) >= 0 && dup2(captured, STDOUT_FILENO) >= 0);
}

/* Into `told`. */
static void capture_end(void)
{
	ssize_t n;

	(void)fflush(stdout);
	CHECK(dup2(real_stderr, STDERR_FILENO) >= 0 && dup2(real_stdout, STDOUT_FILENO) >= 0);
	close(real_stderr);
	close(real_stdout);
	n = pread(captured, told, sizeof(told) - 1, 0);
	CHECK(n >= 0);
	told[n] = '\0';
	close(captured);
}

#define WORDS_MAX 32

/* Parses WORDS, separated by blanks, the program's name among them. */
static int parse(struct options *options, const char *words)
{
	char copy[1024], *argv[WORDS_MAX + 1], *rest = copy;
	int argc = 0, r;

	CHECK(strlen(words) < sizeof(copy));
	strcpy(copy, words);
	while (rest) {
		CHECK(argc < WORDS_MAX);
		argv[argc++] = strsep(&rest, " ");
	}
	argv[argc] = NULL;
	capture_start();
	r = options_parse(options, argc, argv);
	capture_end();
	return r;
}

static void expect_fine(struct options *options, const char *words)
{
	int r = parse(options, words);

	CHECK_STR(told, "");
	CHECK_EQ(r, 0);
}

/* Refused with exactly this line. */
static void expect_refusal(const char *words, const char *line)
{
	struct options options;

	CHECK_EQ(parse(&options, words), -EINVAL);
	CHECK_STR(told, line);
	options_destroy(&options);
}

static void expect_mount_options(const struct options *options, const char *expected)
{
	CHECK_EQ(options->mount_args.argc, 3);
	CHECK_STR(options->mount_args.argv[0], "caissond");
	CHECK_STR(options->mount_args.argv[1], "-o");
	CHECK_STR(options->mount_args.argv[2], expected);
}

static void defaults_are_safe(void)
{
	struct options options;
	cpu_set_t cpus;

	expect_fine(&options, "caissond /b /m");
	CHECK(options.require_io_flusher && options.require_mlock);
	CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	CHECK_EQ(options.serve.queues, (uint32_t)MIN(CPU_COUNT(&cpus) * 3, 16));
	CHECK_EQ(options.serve.inodes, 65536u);
	CHECK_EQ(options.serve.queue_depth, 12u);
	CHECK_EQ(options.serve.workers, 8u);
	CHECK_EQ(options.serve.max_write, 1u << 20);
	CHECK_EQ(options.serve.extent_size_hint, 1u << 20);
	CHECK_EQ(options.serve.cache, CACHE_NONE);
	CHECK_EQ(options.serve.attr_timeout_ns, (uint64_t)1000000000);
	CHECK_EQ(options.serve.entry_timeout_ns, (uint64_t)1000000000);
	CHECK(!options.foreground && !options.done && !options.helper);
	CHECK(!options.serve.default_permissions && !options.allow_other && !options.trusted_xattr);
	CHECK_EQ(options.log, LOG_TARGET_SYSLOG);
	CHECK_STR(options.backing, "/b");
	CHECK_STR(options.mountpoint, "/m");
	expect_mount_options(&options, "subtype=caisson,fsname=/b");
	options_destroy(&options);
}

static void takes_every_option(void)
{
	struct options options;

	expect_fine(&options,
		    "caissond -f -o io_flusher=off,mlock=off,queues=5 b -o queue_depth=7,workers=3 "
		    "-oinodes=1000,files=500,max_write=256K,cache=writethrough m -o "
		    "attr_timeout=0.25,entry_timeout=60,trusted_xattr,log=syslog,allow_other,"
		    "default_permissions,ro,nosuid,fsname=disk,subtype=x,relatime,auto_unmount");
	CHECK(!options.require_io_flusher && !options.require_mlock && options.foreground);
	CHECK_EQ(options.serve.queues, 5u);
	CHECK_EQ(options.serve.queue_depth, 7u);
	CHECK_EQ(options.serve.workers, 3u);
	CHECK_EQ(options.serve.inodes, 1000u);
	CHECK_EQ(options.serve.files, 500u);
	CHECK_EQ(options.serve.max_write, 256u << 10);
	CHECK_EQ(options.serve.cache, CACHE_WRITETHROUGH);
	CHECK_EQ(options.serve.attr_timeout_ns, (uint64_t)250000000);
	CHECK_EQ(options.serve.entry_timeout_ns, (uint64_t)60000000000);
	CHECK(options.trusted_xattr && options.allow_other && options.serve.default_permissions);
	CHECK_EQ(options.log, LOG_TARGET_SYSLOG);
	expect_mount_options(&options,
			     "allow_other,default_permissions,ro,nosuid,fsname=disk,subtype=x");
	options_destroy(&options);

	expect_fine(&options, "caissond -f b m");
	CHECK_EQ(options.log, LOG_TARGET_STDERR);
	options_destroy(&options);
	expect_fine(&options, "caissond -o log=stderr b m");
	CHECK_EQ(options.log, LOG_TARGET_STDERR);
	options_destroy(&options);
}

static void reads_numbers_and_units(void)
{
	static const struct {
		const char *words;
		uint64_t max_write, attr_timeout_ns;
	} cases[] = {
		{ "caissond -o max_write=8192,attr_timeout=0 b m", 8192, 0 },
		{ "caissond -o max_write=8K,attr_timeout=1.5 b m", 8192, 1500000000 },
		{ "caissond -o max_write=4M,attr_timeout=0.000000001 b m", 4 << 20, 1 },
		{ "caissond -o max_write=1M,attr_timeout=0.0000000019 b m", 1 << 20, 1 },
		{ "caissond -o max_write=1M,attr_timeout=1000000000 b m", 1 << 20,
		  1000000000000000000 },
	};
	struct options options;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		expect_fine(&options, cases[i].words);
		CHECK_EQ((uint64_t)options.serve.max_write, cases[i].max_write);
		CHECK_EQ(options.serve.attr_timeout_ns, cases[i].attr_timeout_ns);
		options_destroy(&options);
	}
}

static void refuses_with_one_line(void)
{
	static const struct {
		const char *words, *line;
	} cases[] = {
		{ "caissond", "BACKING: parse: not given; try caissond --help" },
		{ "caissond b", "MOUNTPOINT: parse: not given; try caissond --help" },
		{ "caissond b m x", "option x: parse: only BACKING and MOUNTPOINT are expected" },
		{ "caissond -o bogus b m", "option bogus: parse: unknown" },
		{ "caissond -o bogus=1 b m", "option bogus=1: parse: unknown" },
		{ "caissond -o noauto b m", "option noauto: parse: unknown" },
		{ "caissond -d b m", "option -d: parse: unknown" },
		{ "caissond -fd b m", "option -fd: parse: unknown" },
		{ "caissond --frobnicate b m", "option --frobnicate: parse: unknown" },
		{ "caissond -t fuse b m", "option -tfuse: parse: unknown" },
		{ "caissond b m -o", "fuse: missing argument after `-o'" },
		{ "caissond -o queues b m", "option queues: parse: needs a value" },
		{ "caissond -o queues= b m", "option queues=: parse: is not N" },
		{ "caissond -o queues=x b m", "option queues=x: parse: is not N" },
		{ "caissond -o queues=-1 b m", "option queues=-1: parse: is not N" },
		{ "caissond -o queues=1K b m", "option queues=1K: parse: is not N" },
		{ "caissond -o queues=1.0 b m", "option queues=1.0: parse: is not N" },
		{ "caissond -o queues=0x10 b m", "option queues=0x10: parse: is not N" },
		{ "caissond -o queues=0 b m", "option queues=0: parse: must be 1 to 64" },
		{ "caissond -o queues=65 b m", "option queues=65: parse: must be 1 to 64" },
		{ "caissond -o queues=18446744073709551617 b m",
		  "option queues=18446744073709551617: parse: must be 1 to 64" },
		{ "caissond -o queue_depth=257 b m",
		  "option queue_depth=257: parse: must be 1 to 256" },
		{ "caissond -o max_write=1000 b m",
		  "option max_write=1000: parse: is not BYTES in whole pages" },
		{ "caissond -o max_write=1T b m",
		  "option max_write=1T: parse: is not BYTES in whole pages" },
		{ "caissond -o max_write=4K b m",
		  "option max_write=4K: parse: must be 8192 to 4194304" },
		{ "caissond -o max_write=8M b m",
		  "option max_write=8M: parse: must be 8192 to 4194304" },
		{ "caissond -o max_write=18014398509481984K b m",
		  "option max_write=18014398509481984K: parse: must be 8192 to 4194304" },
		{ "caissond -o attr_timeout=1s b m", "option attr_timeout=1s: parse: is not S" },
		{ "caissond -o attr_timeout=.5 b m", "option attr_timeout=.5: parse: is not S" },
		{ "caissond -o entry_timeout=1000000001 b m",
		  "option entry_timeout=1000000001: parse: must be 0 to 1000000000" },
		{ "caissond -o cache=all b m",
		  "option cache=all: parse: is not none|writeback|writethrough" },
		{ "caissond -o io_flusher=on b m",
		  "option io_flusher=on: parse: is not require|off" },
		{ "caissond -o mlock b m", "option mlock: parse: needs a value" },
		{ "caissond -o log=x b m", "option log=x: parse: is not stderr|syslog" },
		{ "caissond -o trusted_xattr=1 b m",
		  "option trusted_xattr: parse: takes no value" },
		/* the first one counts, and there is one line */
		{ "caissond -o queues=0,bogus b m", "option queues=0: parse: must be 1 to 64" },
		{ "/sbin/mount.fuse.caisson b m -x", "option -x: parse: unknown" },
		{ "/sbin/mount.fuse.caisson b m -o bogus", "option bogus: parse: unknown" },
		{ "/sbin/mount.fuse.caisson b m -s -o queues=0",
		  "option queues=0: parse: must be 1 to 64" },
		{ "/sbin/mount.fuse.caisson b m -N /proc/1/ns/mnt",
		  "option -N/proc/1/ns/mnt: parse: mount namespaces: use nsenter" },
	};
	char line[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(line, sizeof(line), "caissond: %s\n", cases[i].line);
		expect_refusal(cases[i].words, line);
	}
}

static void helps_mount(void)
{
	struct options options;

	expect_fine(&options, "/sbin/mount.fuse.caisson /b /m -nv -o rw,defaults,noauto,nofail,"
			      "_netdev,user,x-systemd.automount,comment=nightly,dev,suid,queues=2");
	CHECK(options.helper && !options.done && !options.foreground);
	CHECK_EQ(options.serve.queues, 2u);
	CHECK_EQ(options.log, LOG_TARGET_SYSLOG);
	expect_mount_options(&options, "rw,dev,suid,subtype=caisson,fsname=/b");
	options_destroy(&options);

	/* -f is fake, here */
	expect_fine(&options, "mount.fuse.caisson /b /m -sfnv -o bogus -t fuse.caisson");
	CHECK(options.done && options.sloppy && !options.foreground);
	options_destroy(&options);
}

static void remounts(void)
{
	static const struct {
		const char *words;
		unsigned long flags;
	} cases[] = {
		{ "remount", MS_NOSUID | MS_NODEV },
		{ "remount,ro", MS_NOSUID | MS_NODEV | MS_RDONLY },
		{ "ro,remount,rw", MS_NOSUID | MS_NODEV },
		{ "suid,dev,noexec,sync,remount", MS_NOEXEC | MS_SYNCHRONOUS },
		{ "noatime,remount,atime,relatime", MS_NOSUID | MS_NODEV | MS_RELATIME },
		{ "queues=0,nonsense,user_id=0,remount", MS_NOSUID | MS_NODEV },
	};
	struct options options;
	char words[128];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK(snprintf(words, sizeof(words), "mount.fuse.caisson /b /m -o %s",
			       cases[i].words) < (int)sizeof(words));
		expect_fine(&options, words);
		CHECK(options.remount);
		CHECK_EQ(options.remount_flags, cases[i].flags);
		CHECK_STR(options.mountpoint, "/m");
		options_destroy(&options);
	}
	expect_fine(&options, "caissond -oallow_other,remount /b /m");
	CHECK(options.remount);
	options_destroy(&options);
	expect_fine(&options, "caissond -o fsname=remount /b /m");
	CHECK(!options.remount);
	options_destroy(&options);
	expect_refusal("caissond -o remounts /b /m", "caissond: option remounts: parse: unknown\n");
}

static void helps_people(void)
{
	static const char *const words[] = {
		"io_flusher=require|off",
		"mlock=",
		"queues=N",
		"queue_depth=",
		"workers=",
		"inodes=",
		"files=",
		"max_write=BYTES",
		"cache=none|writeback|writethrough",
		"attr_timeout=S",
		"entry_timeout=",
		"trusted_xattr",
		"log=",
		"allow_other",
	};
	struct options options;

	CHECK_EQ(parse(&options, "caissond --help"), 0);
	CHECK(options.done);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		CHECK(strstr(told, words[i]));
	options_destroy(&options);
	CHECK_EQ(parse(&options, "caissond -V"), 0);
	CHECK(options.done);
	CHECK_STR(told, "caissond " CAISSON_VERSION "\n");
	options_destroy(&options);
}

/* libfuse splits options at commas, so one in a name is escaped. */
static void escapes_names(void)
{
	struct options options;

	expect_fine(&options, "caissond /a,b\\c /m");
	expect_mount_options(&options, "subtype=caisson,fsname=/a\\,b\\\\c");
	options_destroy(&options);
	expect_fine(&options, "caissond -o fsname=x\\,y /b /m");
	expect_mount_options(&options, "fsname=x\\,y,subtype=caisson");
	options_destroy(&options);
	expect_fine(&options, "caissond -f -- -b -m");
	CHECK_STR(options.backing, "-b");
	options_destroy(&options);
}

static int fit(struct options *options, uint64_t nofile)
{
	int r;

	capture_start();
	r = options_fit(options, nofile);
	capture_end();
	return r;
}

static uint64_t descriptors(const struct options *options)
{
	return options->serve.inode_fds + 3ull * options->serve.files;
}

static void fits_tables_to_descriptors(void)
{
	struct options options = { .serve.queues = 6 };

	CHECK_EQ(fit(&options, 1 << 20), 0);
	CHECK_EQ(options.serve.files, 16384u);

	for (uint64_t nofile = 0; nofile < 200000; nofile += 37) {
		int r;

		options = (struct options){ .serve.queues = 6 };
		r = fit(&options, nofile);
		if (r < 0) {
			CHECK_EQ(r, -EMFILE);
			CHECK(nofile < 1000); /* a shell's 1024 still do */
			CHECK(strstr(told, "caissond: RLIMIT_NOFILE: ") == told);
			CHECK(strchr(told, '\n') == told + strlen(told) - 1);
		} else {
			CHECK(descriptors(&options) < nofile);

			CHECK(options.serve.inode_fds > options.serve.files);
			CHECK(options.serve.files >= SERVE_FILES_MIN);
		}
	}

	/* recovery is done without if there is no room for another server, but not if asked for */
	options = (struct options){ .serve = { .queues = 6, .recovery = true } };
	CHECK_EQ(fit(&options, 640), 0);
	CHECK(!options.serve.recovery);
	CHECK_STR(told, "caissond: RLIMIT_NOFILE: serve without recovery: too few descriptors, "
			"640 of 684\n");
	options = (struct options){ .serve = { .queues = 6, .recovery = true } };
	CHECK_EQ(fit(&options, 684), 0);
	CHECK(options.serve.recovery);
	options = (struct options){ .serve = { .queues = 6, .recovery = true },
				    .recovery_given = true };
	CHECK_EQ(fit(&options, 640), -EMFILE);

	/* what was asked for is given, or nothing */
	options = (struct options){ .serve.queues = 1 };
	CHECK_EQ(fit(&options, 8192), 0);
	CHECK(options.serve.files > 900 && descriptors(&options) < 8192);
	options = (struct options){ .serve.queues = 1, .serve.files = 1900 };
	CHECK_EQ(fit(&options, 8192), 0);
	CHECK_EQ(options.serve.files, 1900u);
	CHECK(options.serve.inode_fds >= 1900 && descriptors(&options) < 8192);

	options = (struct options){ .serve.queues = 1, .serve.files = 2000 };
	CHECK_EQ(fit(&options, 8192), -EMFILE);
	CHECK_STR(told, "caissond: RLIMIT_NOFILE: serve files=2000: "
			"too few descriptors, 8192 of 8202\n");
}

static void fit_limits(void)
{
	struct options options = { .serve.queues = 1 };
	struct rlimit limit = { .rlim_cur = 100, .rlim_max = 8192 }, now;

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK_EQ(options_fit_limits(&options), 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0);
	CHECK(now.rlim_cur >= 8192 && now.rlim_cur == now.rlim_max);
	CHECK(descriptors(&options) > 7000);
}

static void raises_the_soft_limit(void)
{
	test_in_child(fit_limits);
}

/* -- Paths -- */

static char top[] = "/tmp/test-options.XXXXXX";

/* BACKING and MOUNTPOINT are below `top`. */
static int check_paths(struct options *options, const char *backing, const char *mountpoint)
{
	int r;

	*options = (struct options){ 0 };
	CHECK(asprintf(&options->backing, "%s/%s", top, backing) > 0);
	CHECK(asprintf(&options->mountpoint, "%s/%s", top, mountpoint) > 0);
	capture_start();
	r = options_check_paths(options);
	capture_end();
	return r;
}

static void expect_paths_refused(const char *backing, const char *mountpoint, int error,
				 const char *object, const char *reason)
{
	struct options options;
	char begin[256];

	CHECK_EQ(check_paths(&options, backing, mountpoint), error);
	snprintf(begin, sizeof(begin), "caissond: %s/%s: ", top, object);
	CHECK(strncmp(told, begin, strlen(begin)) == 0);
	CHECK(strstr(told, reason));
	CHECK(strchr(told, '\n') == told + strlen(told) - 1);
	options_destroy(&options);
}

static void make(const char *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", top, dir);
	CHECK(mkdir(path, 0755) == 0);
}

static void link_to(const char *target, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	CHECK(symlink(target, path) == 0);
}

static void checks_paths(void)
{
	struct options options;
	char path[256];
	int fd;

	CHECK(mkdtemp(top));
	make("backing");
	make("backing/sub");
	make("mnt");
	make("mnt2");
	link_to("backing", "link");
	link_to("../mnt", "mnt2/up");
	link_to("loop", "loop");
	snprintf(path, sizeof(path), "%s/file", top);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	CHECK(fd >= 0);
	close(fd);

	CHECK_EQ(check_paths(&options, "link/../backing//", "mnt2/up/"), 0);
	CHECK_STR(told, "");
	snprintf(path, sizeof(path), "%s/backing", top);
	CHECK_STR(options.backing, path);
	snprintf(path, sizeof(path), "%s/mnt", top);
	CHECK_STR(options.mountpoint, path);
	options_destroy(&options);

	expect_paths_refused("none", "mnt", -ENOENT, "none", "serve: No such file");
	expect_paths_refused("file", "mnt", -ENOTDIR, "file", "serve: Not a directory");
	expect_paths_refused("backing", "none", -ENOENT, "none", "mount on: No such file");
	expect_paths_refused("backing", "none/x", -ENOENT, "none/x", "mount on: No such file");
	expect_paths_refused("backing", "file", -ENOTDIR, "file", "mount on: Not a directory");
	expect_paths_refused("backing", "loop", -ELOOP, "loop", "mount on: Too many levels");
	expect_paths_refused("backing", "backing", -EINVAL, "backing", "is the same directory as");
	expect_paths_refused("link", "backing", -EINVAL, "backing", "is the same directory as");
	expect_paths_refused("backing/sub", "backing", -EINVAL, "backing/sub", "is inside of");
	expect_paths_refused("backing", "backing/sub", -EINVAL, "backing", "contains");
	/* mnt2 begins with mnt, and isn't in it */
	CHECK_EQ(check_paths(&options, "mnt2", "mnt"), 0);
	options_destroy(&options);
}

static void check_unreadable(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/backing", top);
	CHECK(chmod(top, 0755) == 0);
	CHECK(chmod(path, 0700) == 0);
	if (geteuid() != 0)
		_exit(TEST_EXIT_SKIPPED);
	CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 &&
	      setresuid(65534, 65534, 65534) == 0);
	expect_paths_refused("backing", "mnt", -EACCES, "backing", "serve: Permission denied");
}

static void refuses_what_it_cannot_read(void)
{
	test_in_child(check_unreadable);
}

/* A FUSE mount whose server never answers: whoever touches it hangs, and alarm() ends us. */
static void check_in_use(void)
{
	char path[256], data[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(TEST_EXIT_SKIPPED);
	snprintf(path, sizeof(path), "%s/mnt", top);
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("dead", path, "fuse.dead", MS_NOSUID | MS_NODEV, data) < 0)
		_exit(TEST_EXIT_SKIPPED);
	alarm(20);
	expect_paths_refused("backing", "mnt", -EBUSY, "mnt",
			     "mount on: in use, a filesystem of type fuse.dead is mounted there");
	expect_paths_refused("backing", "mnt2/up", -EBUSY, "mnt", "in use");
	CHECK(umount2(path, MNT_DETACH) == 0);
}

static void refuses_a_mountpoint_in_use_without_touching_it(void)
{
	test_in_child(check_in_use);
}

static void remove_tree(void)
{
	static const char *const names[] = { "link",	"loop", "file", "mnt2/up", "backing/sub",
					     "backing", "mnt",	"mnt2", "" };
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, names[i]);
		CHECK(remove(path) == 0);
	}
}

int main(void)
{
	RUN(defaults_are_safe);
	RUN(takes_every_option);
	RUN(reads_numbers_and_units);
	RUN(refuses_with_one_line);
	RUN(helps_mount);
	RUN(remounts);
	RUN(helps_people);
	RUN(escapes_names);
	RUN(fits_tables_to_descriptors);
	RUN(raises_the_soft_limit);
	RUN(checks_paths);
	RUN(refuses_what_it_cannot_read);
	RUN(refuses_a_mountpoint_in_use_without_touching_it);
	remove_tree();
	return test_result();
}
