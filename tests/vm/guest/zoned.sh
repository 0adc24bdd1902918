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
	index_modules && dmzadm --format "$dmz_device" && DM_DISABLE_UDEV=1 dmzadm --start "$dmz_device" || return
	wait_until 10 dmz_find_disk "$dmz_device"
}

dmz_stop() { DM_DISABLE_UDEV=1 dmzadm --stop "$dmz_device"; }
