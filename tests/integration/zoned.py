# SPDX-License-Identifier: LGPL-2.1-or-later
"""What zoned.sh does that no common tool does, or not without a flush of its own.

zoned.py write FILE OFFSET LENGTH: one asynchronous direct write, which is the kernel's way through
fuse_direct_IO() that zloop's writes take.
zoned.py punch FILE OFFSET LENGTH: one fallocate(2).
zoned.py truncate FILE LENGTH: one truncate(2), by name, which is how zloop does it."""
import ctypes
import mmap
import os
import platform
import struct
import sys

SETUP, SUBMIT, GETEVENTS = {"x86_64": (206, 209, 208)}.get(platform.machine(), (0, 2, 4))
PWRITE = 1

libc = ctypes.CDLL(None, use_errno=True)


def call(*args):
    result = libc.syscall(*args)
    if result < 0:
        sys.exit(f"system call {args[0]}: {os.strerror(ctypes.get_errno())}")
    return result


def write(path, offset, length):
    buffer = mmap.mmap(-1, length)
    buffer.write(os.urandom(length))
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    context = ctypes.c_ulong(0)
    call(SETUP, 1, ctypes.byref(context))
    block = ctypes.create_string_buffer(
        struct.pack("=QIiHhIQQqQII", 0, 0, 0, PWRITE, 0, fd, address, length, offset, 0, 0, 0)
    )
    blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    call(SUBMIT, context, ctypes.c_long(1), blocks)
    event = ctypes.create_string_buffer(32)
    call(GETEVENTS, context, ctypes.c_long(1), ctypes.c_long(1), event, None)
    result = struct.unpack("=QQqq", event.raw)[2]
    if result < 0:
        sys.exit(f"{path}: write: {os.strerror(-result)}")
    if result != length:
        sys.exit(f"{path}: write: {result} of {length} bytes")


def punch(path, offset, length):
    keep_size, punch_hole = 1, 2
    fd = os.open(path, os.O_RDWR)
    if libc.fallocate(fd, keep_size | punch_hole, ctypes.c_long(offset), ctypes.c_long(length)) < 0:
        sys.exit(f"{path}: fallocate: {os.strerror(ctypes.get_errno())}")


commands = {"write": write, "punch": punch, "truncate": os.truncate}
commands[sys.argv[1]](sys.argv[2], *map(int, sys.argv[3:]))
