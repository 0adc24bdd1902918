#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# cppcheck finds nothing in the daemon and the library.
#
#@ packages: cppcheck
#@ timeout: 120
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

cd "$root_dir"
# alloca: a stack is touched by taking part of it (reclaim.c)
cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr -Iinclude -Idaemon -D_GNU_SOURCE \
	--enable=warning,performance,portability --suppress=missingIncludeSystem \
	--suppress=allocaCalled:daemon/reclaim/reclaim.c daemon/*.c daemon/*/*.c
