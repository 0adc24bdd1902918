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

#include "base/cleanup.h"
#include "base/macro.h"
#include "stack/careful.h"
#include "stack/system.h"

#define ESTABLISHED  1 /* TCP_ESTABLISHED, also of Unix sockets */
#define STANDARD_FDS 3
#define PART_SIZE    8192
#define CUT	     "cut"

static void add(struct sockets *sockets, uint64_t inode, uint64_t local, uint64_t remote)
{
	if (sockets->count == SOCKETS_MAX)
		sockets->is_cut = true;
	else
		sockets->ends[sockets->count++] =
			(struct socket_end){ .inode = inode, .local = local, .remote = remote };
}

/* --- Unix sockets: in a child --- */

/* Writes "INODE PEER", the numbers of both ends, for the socket that MESSAGE is about. */
static void tell_unix(const struct nlmsghdr *message, int out_fd)
{
	const struct unix_diag_msg *end = NLMSG_DATA(message);
	const struct rtattr *attribute = (const struct rtattr *)(end + 1);
	int left = (int)(message->nlmsg_len - NLMSG_LENGTH(sizeof(*end)));

	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		uint32_t peer;

		if (attribute->rta_type != UNIX_DIAG_PEER || RTA_PAYLOAD(attribute) < sizeof(peer))
			continue;
		memcpy(&peer, RTA_DATA(attribute), sizeof(peer));
		(void)dprintf(out_fd, "%u %u\n", end->udiag_ino, peer);
	}
}

/* Reads a part of the answer. Returns 1 if there is more; 0 at its end; -1 if it isn't complete. */
static int tell_part(int fd, int out_fd)
{
	alignas(struct nlmsghdr) char part[PART_SIZE];
	int left = (int)recv(fd, part, sizeof(part), 0);

	if (left <= 0)
		return -1;
	for (const struct nlmsghdr *message = (const struct nlmsghdr *)part;
	     NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_type == NLMSG_DONE)
			return 0;
		if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			return -1;
		tell_unix(message, out_fd);
	}
	return 1;
}

static void tell_all_unix(const struct system *system, const void *arg, int out_fd)
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
	autoclose int fd = -1;
	int more;

	(void)arg;
	if (system->proc_fd <= 0)
		return; /* a test's machine */
	fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	more = send(fd, &question, sizeof(question), 0) < 0 ? -1 : 1;
	while (more > 0)
		more = tell_part(fd, out_fd);
	if (more < 0)
		(void)dprintf(out_fd, CUT "\n");
}

static void read_unix(struct sockets *sockets, const struct system *system)
{
	unsigned long long inode, peer;
	struct careful careful;
	char *line;

	if (careful_run(system, tell_all_unix, NULL, &careful) < 0) {
		sockets->is_cut = true;
		return;
	}
	while (!sockets->is_cut && (line = system_lines_next(&careful.lines))) {
		if (sscanf(line, "%llu %llu", &inode, &peer) == 2)
			add(sockets, inode, inode, peer);
		else
			sockets->is_cut = true;
	}
	sockets->is_cut |= careful_close(&careful) < 0;
}

/* --- TCP --- */

/* Of an address as in /proc/net/tcp6, the IPv4 address that it means, or all of it. */
static const char *plain_address(const char *address)
{
	static const char mapped[] = "0000000000000000FFFF0000";

	return strncmp(address, mapped, strlen(mapped)) == 0 ? address + strlen(mapped) : address;
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
	while (!sockets->is_cut && (line = system_lines_next(&lines))) {
		/* sl local_address rem_address st tx:rx tr:when retransmitted uid timeout inode;
		 * the inode is 0 until it is accepted */
		if (sscanf(line, "%*u: %63s %63s %x %*s %*s %*s %*u %*u %llu", local, remote,
			   &state, &inode) == 4 &&
		    state == ESTABLISHED && inode)
			add(sockets, inode, mix_text(plain_address(local)),
			    mix_text(plain_address(remote)));
	}
	system_lines_close(&lines);
}

void sockets_read(struct sockets *sockets, const struct system *system, bool with_unix)
{
	sockets->count = 0;
	sockets->is_cut = !with_unix;
	if (with_unix)
		read_unix(sockets, system);
	read_tcp(sockets, system, "proc/net/tcp");
	read_tcp(sockets, system, "proc/net/tcp6");
}

void sockets_note(struct sockets *sockets, uint64_t inode, pid_t pid, int fd)
{
	for (uint32_t i = 0; i < sockets->count; i++) {
		struct socket_end *end = &sockets->ends[i];

		if (end->inode != inode)
			continue;
		end->is_standard = fd < STANDARD_FDS && (!end->owner || end->is_standard);
		end->owner = pid;
	}
}

static const struct socket_end *other_end(const struct sockets *sockets,
					  const struct socket_end *end)
{
	for (uint32_t i = 0; i < sockets->count; i++) {
		const struct socket_end *other = &sockets->ends[i];

		if (other->local == end->remote && other->remote == end->local)
			return other;
	}
	return NULL;
}

pid_t sockets_peer(const struct sockets *sockets, pid_t pid)
{
	pid_t found = 0;

	for (uint32_t i = 0; i < sockets->count; i++) {
		const struct socket_end *end = &sockets->ends[i], *other;

		if (end->owner != pid || end->is_standard)
			continue;
		other = other_end(sockets, end);
		if (!other)
			return SOCKETS_UNKNOWN; /* on another machine, or in another namespace */
		if (other->owner == pid && pid)
			return 0;
		if (!other->owner)
			continue;
		if (found && found != other->owner)
			return SOCKETS_UNKNOWN;
		found = other->owner;
	}
	return found;
}
