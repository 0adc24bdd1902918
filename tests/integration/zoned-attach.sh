#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `caisson zoned attach` and `detach` send the right commands to zloop, and refuse when they must.
#
#@ packages: e2fsprogs util-linux
#@ alone: yes
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

zones=$mnt/0

# a stand-in for the control device, seen by these commands alone
with_control() {
	unshare -m sh -c 'mount -t tmpfs tmpfs /dev && : >/dev/zloop-control && "$@" >/dev/stdout.txt &&
		cat /dev/zloop-control /dev/stdout.txt' sh "$@"
}
make_backing ext4 192M
"$CAISSON" zoned create "$backing/0" --size 64M --zone-size 8M --zone-capacity 6M --conventional 2
serve
say "zloop is told"
same "$(with_control "$CAISSON" zoned attach "$zones" --id 0)" \
	"add id=0,capacity_mb=64,zone_size_mb=8,zone_capacity_mb=6,conv_zones=2,base_dir=$mnt/dev/zloop0" \
	"attach"
same "$(with_control "$CAISSON" zoned detach /dev/zloop7)" "remove id=7" detach
same "$(with_control "$CAISSON" zoned detach 7)" "remove id=7" detach
say "refusals"
refused "is in BACKING" "$CAISSON" zoned attach "$backing/0"
refused "it has none" "$CAISSON" zoned attach "$mnt"
unserve
mv "$backing/0" "$backing/zones"
serve
refused "the device's number" "$CAISSON" zoned attach "$mnt/zones"
unserve
mv "$backing/zones" "$backing/0"
if [[ ! -e /dev/zloop-control ]]; then
	serve
	refused 'file_zbc' "$CAISSON" zoned attach "$zones"
	exits 2 "$CAISSON" zoned detach 0 2>/dev/null
	unserve
fi
