/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program before it is executed: which file its name stands for, and whether the dynamic linker
 * would load a library of LD_PRELOAD into it. When in doubt the answer is no.
 */
#ifndef CAISSON_PROGRAM_H
#define CAISSON_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

enum program_preload {
	PROGRAM_PRELOADS,     /* the library would be loaded */
	PROGRAM_STATIC,	      /* it has no dynamic linker */
	PROGRAM_OTHER_LINKER, /* its dynamic linker isn't ours, so its C library may differ, too */
	PROGRAM_PRIVILEGED,   /* AT_SECURE is set: the dynamic linker ignores LD_PRELOAD */
	PROGRAM_EXECUTES,     /* it only executes another program: env(1) */
	PROGRAM_UNKNOWN,      /* it is neither ELF nor a script */
};

struct program_verdict {
	enum program_preload preload;
	bool is_script;
	char file[PATH_MAX]; /* the file that was judged: for a script, its interpreter */
};

/*
 * Finds the file that execvp(3) would execute for NAME. Returns 0; -ENOENT; -EACCES if there are
 * only files that can't be executed; -ENAMETOOLONG.
 */
int program_find(const char *name, char ret_path[PATH_MAX]);

/*
 * Judges the program PATH as the kernel would execute it now for the calling process. Returns 0;
 * -ENOENT if it, its interpreter or its dynamic linker is missing; -ELOOP if too many scripts
 * interpret each other; or an error of open(2) or read(2).
 */
int program_judge(const char *path, struct program_verdict *ret_verdict);

/* The reason, for a message, if PRELOAD isn't PROGRAM_PRELOADS. */
const char *program_preload_reason(enum program_preload preload);

#endif
