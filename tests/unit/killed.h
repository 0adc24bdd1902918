/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kills a process after any number of instructions. It shares its descriptors with the test. */
#ifndef CAISSON_TEST_KILLED_H
#define CAISSON_TEST_KILLED_H

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* Outlives the process. */
struct killed {
	uint64_t steps, stop; /* instructions that were executed, and after which it is killed */
};
static struct killed *killed;

/* Whether this processor and this build allow it. Says SKIP where they don't. */
static inline bool can_kill_after(void)
{
#if !defined(__x86_64__) || defined(__SANITIZE_THREAD__)
	SKIP("a trap after each instruction");
	return false;
#endif
	if (!killed)
		killed = mmap(NULL, sizeof(*killed), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(killed != MAP_FAILED);
	return true;
}

/* fork() with one table of descriptors for both. */
static inline pid_t fork_with_files(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

	CHECK(pid >= 0);
	return pid;
}

static inline void await_kill(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* In the process that is to die: an instruction has been executed. */
static inline void count_step(int signal)
{
	(void)signal;
	if (killed->steps++ == killed->stop)
		(void)kill(getpid(), SIGKILL);
}

/* Has the processor trap after each instruction from now on. */
static inline void trap_each_step(void)
{
	const struct sigaction action = { .sa_handler = count_step };

	(void)sigaction(SIGTRAP, &action, NULL);
#ifdef __x86_64__
	/* the stack below its pointer may be in use */
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\t"
			 "orq $0x100, (%%rsp)\n\t"
			 "popfq\n\t"
			 "lea 128(%%rsp), %%rsp"
			 :
			 :
			 : "memory", "cc");
#endif
}

/*
 * Lets a process execute STOP instructions of ACT, or all of them, and kills it. Returns how many
 * it has executed.
 */
static inline uint64_t kill_after(void (*act)(void), uint64_t stop)
{
	pid_t pid;

	killed->steps = 0;
	killed->stop = stop;
	pid = fork_with_files();
	if (pid == 0) {
		trap_each_step();
		act();
		(void)kill(getpid(), SIGKILL);
	}
	await_kill(pid);
	return killed->steps;
}

/* The Nth of COUNT numbers of instructions, out of ALL. Another one each time. */
static inline uint64_t kill_stop(uint64_t all, uint64_t n, uint64_t count)
{
	return (all * n + (uint64_t)random() % all) / count;
}

#endif
