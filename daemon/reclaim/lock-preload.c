/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reclaim/lock-preload.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit-code.h"
#include "caisson/reclaim.h"

extern const char caisson_lock_preload[]; /* LOCK_PRELOAD_SYMBOL */
__attribute__((visibility("default"))) const char caisson_lock_preload[] = CAISSON_VERSION;

/* Edits LD_PRELOAD in place, because main() may use the environment that it gets as an argument. */
static void clean_environment(const char *entry)
{
	size_t len = strlen(entry);
	char *list = getenv("LD_PRELOAD");

	if (list && strncmp(list, entry, len) == 0 && list[len] == ':')
		memmove(list, list + len + 1, strlen(list + len + 1) + 1);
	else if (list && strcmp(list, entry) == 0)
		(void)unsetenv("LD_PRELOAD"); /* can't fail: the name is valid */
	(void)unsetenv(LOCK_PRELOAD_VARIABLE);
}

static void tell(int error)
{
	char hint[128] = "";
	uint64_t limit;

	if ((error == -ENOMEM || error == -EPERM) && caisson_memory_limit(&limit) == 0 &&
	    limit != UINT64_MAX)
		(void)snprintf(hint, sizeof(hint),
			       " (RLIMIT_MEMLOCK allows %llu KiB: raise it, or give CAP_IPC_LOCK)",
			       (unsigned long long)limit / 1024);
	dprintf(STDERR_FILENO, "caisson: memory of %s: lock: %s%s\n", program_invocation_short_name,
		strerror(-error), hint);
}

__attribute__((constructor)) static void lock_memory(void)
{
	const char *entry = getenv(LOCK_PRELOAD_VARIABLE);
	int r;

	if (!entry)
		return;
	clean_environment(entry);
	r = caisson_memory_lock(0);
	if (r == 0)
		return;
	tell(r);
	/* not exit(), because exit handlers of a program that hasn't started may not work */
	_exit(EXIT_UNSAFE);
}
