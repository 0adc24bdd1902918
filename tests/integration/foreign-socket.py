#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""foreign-socket.py MOUNTPOINT SOCKET_DIRECTORY ANSWER: a FUSE mount that is nobody's, whose socket gives
ANSWER, with escapes as Python has them, to whoever asks. Until standard input ends."""

import ctypes
import os
import select
import socket
import sys

NOBODY = 65534
mountpoint, directory, answer = sys.argv[1:]
spoken = answer.encode().decode("unicode_escape").encode("latin-1")
libc = ctypes.CDLL(None, use_errno=True)
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40000,user_id={NOBODY},group_id={NOBODY}"
if libc.mount(b"foreign", mountpoint.encode(), b"fuse.caisson", 0, options.encode()) < 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
with open("/proc/self/mountinfo", encoding="utf-8") as lines:
    number = [line.split()[2] for line in lines if line.split()[4] == mountpoint][-1]
os.makedirs(directory, exist_ok=True)
os.chown(directory, NOBODY, NOBODY)
os.setgroups([])
os.setresgid(NOBODY, NOBODY, NOBODY)
os.setresuid(NOBODY, NOBODY, NOBODY)
path = f"{directory}/{number}.sock"
if answer.startswith("/"):
    os.symlink(answer, path)
else:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(8)
print("ready", flush=True)
while True:
    watched = [sys.stdin] if answer.startswith("/") else [sys.stdin, listener]
    if sys.stdin in select.select(watched, [], [])[0]:
        break
    client = listener.accept()[0]
    client.recv(64)
    client.sendall(spoken)
    client.close()
