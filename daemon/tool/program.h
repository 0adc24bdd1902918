/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program, before it is executed: which file its name stands for, and whether a library that
 * LD_PRELOAD names would be loaded into it. When in doubt the answer is no.
 */
#ifndef CAISSON_PROGRAM_H
#define CAISSON_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

enum program_preload {
	PROGRAM_PRELOADS,     /* it would */
	PROGRAM_STATIC,	      /* no dynamic linker */
	PROGRAM_OTHER_LINKER, /* another one than ours, so perhaps also with another C library */
	PROGRAM_PRIVILEGED,   /* AT_SECURE: the dynamic linker doesn't heed LD_PRELOAD */
	PROGRAM_EXECUTES,     /* its one purpose is to execute another, without us: env(1) */
	PROGRAM_UNKNOWN,      /* neither ELF nor a script */
};

struct program_verdict {
	enum program_preload preload;
	bool is_script;
	char file[PATH_MAX]; /* what was judged: of a script, the interpreter */
};

/*
 * The file that execvp(3) would execute for NAME. Returns 0; -ENOENT; -EACCES where all that there
 * is can't be executed; -ENAMETOOLONG.
 */
int program_find(const char *name, char ret_path[PATH_MAX]);

/*
 * Judges the program PATH, for the calling process's user, as the kernel would execute it now.
 * Returns 0; -ENOENT where it, its interpreter or dynamic linker is missing; -ELOOP where too
 * many scripts are each other's interpreters; or what opening and reading fail with.
 */
int program_judge(const char *path, struct program_verdict *ret_verdict);

/* Why PRELOAD isn't PROGRAM_PRELOADS, to follow "FILE: ACTION: ". */
const char *program_preload_reason(enum program_preload preload);

#endif
