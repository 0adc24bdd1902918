/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connections within this machine, by Unix sockets and TCP, and which processes have their ends
 * open. An end that none has is the kernel's, such as that of a network block device whose client
 * has left. One thread uses it.
 */
#ifndef CAISSON_SOCKETS_H
#define CAISSON_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct system;

#define SOCKETS_MAX 8192

struct socket_end {
	uint64_t inode;		/* as in a link of /proc/PID/fd */
	uint64_t local, remote; /* addresses, or what stands for them; swapped at the other end */
	pid_t owner;		/* a process that has it open; or 0 */
	bool is_standard;	/* as its standard input, output or error, and as nothing else */
};

struct sockets {
	struct socket_end ends[SOCKETS_MAX];
	uint32_t count;
	bool is_cut; /* not all were read */
};

/*
 * Reads all ends, with no owners. WITH_UNIX: also of Unix sockets, for which it forks, as the
 * kernel may load a module to tell of them (unix_diag).
 */
void sockets_read(struct sockets *sockets, const struct system *system, bool with_unix);

/* Process PID has the socket INODE open as FD. */
void sockets_note(struct sockets *sockets, uint64_t inode, pid_t pid, int fd);

/* The connections lead to more than one process, or to another machine. */
#define SOCKETS_UNKNOWN (-1)

/*
 * Finds the one process that PID (0: the kernel) has all its connections with, its standard input
 * and output aside. Returns 0 if PID has none, or one with itself; or SOCKETS_UNKNOWN.
 */
pid_t sockets_peer(const struct sockets *sockets, pid_t pid);

#endif
