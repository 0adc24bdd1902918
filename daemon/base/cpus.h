/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The processors of this machine, as the kernel numbers them. */
#ifndef CAISSON_CPUS_H
#define CAISSON_CPUS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CPUS_MAX 8192 /* the largest NR_CPUS that a kernel can be built with */

struct cpus {
	uint32_t possible;	 /* how many there can be, numbered from 0 */
	uint32_t online;	 /* how many of these there are */
	uint16_t list[CPUS_MAX]; /* the online ones, then the others */
};

#define CPU_NONE UINT32_MAX

struct cpu_set {
	uint64_t words[CPUS_MAX / 64];
};

/*
 * Reads /sys/devices/system/cpu. Returns 0; -errno where it can't be read; -EPROTO where it isn't
 * understood, or possible CPUs aren't numbered in a row.
 */
int cpus_read(struct cpus *cpus);

/* As cpus_read() from the texts of `possible` and `online`, each like "0-3,8-11\n". */
int cpus_parse(struct cpus *cpus, const char *possible, const char *online);

/* Whether CPU is in SET. */
bool cpus_have(const struct cpu_set *set, uint32_t cpu);

/* Those that the calling thread may use. Returns 0 or -errno. */
int cpus_of_thread(struct cpu_set *set);

/* Has the calling thread run on CPU only, until it is told otherwise. Returns 0 or -errno. */
int cpus_keep_to(uint32_t cpu);

/* Has thread TID of this process (0: the calling one) run on those of SET. Returns 0 or -errno. */
int cpus_let(pid_t tid, const struct cpu_set *set);

#endif
