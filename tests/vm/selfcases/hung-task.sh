# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
# All checks pass, but the kernel reports a hung task.
#@ timeout: 120
#@ disk: 64M
#@ modules: ext4
#@ programs: mkfs.ext4
#@ packages: e2fsprogs
#@ append: vm_hung_task=5
mount_backing
fsfreeze --freeze /backing
touch /backing/file &
hung_task_is_told() { dmesg | grep -q "INFO: task touch:.* blocked for more than"; }
check "the kernel tells of the hung task" wait_until 60 hung_task_is_told
