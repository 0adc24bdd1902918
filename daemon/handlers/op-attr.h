/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers for attributes of inodes and of the filesystem. call.h has the contract. */
#ifndef CAISSON_OP_ATTR_H
#define CAISSON_OP_ATTR_H

struct call;

int op_getattr(struct call *call);
int op_statx(struct call *call);
int op_setattr(struct call *call);
int op_access(struct call *call);
int op_statfs(struct call *call);

#endif
