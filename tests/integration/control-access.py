#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""control-access.py SOCKET COMMAND...: connects as another user, and says nonsense or nothing as
root. None of it may keep the daemon from answering COMMAND, nor another user get an answer."""

import os
import socket
import subprocess
import sys


def connect():
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.settimeout(10)
    try:
        link.connect(sys.argv[1])
    except OSError:
        link.close()
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(10)
        link.connect(sys.argv[1])
    return link


def answer_of(request):
    """what comes back; empty when the daemon hangs up"""
    link = connect()
    try:
        link.sendall(request)
        link.shutdown(socket.SHUT_WR)
        return link.recv(65536)
    except (BrokenPipeError, ConnectionResetError):
        return b""
    finally:
        link.close()


pid = os.fork()
if pid == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        leaked = answer_of(b"status\n")
    except PermissionError:
        leaked = b""
    os._exit(1 if leaked else 0)
assert os.waitpid(pid, 0)[1] == 0, "another user got an answer"

for nonsense in (b"", b"\0" * 5000, b"nonsense\n", b"status" * 1000, bytes(range(256))):
    print(repr(nonsense[:20]), "->", repr(answer_of(nonsense)[:80]))
# one who says nothing at all delays others, and no more
silent = connect()
subprocess.run(sys.argv[2:], check=True, timeout=20, stdout=subprocess.DEVNULL)
silent.close()
