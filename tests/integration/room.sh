#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An operation that fails because a table is full has changed nothing: it has truncated no file and
# created none.
#
#@ packages: python3 e2fsprogs
#@ timeout: 60
#@ sanitize: asan
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve "$backing" "$mnt" files=64,entry_timeout=0

echo precious >"$mnt/precious"
python3 - "$mnt" <<'END'
import errno, os, sys
os.chdir(sys.argv[1])
fds = []
while True:
    try:
        fds.append(os.open("open-%d" % len(fds), os.O_RDWR | os.O_CREAT))
    except OSError as error:
        assert error.errno == errno.ENFILE, error
        break
assert len(fds) == 64, len(fds)

def refused(*args):
    try:
        os.open(*args)
    except OSError as error:
        assert error.errno == errno.ENFILE, error
    else:
        raise SystemExit("opened: %s" % (args,))

for flags in os.O_WRONLY, os.O_RDWR, os.O_RDONLY:
    refused("precious", flags | os.O_TRUNC)
refused("new", os.O_RDWR | os.O_CREAT)
refused("new", os.O_RDWR | os.O_CREAT | os.O_EXCL)
refused(".", os.O_RDWR | os.O_TMPFILE)
END
same "$(<"$mnt/precious")" precious "what was not to be truncated"
same "$(find "$backing" -name "new*")" "" "files that nobody made"
unserve
