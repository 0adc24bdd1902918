#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# caisson's own sources are configured and compiled inside the mount, and the result runs there.
#
#@ packages: meson ninja-build gcc pkg-config libfuse3-dev liburing-dev libjson-c-dev e2fsprogs
#@ timeout: 240
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 1G
serve
mkdir "$mnt/source"
cp -r "$root_dir"/{meson.build,daemon,include,man} "$mnt/source/"
# only the programs; what is tested is the mount
mkdir "$mnt/source/tests"
touch "$mnt/source/tests/meson.build"
meson setup "$mnt/build" "$mnt/source"
ninja -C "$mnt/build"
"$mnt/build/daemon/caissond" --version
say "nothing to do the second time: the times of files are right"
matches "$(ninja -C "$mnt/build")" "no work to do" ninja
unserve
