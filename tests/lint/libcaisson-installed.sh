#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# libcaisson works as its users get it. The case installs the build into a temporary directory and
# builds the example against it through pkg-config, as C and as C++, with the shared library and
# with the static one, and runs it. The library exports what the header declares. The functions that
# run after the seal need nothing that allocates or prints.
#
#@ packages: meson pkg-config gcc g++ binutils
#@ timeout: 120
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

example=$tests_dir/example/guarded-write.c
header=$root_dir/include/caisson/reclaim.h

# installed NAME: the path of the one file of that name in the installed copy
installed() {
	local -a found
	mapfile -t found < <(find "$scratch/root" -name "$1")
	same "${#found[@]}" 1 "number of installed files $1"
	echo "${found[0]}"
}

# is_one_of_ours PROGRAM: runs the example's PROGRAM, and looks at what it did
is_one_of_ours() {
	local output
	output=$(LD_LIBRARY_PATH=${library%/*} "$1" "$scratch/written" 2>&1)
	same "$(stat -c %s "$scratch/written")" 1048576 "size of the file written by $1"
	matches "$output" '[01] of 1 tasks marked, memory (not )?locked' "output of $1"
	rm "$scratch/written"
}

# needs_only ALLOWED SYMBOL...
needs_only() {
	local symbol
	for symbol in "${@:2}"; do
		grep -qEx "$1" <<<"$symbol" || fail "needs $symbol, which is not on the list"
	done
}

DESTDIR=$scratch/root meson install -C "$build_dir" --no-rebuild --quiet >/dev/null
pc=$(installed caisson.pc)
library=$(installed libcaisson.so.0)
archive=$(installed libcaisson.a)
matches "$(installed reclaim.h)" '/include/caisson/reclaim\.h$' "where the header is"

nm -u "$archive" >"$scratch/undefined"
if grep -Eq ' __[at]san_' "$scratch/undefined"; then
	skip "a library built with a sanitizer is for programs built with it"
fi

# Nothing of the source or build tree is on these lines.
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$scratch/root
read -ra cflags < <(pkg-config --cflags caisson)
read -ra shared < <(pkg-config --libs caisson)
read -ra static < <(pkg-config --static --libs caisson)
strict=(-Wall -Wextra -Wpedantic -Werror -O2 "${cflags[@]}")
as_c=(gcc -std=gnu11 "${strict[@]}" "$example")
as_cxx=(g++ -std=c++17 "${strict[@]}" -x c++ "$example" -x none)

"${as_c[@]}" "${shared[@]}" -o "$scratch/c-shared"
"${as_c[@]}" -static "${static[@]}" -o "$scratch/c-static"
"${as_cxx[@]}" "${shared[@]}" -o "$scratch/c++-shared"
"${as_cxx[@]}" -static "${static[@]}" -o "$scratch/c++-static"
for program in c-shared c-static c++-shared c++-static; do
	is_one_of_ours "$scratch/$program"
done
matches "$(readelf -d "$scratch/c-shared")" 'libcaisson\.so\.0\]' "what c-shared needs"

# any dialect from C99 on
for dialect in c99 c11 gnu17; do
	echo '#include <caisson/reclaim.h>' |
		gcc -std="$dialect" "${strict[@]}" -x c -c - -o "$scratch/header.o"
done

declared=$(sed -nE 's/^int (caisson_[a-z_]+)\(.*/\1/p' "$header" | sort)
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort)
same "$exported" "$declared" "list of exported symbols"

# The example shows all there is, but for the state of other tasks.
used=$(nm "$scratch/c-static" | awk '$2 == "T" { print $3 }')
for name in $declared; do
	[[ $name == caisson_flusher_state ]] || grep -qx "$name" <<<"$used" ||
		fail "the example doesn't use $name"
done

# S4: the audit runs after the seal.
allowed='__assert_fail|__errno_location|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail'
allowed+='|close|(fstatfs|lseek|open|openat)(64)?|read|syscall'
allowed+='|mem(chr|cpy|set)|str(chr|len|ncmp|rchr)|caisson_.*|__ubsan_.*'
for object in audit proc proc-maps proc-text; do
	mapfile -t needed < <(awk -v member="$object.c.o:" '
		/:$/ { inside = substr($0, length($0) - length(member) + 1) == member }
		inside && $1 == "U" { print $2 }' "$scratch/undefined")
	more "${#needed[@]}" 0 "number of undefined symbols of $object.c"
	needs_only "$allowed" "${needed[@]}"
done

# only libc: that is in the file's name for this machine, the loader's is beside it
mapfile -t needed < <(readelf -d "$library" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p')
needs_only 'libc\.so\.6|libc\.musl.*|ld-linux.*' "${needed[@]}"
