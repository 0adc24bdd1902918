#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Eight writers rename and unlink files at the same time. A local copy says which files have to be
# there in the end.
#
#@ packages: e2fsprogs
#@ timeout: 120
#@ sanitize: yes
. "$(dirname "$0")/../lib/mount.sh"

writer() {
	local dir=$mnt/shared local=$scratch/expected i name open
	for i in {1..40}; do
		name=w$1.$i
		head -c $((RANDOM * 3 + 1)) /dev/urandom >"$local/$name"
		cp "$local/$name" "$dir/.new.$name"
		mv "$dir/.new.$name" "$dir/$name"
		case $((i % 4)) in
		1) # over one of its own
			mv "$dir/$name" "$dir/w$1.first"
			mv "$local/$name" "$local/w$1.first"
			;;
		2) # away, while open
			exec {open}<"$dir/$name"
			rm "$dir/$name"
			cmp "$local/$name" - <&"$open"
			exec {open}<&-
			rm "$local/$name"
			;;
		3) # into another directory, and grown there
			mv "$dir/$name" "$mnt/other/$name"
			echo "more $i" | tee -a "$local/$name" >>"$mnt/other/$name"
			;;
		esac
	done
}

make_backing ext4 512M
serve
mkdir "$mnt/shared" "$mnt/other" "$scratch/expected"
pids=()
for i in {1..8}; do
	writer "$i" &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid"
done
mv "$mnt"/other/* "$mnt/shared/"
rmdir "$mnt/other"
diff -r "$scratch/expected" "$mnt/shared"
unserve
diff -r "$scratch/expected" "$backing/shared"
same "$(ls "$backing")" $'lost+found\nshared' "what is in the backing directory"
