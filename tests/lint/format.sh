#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# clang-format would change nothing (.clang-format). Its versions differ in details; Debian 12's is
# the one that counts.
#
#@ packages: clang-format
#@ timeout: 60
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

wanted=14
version=$(clang-format --version | grep -oE 'version [0-9]+' | cut -d ' ' -f 2)
[[ $version == "$wanted" ]] || skip "clang-format $wanted; this is $version"
cd "$root_dir"
find daemon include tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror
