#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Each header compiles alone with gcc and clang. The public header also compiles as C++ and as
# strict C.
#
#@ packages: gcc g++ clang pkg-config libfuse3-dev liburing-dev
#@ timeout: 120
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

cd "$root_dir"
read -ra fuse_flags < <(pkg-config --cflags fuse3)
bad=0

# alone COMPILER LANGUAGE HEADER FLAG...
alone() {
	local compiler=$1 language=$2 header=$3
	shift 3
	if ! "$compiler" -x "$language" -fsyntax-only -Wall -Wextra -Werror "$@" - \
		<<<"#include \"$header\""; then
		echo "$header: does not stand alone ($compiler, $language)"
		bad=$((bad + 1))
	fi
}

for header in daemon/*/*.h; do
	for compiler in gcc clang; do
		alone "$compiler" c "$header" -std=gnu11 -D_GNU_SOURCE -Iinclude -Idaemon -I. \
			-DFUSE_USE_VERSION=312 "${fuse_flags[@]}"
	done
done
for header in include/caisson/*.h; do
	alone gcc c "$header" -std=c99 -pedantic -I.
	alone clang c "$header" -std=c99 -pedantic -I.
	alone g++ c++ "$header" -std=c++11 -pedantic -I.
	alone clang++ c++ "$header" -std=c++11 -pedantic -I.
done
same "$bad" 0 "number of complaints"
