/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers that look up, create, remove and rename directory entries. call.h has the contract. */
#ifndef CAISSON_OP_NAME_H
#define CAISSON_OP_NAME_H

struct call;

int op_lookup(struct call *call);
int op_forget(struct call *call);
int op_batch_forget(struct call *call);
int op_readlink(struct call *call);
int op_symlink(struct call *call); /* name[0] is the link's name, name[1] is its target */
int op_mknod(struct call *call);
int op_mkdir(struct call *call);
int op_unlink(struct call *call);
int op_rmdir(struct call *call);
int op_rename(struct call *call);
int op_rename2(struct call *call);
int op_link(struct call *call);

#endif
