#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ext4 works on a loop device with direct I/O on a file of the mount.
#
#@ packages: fio e2fsprogs
#@ transport: one
#@ timeout: 150
. "$(dirname "$0")/../lib/stack.sh"
stack_case ext4
