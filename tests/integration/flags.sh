#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Each flag of read, write and open does the same on the mount as on an ext4 filesystem beside it
# (flags.py): results and errors are equal, and what must be durable makes the disk below flush.
#
#@ packages: python3 e2fsprogs
#@ timeout: 120
. "$(dirname "$0")/../lib/mount.sh"

plain=$scratch/plain
make_backing ext4 256M
backing_disk=${loop#/dev/}
make_backing ext4 256M "$plain"
plain_disk=${loop#/dev/}
for disk in "$backing_disk" "$plain_disk"; do
	[[ $(<"/sys/block/$disk/queue/write_cache") == 'write back' ]] ||
		skip "a loop device here has no volatile cache: nothing flushes it"
	[[ $(<"/sys/block/$disk/queue/fua") == 0 ]] ||
		skip "a loop device here has FUA: flushes can't be counted"
done

# a fault in one mode doesn't hide those of another
red=()
for mode in none writeback writethrough; do
	say "cache=$mode"
	serve "$backing" "$mnt" "cache=$mode"
	python3 "$tests_dir/integration/flags.py" "$mnt" "$backing_disk" "$plain" "$plain_disk" ||
		red+=("$mode")
	unserve
done
same "${red[*]}" "" "list of red cache modes"
