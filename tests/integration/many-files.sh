#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The mount serves many more files than there are descriptors or rows in the inode table. It behaves
# as any filesystem while files are open and while names are removed, on ext4, XFS and btrfs.
#
#@ packages: btrfs-progs e2fsprogs python3 util-linux xfsprogs
#@ transport: one
#@ timeout: 300
#@ chaos: a low RLIMIT_NOFILE leaves no room for an heir
. "$(dirname "$0")/../lib/mount.sh"

dirs=40
per_dir=80
all=$((dirs * per_dir))

make_tree() {
	python3 - "$1" "$dirs" "$per_dir" <<-'END'
		import os, sys
		for d in range(int(sys.argv[2])):
		    os.mkdir(f'{sys.argv[1]}/{d}')
		    for f in range(int(sys.argv[3])):
		        with open(f'{sys.argv[1]}/{d}/{f}', 'w') as file:
		            file.write(f'{d}/{f}\n')
	END
}

# A client with 100 files open, one only as a path, and a working directory, who looks at all others, and
# then does without names.
cat >"$scratch/client.py" <<-'END'
	import os, sys
	os.chdir(sys.argv[1] + '/5')
	tree = sys.argv[1]
	opened = [os.open(str(i), os.O_RDWR) for i in range(int(sys.argv[2]))]
	paths = [os.open('../6/1', os.O_PATH), os.open('../6/2', os.O_PATH)]
	gone = os.open('../7', os.O_PATH)

	def look_at_all():
	    seen = 0
	    for root, dirs, files in os.walk(tree + '/'):
	        for name in files:
	            assert os.stat(f'{root}/{name}').st_size > 0
	            seen += 1
	    return seen

	assert look_at_all() == int(sys.argv[3]), 'a walk finds something else'
	os.rename('../6/1', '../8/moved')
	os.unlink('../6/2')
	for name in os.listdir('../7'):
	    os.unlink(f'../7/{name}')
	os.rmdir('../7')
	look_at_all()
	look_at_all()
	for i, fd in enumerate(opened):
	    assert os.pread(fd, 20, 0) == b'5/%d\n' % i, 'an open file reads other data'
	assert [os.fstat(fd).st_nlink for fd in paths] == [1, 0]
	assert os.fstat(gone).st_nlink == 0
	assert os.stat('.').st_ino == os.stat(tree + '/5').st_ino
	with open('new', 'w') as file:
	    file.write('new\n')
END

# try_tree DIR OPEN: what a user does with a tree
try_tree() {
	local tree=$1 open=$2
	same "$(find "$tree" -type f -printf '%s\n' | wc -l)" "$all" "files that find shows"
	ls -lR "$tree" >"$scratch/listed"
	same "$(grep -c '^-' "$scratch/listed")" "$all" "files that ls shows"
	same "$(grep -rh . "$tree" | wc -l)" "$all" "files that grep reads"
	python3 "$scratch/client.py" "$tree" "$open" "$all"
	cp -a "$tree/1" "$scratch/copy"
	same "$(sums "$scratch/copy")" "$(sums "$tree/1")" "what cp copies"
	rm -rf "$scratch/copy" "${tree:?}"/*
	same "$(ls -A "$tree")" "" "what rm leaves"
}

# with_descriptors N COMMAND...: as a container may limit them
with_descriptors() { (ulimit -n "$1" && shift && exec "$@"); }

for type in ext4 xfs btrfs; do
	type -P "mkfs.$type" >/dev/null || continue
	for options in '' inodes=256; do
		say "$type ${options:-default}"
		make_backing "$type" 1G "$scratch/$type${options:+-few}"
		backing=$scratch/$type${options:+-few}
		mkdir "$backing/tree"
		make_tree "$backing/tree"
		serve "$backing" "$mnt" "$options" with_descriptors 1024
		try_tree "$mnt/tree" 60
		same "$(status_total inodes_refused)" 0 "look-ups that were refused"
		unserve
	done
done

say "more files open than the table has rows"
make_tree "$backing/tree"
serve "$backing" "$mnt" inodes=256,files=1024
python3 - "$mnt/tree" <<-'END'
	import os, sys
	fds = [os.open(f'{sys.argv[1]}/{d}/{f}', os.O_RDONLY) for d in range(6) for f in range(80)]
	assert all(os.pread(fd, 20, 0) for fd in fds)
	fds.append(os.open(f'{sys.argv[1]}/new', os.O_RDWR | os.O_CREAT | os.O_EXCL))
	assert os.write(fds[-1], b'new') == 3
END
same "$(status_total inodes_refused)" 0 "look-ups that were refused"
unserve
