/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a storage daemon uses libcaisson: a program for its users to read, and for the test that an
 * installed copy works (tests/lint/libcaisson-installed.sh). It compiles as C and as C++.
 *
 * It locks its memory, makes a buffer that won't fault, writes that to a file inside of a flusher
 * scope, and audits itself meanwhile. Where this machine can't mark or lock, it says so and goes
 * on without, as only an example may: a daemon would stop.
 *
 *	cc guarded-write.c $(pkg-config --cflags --libs caisson) && ./a.out FILE
 */
#include <caisson/reclaim.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)1 << 20)

/* Says what couldn't be done; errors of the library are negative errno values. */
static int told(const char *what, int r)
{
	if (r < 0)
		fprintf(stderr, "guarded-write: %s: %s\n", what, strerror(-r));
	return r;
}

static int show_task(const struct caisson_task *task, void *arg)
{
	(void)arg;
	printf("task %d (%s): %smarked, %llu page faults\n", (int)task->tid, task->comm,
	       caisson_flags_are_marked(task->flags) ? "" : "not ",
	       (unsigned long long)(task->minflt + task->majflt));
	return 0;
}

/* The process as the kernel sees it. Returns 0 or -errno. */
static int show_audit(void)
{
	struct caisson_audit_summary summary;
	int r = told("audit", caisson_audit(0, show_task, NULL, &summary));

	if (r < 0)
		return r;
	printf("%u of %u tasks marked, memory %s\n", (unsigned int)summary.marked,
	       (unsigned int)summary.tasks,
	       caisson_audit_is_locked(&summary) ? "locked" : "not locked");
	return 0;
}

/* All that may happen while memory is short. Returns 0, or 1 after telling what failed. */
static int write_buffer(const char *path, const void *buffer)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int failed;

	if (fd < 0) {
		perror(path);
		return 1;
	}
	failed = write(fd, buffer, BUFFER_BYTES) != (ssize_t)BUFFER_BYTES || fsync(fd) != 0 ||
		 show_audit() < 0;
	return close(fd) != 0 || failed;
}

int main(int argc, char **argv)
{
	struct caisson_scope scope;
	uint64_t limit;
	void *buffer;
	int marked, failed;

	if (argc != 2) {
		fprintf(stderr, "usage: guarded-write FILE\n");
		return 1;
	}
	if (told("ask how much may be locked", caisson_memory_limit(&limit)) == 0 &&
	    limit != UINT64_MAX)
		printf("at most %llu bytes may be locked\n", (unsigned long long)limit);
	(void)told("lock memory", caisson_memory_lock(0));
	buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (buffer == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	if (told("make the buffer present", caisson_memory_prefault(buffer, BUFFER_BYTES)) < 0 ||
	    told("make the stack present", caisson_stack_prefault(CAISSON_AUDIT_STACK)) < 0)
		return 1;

	marked = told("enter the IO_FLUSHER state", caisson_flusher_enter(&scope)) == 0;
	failed = write_buffer(argv[1], buffer);
	if (marked && told("leave the IO_FLUSHER state", caisson_flusher_leave(&scope)) < 0)
		return 1;
	return failed;
}
