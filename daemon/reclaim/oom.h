/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's choice of whom to kill when memory is out (S12). */
#ifndef CAISSON_OOM_H
#define CAISSON_OOM_H

/*
 * Asks the kernel to take the calling process last (oom_score_adj -1000); every child, and what is
 * executed, inherits that. Returns 0 or -errno: -EACCES without CAP_SYS_RESOURCE.
 */
int oom_protect(void);

#endif
