# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# What the stacks of tests/vm/lab/cut are written with: one boot of a guest whose power is cut. A
# stack says how it is made, set up again after a cut, and taken down, in the functions cut_make,
# cut_again and cut_down, sets cut_disk where a write is durable only after a flush of that disk, and
# ends with cut_run. From the kernel's command line, besides what lab.sh reads:
#
#	cut_boot	which boot it is; in the first everything is new
#	cut_last	1: verify, take all down and look at the filesystems
#
# /dev/vda is the disk that forgets, /dev/vdb what was acknowledged in the boots before, and
# /dev/ttyS1 where acknowledged writes are told. What the host reads from the console:
#
#	lab: verified WRITES SECTORS / lab: wrong: ...
: "${cut_boot:=1}" "${cut_last:=}" "${cut_disk:=}"
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

cut_verify() {
	lab-cut verify "$lab_upper" "$cut_boot" /dev/vdb >/run/verify.log 2>&1
	cut_status=$?
	while read -r cut_line; do
		tell "${cut_line#lab-cut: }"
	done </run/verify.log
	return "$cut_status"
}

cut_run() {
	if [ "$cut_boot" -eq 1 ]; then
		cut_make
		sync # what is new is there to stay, whatever the handler does
		sync
	else
		must "mount the backing disk" mount -t ext4 /dev/vda /backing
		mkdir -p "$lab_served"
		cut_again
		must "what was acknowledged is there" cut_verify
	fi
	if [ -z "$cut_last" ]; then
		lab_begin_chaos
		lab-cut load "$lab_upper" "$cut_boot" /dev/ttyS1 ${cut_disk:+"$cut_disk"}
		die "the load ended (status $?)"
	fi

	must "unmount" run_with_timeout 120 umount "$lab_upper"
	cut_check_upper
	cut_down
	lab_audit "at the end"
	must "the handler ends" "stop_$lab_handler"
	must "unmount the backing disk" umount /backing
	check "e2fsck finds nothing" run_with_timeout 120 e2fsck -f -n /dev/vda
}
