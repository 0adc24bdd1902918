#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Only root and the owner of a mount can use its control socket, and malformed requests don't harm
# the daemon.
#
#@ packages: e2fsprogs util-linux python3
#@ transport: one
#@ chaos: it looks at the socket of one server
. "$(dirname "$0")/../lib/mount.sh"

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

make_backing ext4 256M
serve "$backing" "$mnt" allow_other
chmod 755 "$mnt"
device=$(awk -v at="$mnt" '$5 == at { print $3 }' /proc/self/mountinfo)
socket=/run/caisson/$device.sock
test -S "$socket"
is_now() { stat -c '%i %z' "$socket" 2>/dev/null || true; }
before=$(is_now)
"$CAISSON" status "$mnt" >/dev/null
# the build directory may be where nobody else can go
cp "$CAISSON" "$scratch/caisson"
chmod 755 "$scratch/caisson"
exits 2 as_nobody "$scratch/caisson" status "$mnt"
python3 "$tests_dir/integration/control-access.py" "$socket" "$CAISSON" status "$mnt"
"$CAISSON" status "$mnt" >/dev/null
unserve
# another mount may have got the number, and with it the name, at once; even the inode number
[[ $(is_now) != "$before" ]]
