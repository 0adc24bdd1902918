/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcaisson-lock.so locks the memory of a command that `caisson run` starts. The effect of
 * mlockall() ends with execve(), so the new program itself has to call it. `caisson run` preloads
 * the library, whose constructor locks the memory. If that fails, it prints a line on stderr and
 * ends the process with EXIT_UNSAFE. It also removes the library from the environment, so that
 * children of the command don't load it.
 */
#ifndef CAISSON_LOCK_PRELOAD_H
#define CAISSON_LOCK_PRELOAD_H

/*
 * The environment variable with the library's path, as in the first entry of LD_PRELOAD. Without it
 * the constructor does nothing, so that `caisson run` can test whether the library loads.
 */
#define LOCK_PRELOAD_VARIABLE "CAISSON_LOCK_PRELOAD"

/* A symbol by which `caisson run` recognizes the library. It is the version as a string. */
#define LOCK_PRELOAD_SYMBOL "caisson_lock_preload"

#endif
