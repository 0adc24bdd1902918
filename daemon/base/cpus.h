/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The CPUs of this machine, by the kernel's numbers, and the CPU affinity of threads. */
#ifndef CAISSON_CPUS_H
#define CAISSON_CPUS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CPUS_MAX 8192 /* the largest NR_CPUS that a kernel can be built with */

struct cpus {
	uint32_t possible;	 /* number of CPUs that can exist; they are numbered from 0 */
	uint32_t online;	 /* number of possible CPUs that are online */
	uint16_t list[CPUS_MAX]; /* the online CPUs, then the other possible CPUs */
};

#define CPU_NONE UINT32_MAX

struct cpu_set {
	uint64_t words[CPUS_MAX / 64];
};

/*
 * Reads /sys/devices/system/cpu. Returns 0; -EPROTO if the text isn't understood or the numbers of
 * possible CPUs have gaps; or -errno if the files can't be read.
 */
int cpus_read(struct cpus *cpus);

/* Does the same with the texts of `possible` and `online`, such as "0-3,8-11\n". */
int cpus_parse(struct cpus *cpus, const char *possible, const char *online);

/* Returns true if CPU is in SET. */
bool cpus_have(const struct cpu_set *set, uint32_t cpu);

/* Gets the CPUs that the calling thread may run on. Returns 0 or -errno. */
int cpus_of_thread(struct cpu_set *set);

/* Binds the calling thread to CPU. Returns 0 or -errno. */
int cpus_keep_to(uint32_t cpu);

/* Binds thread TID of this process (0: the calling thread) to SET. Returns 0 or -errno. */
int cpus_let(pid_t tid, const struct cpu_set *set);

#endif
