/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for a list of CPUs. A machine has few ranges, so real lists are short. */
#define TEXT_LEN 4096

bool cpus_have(const struct cpu_set *set, uint32_t cpu)
{
	return cpu < CPUS_MAX && set->words[cpu / 64] & 1ull << cpu % 64;
}

static void add(struct cpu_set *set, uint32_t cpu)
{
	set->words[cpu / 64] |= 1ull << cpu % 64;
}

/* Parses a list such as "0-3,8-11\n". */
static int parse_list(const char *text, struct cpu_set *set)
{
	*set = (struct cpu_set){ 0 };
	while (*text && *text != '\n') {
		unsigned long first, last;
		char *end;

		first = last = strtoul(text, &end, 10);
		if (end == text)
			return -EPROTO;
		if (*end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
			if (end == text)
				return -EPROTO;
		}
		if (first > last || last >= CPUS_MAX)
			return -EPROTO;
		for (unsigned long cpu = first; cpu <= last; cpu++)
			add(set, (uint32_t)cpu);
		text = *end == ',' ? end + 1 : end;
	}
	return 0;
}

int cpus_parse(struct cpus *cpus, const char *possible, const char *online)
{
	struct cpu_set can_be, are;
	uint32_t at = 0;
	int r;

	*cpus = (struct cpus){ 0 };
	r = parse_list(possible, &can_be);
	if (!r)
		r = parse_list(online, &are);
	if (r)
		return r;
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (cpus_have(&are, cpu) && cpus_have(&can_be, cpu))
			cpus->list[at++] = (uint16_t)cpu;
	}
	cpus->online = at;
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (cpus_have(&can_be, cpu) && !cpus_have(&are, cpu))
			cpus->list[at++] = (uint16_t)cpu;
	}
	cpus->possible = at;
	for (uint32_t i = 0; i < at; i++) {
		if (cpus->list[i] >= at)
			return -EPROTO;
	}
	return at ? 0 : -EPROTO;
}

static int read_line(const char *path, char text[TEXT_LEN])
{
	FILE *file = fopen(path, "re");
	int r;

	text[0] = '\0';
	if (!file)
		return -errno;
	r = fgets(text, TEXT_LEN, file) ? 0 : -EPROTO;
	(void)fclose(file); /* read only */
	return r;
}

int cpus_read(struct cpus *cpus)
{
	char possible[TEXT_LEN], online[TEXT_LEN];
	int r = read_line("/sys/devices/system/cpu/possible", possible);

	if (!r)
		r = read_line("/sys/devices/system/cpu/online", online);
	return r ? r : cpus_parse(cpus, possible, online);
}

int cpus_of_thread(struct cpu_set *set)
{
	*set = (struct cpu_set){ 0 };
	return sched_getaffinity(0, sizeof(*set), (cpu_set_t *)set->words) < 0 ? -errno : 0;
}

int cpus_keep_to(uint32_t cpu)
{
	struct cpu_set set = { 0 };

	add(&set, cpu);
	return cpus_let(0, &set);
}

int cpus_let(pid_t tid, const struct cpu_set *set)
{
	return sched_setaffinity(tid, sizeof(*set), (const cpu_set_t *)set->words) < 0 ? -errno : 0;
}
