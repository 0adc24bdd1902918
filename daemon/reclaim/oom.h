/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Protection from the kernel's OOM killer (S12). */
#ifndef CAISSON_OOM_H
#define CAISSON_OOM_H

/*
 * Exempts the calling process from the OOM killer (oom_score_adj -1000). Children and executed
 * programs inherit that. Returns 0 or -errno; -EACCES means that CAP_SYS_RESOURCE is missing.
 */
int oom_protect(void);

#endif
