/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers that open, list and close directories. call.h has the contract. */
#ifndef CAISSON_OP_DIR_H
#define CAISSON_OP_DIR_H

struct call;

int op_opendir(struct call *call);
int op_readdir(struct call *call);
int op_readdirplus(struct call *call);
int op_releasedir(struct call *call);

#endif
