#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""no-io-uring.py COMMAND...: runs it where io_uring_setup fails with EPERM, as the seccomp filters
of containers and kernel.io_uring_disabled have it."""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
BPF_LD_W_ABS, BPF_JEQ_K, BPF_RET_K = 0x20, 0x15, 0x06
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
IO_URING_SETUP = 425  # the same number on every architecture

# struct sock_filter: code, jump if true, jump if false, operand; the number is at offset 0
filters = b"".join(struct.pack("HBBI", *line) for line in (
    (BPF_LD_W_ABS, 0, 0, 0),
    (BPF_JEQ_K, 0, 1, IO_URING_SETUP),
    (BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
    (BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW),
))
program = ctypes.create_string_buffer(filters)
# struct sock_fprog: count, pointer
header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(filters) // 8,
                                                 ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
             (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header), 0, 0)):
    if libc.prctl(*map(ctypes.c_ulong, call)) != 0:
        sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
