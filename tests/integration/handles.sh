#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# File handles of the mount (open_by_handle_at(2), NFS) stay valid after the kernel has forgotten
# the file. They also outlive the daemon if the backing directory is a whole filesystem. A handle
# never leads to another file.
#
#@ packages: btrfs-progs e2fsprogs python3 util-linux xfsprogs
#@ timeout: 300
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

names=(file dir dir/below dir/deep dir/deep/file)

# handles save|try [NAME...]
handles() { python3 "$tests_dir/integration/handles.py" "$1" "$scratch/handles" "$mnt" "${@:2}"; }

make_tree() {
	mkdir -p "$1/dir/deep"
	echo one >"$1/file"
	echo two >"$1/dir/below"
	echo three >"$1/dir/deep/file"
}

# forget: the kernel drops what it knows of the mount
forget() {
	echo 2 >/proc/sys/vm/drop_caches
	wait_until 10 knows_nothing
}
knows_nothing() { (($(status_total inodes_used) <= 1)) || ! echo 2 >/proc/sys/vm/drop_caches; }

cat >"$scratch/wanted" <<-'END'
	file: one
	dir: below deep in dir file
	dir/below: two
	dir/deep: file in below deep
	dir/deep/file: three
END

# try_handles: all are found
try_handles() { diff "$scratch/wanted" <(handles try "${names[@]}" | sed 's/ lost+found//'); }

for type in ext4 xfs btrfs; do
	type -P "mkfs.$type" >/dev/null || continue
	say "$type"
	make_backing "$type" 512M "$scratch/$type"
	make_tree "$scratch/$type"
	serve "$scratch/$type"
	handles save "${names[@]}"
	try_handles
	forget
	try_handles
	unserve
	say "$type: another daemon"
	serve "$scratch/$type"
	try_handles
	forget

	rm "$scratch/$type/file"
	echo other >"$scratch/$type/file"
	same "$(handles try file)" "file: ESTALE" "a file that has gone"
	# what a handle leads to is a file like any other
	mv "$scratch/$type/dir/below" "$scratch/$type/moved"
	same "$(handles try dir/below)" "dir/below: two" "a file that has moved"
	unserve
done

say "a part of a filesystem"
make_backing ext4 256M "$scratch/whole"
mkdir "$scratch/whole/part"
make_tree "$scratch/whole/part"
make_tree "$scratch/whole"
serve "$scratch/whole"
handles save file dir
unserve
serve "$scratch/whole/part"
same "$(handles try file dir)" $'file: ESTALE\ndir: ESTALE' "handles from outside"
handles save "${names[@]}"
forget
same "$(handles try file dir | sort -u)" $'dir: ESTALE\nfile: ESTALE' "handles that are forgotten"
unserve

say "mounts below, and zones"
"$CAISSON" zoned create "$scratch/whole/zones" --size 4M --zone-size 1M --conventional 1
mkdir "$scratch/whole/below"
make_backing ext4 64M "$scratch/other"
echo other >"$scratch/other/file"
mount --bind "$scratch/other" "$scratch/whole/below"
defer unmount "$scratch/whole/below"
serve "$scratch/whole"
zones=("$scratch"/whole/zones/*)
zone=zones/${zones[-1]##*/}
handles save below below/file file "$zone"
same "$(handles try below/file file)" $'below/file: other\nfile: one' "handles that are known"
forget
same "$(handles try below below/file file "$zone")" $'below: ESTALE\nbelow/file: ESTALE\nfile: one\n'"$zone: ESTALE" \
	"handles on another mount, and of a zone"
same "$(handles forge file)" "ESTALE" "handles that are made up"
unserve

say "a daemon that may not open by handle"
weak=(setpriv --bounding-set=-dac_read_search)
serve "$scratch/whole" "$mnt" "" "${weak[@]}"
handles save file
unserve
serve "$scratch/whole" "$mnt" "" "${weak[@]}"
stat "$mnt/dir" >/dev/null # which has the row now
same "$(handles try file)" "file: ESTALE" "a handle of another daemon"
unserve
