/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers for names in directories. Contract: call.h. */
#ifndef CAISSON_OP_NAME_H
#define CAISSON_OP_NAME_H

struct call;

int op_lookup(struct call *call);
int op_forget(struct call *call);
int op_batch_forget(struct call *call);
int op_readlink(struct call *call);
int op_symlink(struct call *call); /* name[0]: the link's name, name[1]: its target */
int op_mknod(struct call *call);
int op_mkdir(struct call *call);
int op_unlink(struct call *call);
int op_rmdir(struct call *call);
int op_rename(struct call *call);
int op_rename2(struct call *call);
int op_link(struct call *call);

#endif
