# SPDX-License-Identifier: LGPL-2.1-or-later
"""File handles of a mount. "save FILE MOUNT NAME...": keeps a handle of each in FILE. "try FILE MOUNT
NAME...": opens them, and says what is found: a regular file's contents, a directory's names, or the errno. "forge FILE
MOUNT NAME": tries what differs in one word from NAME's."""
import ctypes
import errno
import os
import pickle
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * 128)]


def read_handle(path):
    handle, mount_id = Handle(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(handle), ctypes.byref(mount_id), 0):
        raise OSError(ctypes.get_errno(), path)
    return handle.type, bytes(handle.data[:handle.bytes])


def look(mount, handle):
    wanted = Handle(bytes=len(handle[1]), type=handle[0])
    wanted.data[:len(handle[1])] = handle[1]
    at = os.open(mount, os.O_RDONLY)
    fd = libc.open_by_handle_at(at, ctypes.byref(wanted), os.O_RDONLY)
    error = ctypes.get_errno()
    os.close(at)
    if fd < 0:
        return errno.errorcode[error]
    try:
        if os.path.isdir(f'/proc/self/fd/{fd}'):
            return ' '.join(sorted(os.listdir(fd))) + ' in ' + ' '.join(sorted(os.listdir(f'/proc/self/fd/{fd}/..')))
        return os.read(fd, 100).decode().strip()
    finally:
        os.close(fd)


what, file, mount, *names = sys.argv[1:]
if what == 'save':
    with open(file, 'wb') as out:
        pickle.dump({name: read_handle(f'{mount}/{name}') for name in names}, out)
else:
    with open(file, 'rb') as saved:
        handles = pickle.load(saved)
if what == 'forge':
    # struct fuse_fid of the kernel: the nodeid's halves, which are generation and number, and what the kernel compares
    kind, data = handles[names[0]]
    generation, number, told = struct.unpack('=III', data[:12])
    forged = [(0, number, told), (generation + 1, number, told), (generation, number + 1, told),
              (generation, number, told + 1), (0, 1, told), (0, 0, told), (generation, 2**32 - 1, told)]
    print(*{look(mount, (kind, struct.pack('=III', *words) + data[12:])) for words in forged})
elif what == 'try':
    for name in names:
        print(f'{name}: {look(mount, handles[name])}')
