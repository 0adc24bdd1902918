#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A traced caissond (trace.c) records each change of a request's state while it serves data and
# metadata. The case checks that the model's table allows each of these changes.
#
#@ packages: fio e2fsprogs python3 util-linux
#@ timeout: 120
CAISSOND=${CAISSON_BUILD:-$(dirname "$0")/../../build}/tests/caissond-traced
. "$(dirname "$0")/../lib/mount.sh"
. "$tests_dir/lib/load.sh"

make_backing ext4 512M
export CAISSON_TRACE=$scratch/trace
serve
load "$mnt" data 4k 64m
load "$mnt" more 128k 64m
mkdir "$mnt/tree"
for ((i = 0; i < 200; i++)); do
	echo "$i" >"$mnt/tree/$i"
	mv "$mnt/tree/$i" "$mnt/tree/of-$i"
done
same "$(cat "$mnt"/tree/of-* | sort -n | tail -n 1)" 199 "last file's content"
rm -r "$mnt/tree"
unserve
"$tests_dir/model/moves.py" replay "$CAISSON_TRACE"
