/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handlers that open and close files, and that seek and copy in them. call.h has the contract. */
#ifndef CAISSON_OP_OPEN_H
#define CAISSON_OP_OPEN_H

#include <stdint.h>

struct call;
struct fs;

int op_open(struct call *call);
int op_create(struct call *call);
int op_tmpfile(struct call *call);
int op_release(struct call *call);
int op_flush(struct call *call);
int op_lseek(struct call *call);
int op_copy_file_range(struct call *call);

/* Closes the open file with FH, which the kernel doesn't know, if there is one. */
void op_close_made(struct fs *fs, uint64_t fh);

#endif
