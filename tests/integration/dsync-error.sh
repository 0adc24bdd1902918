#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The backing disk fails to write data that was accepted, and the kernel tells that to a write that
# syncs (O_DSYNC). Its opener is the first one, so all syncs of the file go through its descriptor;
# the other opener has to be told all the same (S11).
#
#@ packages: python3 e2fsprogs
. "$(dirname "$0")/../lib/mount.sh"

below=$scratch/below
make_failing_backing "$below"
serve
python3 - "$mnt/file" "$backing" "$below/filler" <<-'END'
	import errno, os, subprocess, sys

	path, backing, filler = sys.argv[1:]

	def fails(call, *arguments):
	    try:
	        call(*arguments)
	    except OSError as error:
	        assert error.errno in (errno.EIO, errno.ENOSPC), error
	        return True
	    return False

	first = os.open(path, os.O_CREAT | os.O_RDWR | os.O_DSYNC)
	other = os.open(path, os.O_RDWR)
	os.pwrite(first, os.urandom(1 << 20), 0)
	for size in ("1M", "512"):
	    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", f"bs={size}", "oflag=append",
	                    "conv=notrunc,fsync", "status=none"], stderr=subprocess.DEVNULL, check=False)
	os.pwrite(other, os.urandom(5000), (16 << 20) + 1)
	subprocess.run(["sync", "-f", backing], stderr=subprocess.DEVNULL, check=False)
	assert fails(os.pwrite, first, os.urandom(4096), 0), "the write that syncs is not told"
	assert fails(os.fsync, other), "the other opener is not told"
	assert not fails(os.fsync, other), "it is told twice"
	os.unlink(filler)
END
unserve
