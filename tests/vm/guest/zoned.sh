# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Zoned block devices: a disk that can be written anywhere again, by way of dm-zoned.
#
#	#@ debs: trixie:dm-zoned-tools=dmzadm
#	#@ programs: depmod
#	#@ packages: kmod
#	#@ modules: dm-zoned
#
# Debian has dm-zoned-tools since trixie; it runs on Debian 12's libraries.

dmz_disk=

# zoned_model DEVICE: none, host-aware or host-managed
zoned_model() { cat "/sys/block/${1##*/}/queue/zoned"; }
is_host_managed() { [ "$(zoned_model "$1")" = host-managed ]; }

dmz_find_disk() {
	for dmz_slave in /sys/block/dm-*/slaves/"${1##*/}"; do
		[ -e "$dmz_slave" ] || continue
		dmz_slave=${dmz_slave%/slaves/*}
		dmz_disk=/dev/${dmz_slave##*/}
	done
	[ -b "$dmz_disk" ]
}

# dmz_start DEVICE: makes a zoned device a dm-zoned one, new and empty; sets dmz_disk.
dmz_start() {
	dmz_device=$1 dmz_disk=
	index_modules && dmzadm --format "$dmz_device" && dmz_resume
}

# dmz_resume: starts it again as dmz_stop has left it
dmz_resume() {
	DM_DISABLE_UDEV=1 dmzadm --start "$dmz_device" && wait_until 10 dmz_find_disk "$dmz_device"
}

# dmz_stop [DEVICE]: of the last zoned device, unless one is named
dmz_stop() { DM_DISABLE_UDEV=1 dmzadm --stop "${1:-$dmz_device}"; }

zloop_disk=

# zloop_add DIR ID SIZE_MB ZONE_MB CONV [OPTIONS]: the kernel's zoned loop device /dev/zloopID, the
# zones of which are files in DIR/ID, the first CONV of them conventional; sets zloop_disk. OPTIONS:
# more of zloop's own, such as buffered_io, between commas.
zloop_add() {
	mkdir -p "$1/$2" || return
	zloop_options=id=$2,capacity_mb=$3,zone_size_mb=$4,conv_zones=$5,base_dir=$1
	# One write, and the shell's own: the kernel's answer is its status.
	echo "add $zloop_options${6:+,$6}" >/dev/zloop-control || return
	zloop_disk=/dev/zloop$2
	wait_until 10 test -b "$zloop_disk"
}

# zloop_remove ID: the files stay.
zloop_remove() { echo "remove id=$1" >/dev/zloop-control; }
