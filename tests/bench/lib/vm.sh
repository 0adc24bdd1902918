# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # run is checked with all its parts
#
# What takes a kernel with modules that this machine may not have: tcmu-runner's file handler, beside
# loop devices on caisson and on ext4, in a virtual machine (vm/tcmu.sh, by tests/vm/run). Emulation
# makes every instruction cost many times as much, so numbers are compared within the guest only.

declare -A vm_title=(
	[loop-ext4]='loop device with direct I/O on ext4'
	[loop-caisson]='loop device with direct I/O on caisson'
	[loop-caisson-writeback]='the same, cache=writeback'
	[tcmu-runner]="tcmu-runner, handler file_zbc, conventional zones"
)

measure_vm() {
	local log said job name round iops kib
	place=vm
	say "vm: tcmu-runner's file handler in a virtual machine, 3 to 10 min"
	rm -rf "$results_dir/vm"
	said=$("$tests_dir/vm/run" --cases "$bench_dir/vm" --build "$build_dir" --results "$results_dir/vm" tcmu) || true
	echo "$said"
	log=$(find "$results_dir/vm" -name 'tcmu-*.log' 2>/dev/null | head -n 1)
	if [[ $said == skip* || -z $log ]]; then
		backend_left_out tcmu-runner "$(sed -n 's/^skip .* s  //p' <<<"$said")"
		return
	fi
	[[ $said == pass* ]] || failures+=("vm: the guest did not end well, see above")
	note type=place name=vm size_mib="$(vm_lines "$log" | sed -n 's/^size //p')" disk=virtio_blk \
		filesystem="ext4 below all" kernel="$(basename "$log" .log | cut -d - -f 2-)" \
		machine="$(awk '/^(pass|fail) / { print $4 }' <<<"$said")"
	for name in loop-ext4 loop-caisson loop-caisson-writeback tcmu-runner; do
		note type=backend place=vm name="$name" state=measured title="${vm_title[$name]}"
	done
	while read -r job name round iops kib; do
		[[ -z $kib ]] || note type=sample place=vm job="$job" backend="$name" kind=loop round="$round" \
			iops="${iops%%.*}" bytes="$((kib * 1024))" seconds=1
	done < <(vm_lines "$log")
}

# vm_lines LOG: what the guest said of its measurements
vm_lines() {
	tr -d '\r' <"$1" | grep -a -o -E 'vm: bench: .*' | sed 's/^vm: bench: //'
}
