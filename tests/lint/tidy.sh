#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# clang-tidy finds nothing in the daemon and the library. These checks are left out:
#   easily-swappable-parameters   (offset, length) pairs are how storage code speaks
#   reserved-identifier           _GNU_SOURCE, and the hooks of ThreadSanitizer
#   DeprecatedOrUnsafe…           asks for Annex K's memcpy_s(), which glibc doesn't have
#   unix.Malloc, DeadStores       don't know cleanup attributes
#   valist.Uninitialized          loses sight of a va_start() before a call
#   mt-unsafe                     exit(), strerror(), getgroups(): at start, or in tools
#   assignment-in-if-condition, narrowing… are style, and -Wall -Wextra say what matters
#
#@ packages: clang-tidy
#@ timeout: 240
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

checks='-*,bugprone-*,clang-analyzer-*,concurrency-*,performance-*
	-bugprone-easily-swappable-parameters
	-bugprone-reserved-identifier
	-bugprone-assignment-in-if-condition
	-bugprone-narrowing-conversions
	-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling
	-clang-analyzer-unix.Malloc
	-clang-analyzer-deadcode.DeadStores
	-clang-analyzer-valist.Uninitialized
	-concurrency-mt-unsafe'
cd "$root_dir"
printf "%s\n" "$root_dir"/daemon/*.c "$root_dir"/daemon/*/*.c | xargs -P "$(nproc)" -n 6 \
	clang-tidy -p "$build_dir" --quiet --warnings-as-errors='*' \
	--checks="$(tr -s '\n\t' ',' <<<"$checks" | sed 's/,$//')" 2>/dev/null
