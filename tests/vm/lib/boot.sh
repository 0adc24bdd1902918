# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The life of one guest: the disks and the memory that a case asks for, and what becomes of it.

: "${work_dir:?}"
: "${qemu_accel:=}" "${kernel_image:=}" # set by qemu_probe_kvm and kernel_prepare

# boot_case SCRIPT LOG SECONDS [APPEND]: boots the case, with APPEND on the kernel's command line
# besides what it asks for, and leaves its console log in LOG. 0 when the guest ended by itself, 1
# when it did not (its tasks are in the log then), 2 when it could not be started.
boot_case() {
	local script=$1 log=$2 limit=$3 append=${4-} cpus=1 disk file letter=0 arguments=()
	[[ $qemu_accel == kvm ]] && cpus=$(case_value "$script" cpus 1)
	for disk in $(case_values "$script" disk); do
		file=$work_dir/disk$letter
		rm -f "$file" && truncate -s "$disk" "$file" || return 2
		file=$(qemu_path "$file")
		arguments+=(-drive "file=$file,format=raw,if=none,id=d$letter,cache=unsafe,discard=unmap"
			-device "virtio-blk-pci,drive=d$letter")
		letter=$((letter + 1))
	done
	# shellcheck disable=SC2034 # for qemu_start
	qemu_append="$(case_values "$script" append) $append"
	qemu_start "$qemu_accel" "$kernel_image" "$work_dir/initramfs" "$log" \
		-m "$(case_value "$script" memory 512)" -smp "$cpus" "${arguments[@]}" || return 2
	if ! qemu_wait "$limit"; then
		qemu_dump "$log"
		qemu_kill
		return 1
	fi
	qemu_kill
}
