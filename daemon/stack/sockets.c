/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/sockets.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macro.h"
#include "stack/system.h"

#define ESTABLISHED 1 /* TCP_ESTABLISHED, also of Unix sockets */
#define PART_SIZE   8192

static void add(struct sockets *sockets, uint64_t inode, uint64_t local, uint64_t remote)
{
	if (sockets->count == SOCKETS_MAX) {
		sockets->is_cut = true;
		return;
	}
	sockets->ends[sockets->count++] =
		(struct socket_end){ .inode = inode, .local = local, .remote = remote };
}

/* MESSAGE is of one Unix socket. The inode numbers of the two ends stand for their addresses. */
static void add_unix(struct sockets *sockets, const struct nlmsghdr *message)
{
	const struct unix_diag_msg *end = NLMSG_DATA(message);
	const struct rtattr *attribute = (const struct rtattr *)(end + 1);
	int left = (int)(message->nlmsg_len - NLMSG_LENGTH(sizeof(*end)));

	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		uint32_t peer;

		if (attribute->rta_type != UNIX_DIAG_PEER || RTA_PAYLOAD(attribute) < sizeof(peer))
			continue;
		memcpy(&peer, RTA_DATA(attribute), sizeof(peer));
		add(sockets, end->udiag_ino, end->udiag_ino, peer);
	}
}

/* Reads a part of the answer from the netlink socket FD. Returns whether there may be more. */
static bool read_part(struct sockets *sockets, int fd)
{
	alignas(struct nlmsghdr) char part[PART_SIZE];
	ssize_t n = recv(fd, part, sizeof(part), MSG_DONTWAIT);
	unsigned left = n > 0 ? (unsigned)n : 0;

	for (const struct nlmsghdr *message = (const struct nlmsghdr *)part;
	     NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			return false; /* the end, or an error */
		add_unix(sockets, message);
	}
	return n > 0;
}

static void read_unix(struct sockets *sockets, int fd)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} question = {
		.header = { .nlmsg_len = sizeof(question),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = AF_UNIX,
			     .udiag_states = 1 << ESTABLISHED,
			     .udiag_show = UDIAG_SHOW_PEER },
	};

	if (fd <= 0 || send(fd, &question, sizeof(question), 0) < 0)
		return;
	while (read_part(sockets, fd))
		;
}

/* PATH: /proc/net/tcp or its like */
static void read_tcp(struct sockets *sockets, const struct system *system, const char *path)
{
	struct system_lines lines;
	char local[64], remote[64];
	unsigned long long inode;
	unsigned state;
	char *line;

	if (system_lines_open(system, path, &lines) < 0)
		return;
	while ((line = system_lines_next(&lines))) {
		/* sl local_address rem_address st tx:rx tr:when retransmitted uid timeout inode */
		if (sscanf(line, "%*u: %63s %63s %x %*s %*s %*s %*u %*u %llu", local, remote,
			   &state, &inode) == 4 &&
		    state == ESTABLISHED)
			add(sockets, inode, mix_text(local), mix_text(remote));
	}
	system_lines_close(&lines);
}

void sockets_read(struct sockets *sockets, const struct system *system)
{
	sockets->count = 0;
	sockets->is_cut = false;
	read_unix(sockets, system->diag_fd);
	read_tcp(sockets, system, "proc/net/tcp");
	read_tcp(sockets, system, "proc/net/tcp6");
}

void sockets_note(struct sockets *sockets, uint64_t inode, pid_t pid)
{
	for (uint32_t i = 0; i < sockets->count; i++) {
		if (sockets->ends[i].inode == inode)
			sockets->ends[i].owner = pid;
	}
}

/* Who has the other end of END open, or 0. */
static pid_t peer_of(const struct sockets *sockets, const struct socket_end *end)
{
	for (uint32_t i = 0; i < sockets->count; i++) {
		const struct socket_end *other = &sockets->ends[i];

		if (other->local == end->remote && other->remote == end->local)
			return other->owner;
	}
	return 0;
}

uint32_t sockets_peers(const struct sockets *sockets, pid_t pid, pid_t *peers, uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sockets->count && count < max; i++) {
		const struct socket_end *end = &sockets->ends[i];
		pid_t peer = end->owner == pid ? peer_of(sockets, end) : 0;
		bool is_new = peer && peer != pid;

		for (uint32_t k = 0; k < count; k++)
			is_new &= peers[k] != peer;
		if (is_new)
			peers[count++] = peer;
	}
	return count;
}
