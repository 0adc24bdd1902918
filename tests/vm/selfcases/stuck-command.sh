# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
# A command that can't be killed: run_with_timeout comes back all the same.
#@ timeout: 120
#@ disk: 64M
#@ modules: ext4
#@ programs: mkfs.ext4
#@ packages: e2fsprogs
mount_backing
fsfreeze --freeze /backing
expect_status 124 "a write to a frozen filesystem" run_with_timeout 3 touch /backing/file
is_shown() { dmesg | grep -q 'task:touch .*state:D'; }
check "its stack is in the log" wait_until 10 is_shown
