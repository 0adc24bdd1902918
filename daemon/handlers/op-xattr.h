/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers for extended attributes and POSIX ACLs. call.h has the contract. */
#ifndef CAISSON_OP_XATTR_H
#define CAISSON_OP_XATTR_H

struct call;

int op_setxattr(struct call *call);
int op_getxattr(struct call *call);
int op_listxattr(struct call *call);
int op_removexattr(struct call *call);

#endif
