/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leases (F_SETLEASE of fcntl(2)), and those who meet them:
 *
 *	lease hold COUNT KIND DIR   as the user 65534, takes leases of KIND (read, write) on
 *				    DIR/0 to DIR/COUNT-1 and says "ready". A number on standard
 *				    input gives that one up; the others stay until the kernel
 *				    ends them
 *	lease again DIR		    the same of DIR/0, to write, and gives it up whenever it is
 *				    asked to, to take it again at once
 *	lease open HOW FILE	    opens FILE: r, w, or without waiting R, W; t truncates it by
 *				    its path to 5 bytes
 *
 * Exit status: 0; 1 with what the system has refused, as strerror(3) has it; 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOBODY	  65534
#define FILES_MAX 256

static int refused(void)
{
	fprintf(stderr, "%s\n", strerror(errno));
	return 1;
}

static int take_lease(const char *dir, int number, bool write)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%d", dir, number);
	fd = open(path, write ? O_RDWR : O_RDONLY);
	if (fd < 0 || fcntl(fd, F_SETLEASE, write ? F_WRLCK : F_RDLCK) < 0)
		exit(refused());
	return fd;
}

static void become_nobody(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		exit(refused());
}

static int hold_again(const char *dir)
{
	sigset_t asked;
	int fd, which;

	become_nobody();
	(void)sigemptyset(&asked);
	(void)sigaddset(&asked, SIGIO);
	(void)sigprocmask(SIG_BLOCK, &asked, NULL);
	fd = take_lease(dir, 0, true);
	(void)puts("ready");
	(void)fflush(stdout);
	while (sigwait(&asked, &which) == 0) {
		if (fcntl(fd, F_SETLEASE, F_UNLCK) < 0)
			return refused();
		while (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
			if (errno != EAGAIN) /* somebody has it open */
				return refused();
		}
	}
	return 1;
}

static int hold(int count, bool write, const char *dir)
{
	int fds[FILES_MAX], number;

	become_nobody();
	(void)signal(SIGIO, SIG_IGN); /* by which the kernel asks for them */
	for (int i = 0; i < count && i < FILES_MAX; i++)
		fds[i] = take_lease(dir, i, write);
	(void)puts("ready");
	(void)fflush(stdout);
	while (scanf("%d", &number) == 1) {
		if (fcntl(fds[number], F_SETLEASE, F_UNLCK) < 0)
			return refused();
	}
	for (;;)
		(void)pause();
}

static int meet(char how, const char *path)
{
	if (how == 't')
		return truncate(path, 5) < 0 ? refused() : 0;
	return open(path, (how == 'w' || how == 'W' ? O_WRONLY : O_RDONLY) |
				  (how == 'R' || how == 'W' ? O_NONBLOCK : 0)) < 0
		       ? refused()
		       : 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "hold") == 0)
		return hold(atoi(argv[2]), strcmp(argv[3], "write") == 0, argv[4]);
	if (argc == 3 && strcmp(argv[1], "again") == 0)
		return hold_again(argv[2]);
	if (argc == 4 && strcmp(argv[1], "open") == 0)
		return meet(argv[2][0], argv[3]);
	return 2;
}
