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
};

struct sockets {
	struct socket_end ends[SOCKETS_MAX];
	uint32_t count;
	bool is_cut; /* there are more */
};

/* Reads all ends, with no owners. */
void sockets_read(struct sockets *sockets, const struct system *system);

/* Process PID has the socket INODE open. */
void sockets_note(struct sockets *sockets, uint64_t inode, pid_t pid);

/*
 * Finds the other processes that PID (0: the kernel) has connections with. Writes up to MAX of them
 * to PEERS. Returns how many.
 */
uint32_t sockets_peers(const struct sockets *sockets, pid_t pid, pid_t *peers, uint32_t max);

#endif
