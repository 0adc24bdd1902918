# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Debian's tcmu-runner as a host-managed zoned disk: its handler file_zbc keeps the zones in a file
# and is reached through the kernel's SCSI target, with a loopback as the transport.
#
#	#@ debs: tcmu-runner=tcmu-runner,handler_file_zbc.so dbus-daemon=dbus-daemon
#	#@ programs: depmod
#	#@ packages: kmod
#	#@ modules: target_core_user tcm_loop sd_mod
#
# The paths are the kernel's (Documentation/target/tcmu-design.rst); no targetcli is needed.

tcmu_log=/var/log/tcmu-runner.log
tcmu_target=/sys/kernel/config/target
tcmu_pid=
tcmu_disk=
tcmu_disks=0

# tcmu-runner won't go on without a system bus, where it may own a name.
tcmu_start_bus() {
	cat >/run/dbus.conf <<-'EOF'
		<busconfig>
			<type>system</type>
			<listen>unix:path=/run/dbus/system_bus_socket</listen>
			<auth>EXTERNAL</auth>
			<policy context="default">
				<allow user="*"/>
				<allow own="*"/>
				<allow send_destination="*"/>
				<allow receive_sender="*"/>
			</policy>
		</busconfig>
	EOF
	mkdir -p /run/dbus /var
	[ -e /var/run ] || ln -s /run /var/run
	dbus-daemon --config-file=/run/dbus.conf --nofork --nopidfile &
	wait_until 20 test -S /run/dbus/system_bus_socket
}

tcmu_is_ready() { grep -qs 'name org.kernel.TCMUService1 acquired' "$tcmu_log"; }
tcmu_is_ready_or_gone() { tcmu_is_ready || has_ended "$tcmu_pid"; }

# What a machine has already: configfs, a system bus, and places for logs and locks.
tcmu_prepare() {
	! is_mounted /sys/kernel/config || return 0 # so it has been
	mount -t configfs configfs /sys/kernel/config || return
	index_modules && tcmu_start_bus || return
	mkdir -p /var/log /run/lock /etc/tcmu
	# One more would log every command.
	echo 'log_level = 4' >/etc/tcmu/tcmu.conf
}

# tcmu_start [PREFIX...]: tcmu-runner, as PREFIX's command when there is one (which has to exec it,
# so that tcmu_pid is tcmu-runner's). 0 once it takes devices.
tcmu_start() {
	tcmu_prepare || return
	: >"$tcmu_log"
	"$@" tcmu-runner --handler-path /usr/lib/x86_64-linux-gnu/tcmu-runner &
	tcmu_pid=$!
	if ! wait_until 30 tcmu_is_ready_or_gone || has_ended "$tcmu_pid"; then
		show_tcmu_log
		return 1
	fi
}

show_tcmu_log() { sed 's/^/tcmu-runner.log: /' "$tcmu_log"; }

# The block device on the loopback target $1 (its address is host:channel:id): none until the SCSI
# layer has looked, and asynchronously at that.
tcmu_find_disk() {
	for tcmu_block in "/sys/bus/scsi/devices/$(cat "$1/address"):0/block"/*; do
		tcmu_disk=/dev/${tcmu_block##*/}
	done
	[ -b "$tcmu_disk" ]
}

# tcmu_make_disk FILE SIZE_MB ZONE_MB CONV: a disk with its zones in FILE, the first CONV of them
# conventional; sets tcmu_disk. A FILE that there is already has all this in it: options would have
# the handler format it again.
tcmu_make_disk() {
	tcmu_file=$1 tcmu_size=$(($2 << 20)) tcmu_disk=
	tcmu_config=zbc/model-HM/lba-512/zsize-$3/conv-$4@$tcmu_file
	[ ! -e "$tcmu_file" ] || tcmu_config=zbc/$tcmu_file
	tcmu_device=$tcmu_target/core/user_$tcmu_disks/zbc$tcmu_disks
	tcmu_portal=$tcmu_target/loopback/naa.500140500000000$tcmu_disks/tpgt_1
	tcmu_disks=$((tcmu_disks + 1))

	mkdir -p "$tcmu_device" || return
	# One key a write: the kernel takes a comma for a part of dev_config.
	for tcmu_key in dev_size=$tcmu_size dev_config="$tcmu_config" hw_block_size=512; do
		printf %s "$tcmu_key" >"$tcmu_device/control" || return
	done
	echo 1 >"$tcmu_device/enable" && mkdir -p "$tcmu_portal" || return
	echo "naa.600140500000000$((tcmu_disks - 1))" >"$tcmu_portal/nexus" &&
		mkdir "$tcmu_portal/lun/lun_0" || return
	ln -s "$tcmu_device" "$tcmu_portal/lun/lun_0/port" || return
	wait_until 30 tcmu_find_disk "$tcmu_portal"
}

# tcmu_remove_disk: the last one that was made
tcmu_remove_disk() {
	tcmu_disks=$((tcmu_disks - 1))
	rm "$tcmu_portal/lun/lun_0/port" && rmdir "$tcmu_portal/lun/lun_0" "$tcmu_portal" \
		"${tcmu_portal%/*}" "$tcmu_device"
}

# tcmu_stop: tcmu-runner, once its disks are gone
tcmu_stop() {
	kill -TERM "$tcmu_pid"
	wait_job 60 "$tcmu_pid"
}
