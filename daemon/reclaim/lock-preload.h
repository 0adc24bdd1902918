/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcaisson-lock.so, which `caisson run` preloads into a command: mlockall() ends with execve(),
 * so the memory has to be locked from inside of the new program. The library's constructor does
 * it, or ends the process with EXIT_UNSAFE and a line on stderr; and takes what has brought it
 * there out of the environment, so that the command's own children have neither.
 */
#ifndef CAISSON_LOCK_PRELOAD_H
#define CAISSON_LOCK_PRELOAD_H

/*
 * The library's path, as it is the first entry of LD_PRELOAD. Without this variable the constructor
 * does nothing: then somebody only looks whether the library can be loaded.
 */
#define LOCK_PRELOAD_VARIABLE "CAISSON_LOCK_PRELOAD"

/* What a library that is ours has: its version, text. */
#define LOCK_PRELOAD_SYMBOL "caisson_lock_preload"

#endif
