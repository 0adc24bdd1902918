#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Metadata requests that wait in the backing filesystem don't delay data (rule S7). While more
# clients than there are workers create files in a frozen filesystem, reads go on on each CPU. After
# the thaw all the files are there.
#
#@ packages: e2fsprogs python3 util-linux
#@ sanitize: yes
#@ timeout: 120
#@ chaos: it watches one server, by its PID
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 128M
serve
dd if=/dev/urandom of="$mnt/data" bs=64K count=64 conv=fsync status=none
thaw() { fsfreeze --unfreeze "$backing" 2>/dev/null || true; }
defer thaw
python3 "$tests_dir/integration/blocked.py" "$mnt" "$backing" "$(server_pid)" &
reader=$!
# where data waits it can't even be killed before the thaw
if ! wait_until 60 process_is_gone "$reader"; then
	thaw
	fail "data waits"
fi
wait "$reader"
cmp "$mnt/data" "$backing/data"
unserve
