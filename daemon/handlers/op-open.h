/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers that open files, and what open files do off the data path. Contract: call.h. */
#ifndef CAISSON_OP_OPEN_H
#define CAISSON_OP_OPEN_H

struct call;

int op_open(struct call *call);
int op_create(struct call *call);
int op_tmpfile(struct call *call);
int op_release(struct call *call);
int op_flush(struct call *call);
int op_lseek(struct call *call);
int op_copy_file_range(struct call *call);

#endif
