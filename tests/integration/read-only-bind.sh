#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A file can be reached through two mounts below the backing directory, one of which is read-only.
# Each path allows what it allows in the backing directory, whichever was looked up first, and both
# lead to the same data.
#
#@ packages: e2fsprogs python3 util-linux
#@ timeout: 90
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
mkdir "$backing"/{rw,ro}
mount --bind "$backing/rw" "$backing/ro"
defer unmount "$backing/ro"
mount -o remount,bind,ro "$backing/ro"

# What a client may do to the file or directory at argv[1], as errno or "ok" for each.
cat >"$scratch/try.py" <<-'END'
	import errno, os, sys
	dir, other = sys.argv[1:3]
	file = dir + '/file'

	def write_opened():
	    fd = os.open(file, os.O_WRONLY)
	    os.pwrite(fd, b'x' * 4096, 0)
	    os.fsync(fd)
	    os.close(fd)

	tries = {
	    'write': write_opened,
	    'truncate at open': lambda: os.close(os.open(file, os.O_RDWR | os.O_TRUNC)),
	    'create what is there': lambda: os.close(os.open(file, os.O_RDWR | os.O_CREAT)),
	    'truncate': lambda: os.truncate(file, 4096),
	    'chmod': lambda: os.chmod(file, 0o644),
	    'chown': lambda: os.chown(file, 0, 0),
	    'utimes': lambda: os.utime(file, (1, 1)),
	    'setxattr': lambda: os.setxattr(file, 'user.a', b'1'),
	    'removexattr': lambda: os.removexattr(file, 'user.a'),
	    'link': lambda: os.link(file, dir + '/linked'),
	    'link across': lambda: os.link(file, other + '/linked'),
	    'rename': lambda: os.rename(dir + '/old1', dir + '/moved'),
	    'rename across': lambda: os.rename(file, other + '/moved'),
	    'create': lambda: os.close(os.open(dir + '/new', os.O_CREAT | os.O_EXCL)),
	    'mkdir': lambda: os.mkdir(dir + '/made'),
	    'symlink': lambda: os.symlink('x', dir + '/link'),
	    'mknod': lambda: os.mknod(dir + '/fifo', 0o10600),
	    'rmdir': lambda: os.rmdir(dir + '/old3'),
	    'unlink': lambda: os.unlink(dir + '/old2'),
	    'read': lambda: os.close(os.open(file, os.O_RDONLY)),
	}
	for name, act in tries.items():
	    try:
	        act()
	        print(name, 'ok')
	    except OSError as error:
	        print(name, errno.errorcode[error.errno])
END

# try_all DIR: the writable way and the read-only one, in the order of $ways
try_all() {
	local way
	for way in $ways; do
		stat "$1/$way/file" >/dev/null
	done
	for way in rw ro; do
		rm -rf "$backing"/rw/{linked,moved,new,made,link,fifo,old*}
		touch "$backing"/rw/old{1,2}
		mkdir "$backing/rw/old3"
		echo "$way:"
		python3 "$scratch/try.py" "$1/$way" "$1/$([[ $way == rw ]] && echo ro || echo rw)"
	done
}

head -c 8192 /dev/zero >"$backing/rw/file"
ways='rw ro' try_all "$backing" >"$scratch/wanted"
matches "$(<"$scratch/wanted")" 'write EROFS' "what the read-only way does below"
for ways in 'rw ro' 'ro rw'; do
	say "first looked up: $ways"
	serve
	try_all "$mnt" >"$scratch/got"
	diff "$scratch/wanted" "$scratch/got"
	unserve
done

say "one file by both ways"
serve
python3 - "$mnt" <<-'END'
	import os, sys
	os.stat(sys.argv[1] + '/rw/file')
	ro = os.open(sys.argv[1] + '/ro/file', os.O_RDONLY)
	rw = os.open(sys.argv[1] + '/rw/file', os.O_RDWR)
	assert os.fstat(ro).st_ino == os.fstat(rw).st_ino
	for i in range(50):
	    text = b'%04d' % i * 1024
	    os.pwrite(rw, text, 4096 * i)
	    assert os.pread(ro, 4096, 4096 * i) == text, i
	    assert os.fstat(ro).st_size == 4096 * (i + 1) or i == 0
	    os.fsync(ro)
	os.ftruncate(rw, 10)
	assert len(os.pread(ro, 4096, 0)) == 10
END
