# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# One QEMU at a time: starting it, waiting for its end, and ending it for certain.

: "${work_dir:?}" "${cache_dir:?}"

qemu_pid=
qemu_append= # more for the kernel's command line
qemu_accel=  # kvm or tcg, once qemu_probe_kvm was asked
# Emulated guests with two CPUs crash now and then on a loaded machine, so TCG gets one.
declare -A qemu_accel_arguments=(
	[kvm]='-accel kvm -cpu host'
	[tcg]='-accel tcg,thread=multi -cpu max'
)

# qemu_path PATH: in the value of -drive, where a comma ends a part
qemu_path() { printf %s "${1//,/,,}"; }

# qemu_start ACCEL KERNEL INITRD LOG ARGUMENT...: starts a guest whose console goes to LOG and
# whose monitor is the descriptor qemu_monitor. The guest dies with this shell.
qemu_start() {
	local accel=$1 kernel=$2 initrd=$3 log=$4 fifo=$work_dir/monitor append accel_arguments
	shift 4
	# A panic ends the guest at once (-no-reboot). Soft lockups mean nothing where the host's
	# scheduler stops the CPU. tsc and lpj spare calibration; nothing here needs mitigations.
	append="console=ttyS0,115200 panic=-1 printk.devkmsg=on cryptomgr.notests mitigations=off"
	[[ $accel == kvm ]] || append+=" nowatchdog tsc=reliable lpj=4000000 random.trust_cpu=on"
	read -ra accel_arguments <<<"${qemu_accel_arguments[$accel]}"

	rm -f "$fifo" && mkfifo "$fifo" || return 1
	exec {qemu_monitor}<>"$fifo"
	: >"$log"
	setpriv --pdeathsig KILL qemu-system-x86_64 -nodefaults -no-user-config -display none \
		-no-reboot -machine q35 "${accel_arguments[@]}" \
		-kernel "$kernel" -initrd "$initrd" -append "$append $qemu_append" \
		-serial "file:$log" -monitor stdio "$@" \
		<&"$qemu_monitor" >"$log.qemu" 2>&1 &
	qemu_pid=$!
}

# qemu_clock_is_right LOG: of the guest that has this console. On a busy machine its kernel may take an
# emulated timer for the truth, and be wrong by a factor of 25. It says when the two it compares differ.
qemu_clock_is_right() { ! grep -qa 'tsc: PIT calibration deviates' "$1"; }

# qemu_wait SECONDS: 0 when the guest ended by itself within the time.
qemu_wait() {
	local timer status=0
	# Both are children: whichever ends first.
	sleep "$1" &
	timer=$!
	wait -n "$qemu_pid" "$timer" 2>/dev/null
	! kill -0 "$qemu_pid" 2>/dev/null || status=1
	kill "$timer" 2>/dev/null
	wait "$timer" 2>/dev/null
	return "$status"
}

# The end of a guest, whatever state it is in; by its PID.
qemu_kill() {
	[[ -n $qemu_pid ]] || return 0
	local try pid=$qemu_pid
	qemu_pid=
	kill -9 "$pid" 2>/dev/null
	for ((try = 0; try < 50; try++)); do
		# A zombie is dead; wait collects it. One that is gone has no state at all.
		if [[ $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) =~ ^([ZX]|$) ]]; then
			wait "$pid" 2>/dev/null
			break
		fi
		sleep 0.1
	done
	exec {qemu_monitor}>&-
	((try < 50)) || warn "QEMU (process $pid) does not die"
}

# log_settles LOG SECONDS: waits until the log has stopped growing for two seconds, no longer
# than SECONDS.
log_settles() {
	local log=$1 end=$((SECONDS + $2)) size=-1 now quiet=0
	while ((SECONDS < end && quiet < 4)); do
		sleep 0.5
		now=$(stat -c %s "$log")
		((now == size)) && ((quiet++))
		((now == size)) || quiet=0
		size=$now
	done
}

# qemu_dump LOG: has the guest's kernel write into its log what its tasks wait for: blocked tasks,
# what runs on the CPUs, memory, all tasks. Works from the outside, so also when userland is stuck.
qemu_dump() {
	local log=$1 key
	for key in w l m t; do
		kill -0 "$qemu_pid" 2>/dev/null || return 0
		echo "sendkey alt-sysrq-$key" >&"$qemu_monitor"
		log_settles "$log" 20
	done
	# Should even the kernel not answer: where its CPUs are.
	echo "info registers -a" >&"$qemu_monitor"
	log_settles "$log.qemu" 4
}

# Whether KVM works here: a machine can have /dev/kvm, and guests that never get anywhere. So it is
# tried with a kernel and an init that says one word; the answer holds until the next boot.
qemu_probe_kvm() {
	local kernel=$1 memo log=$work_dir/kvm.log
	qemu_accel=tcg
	[[ -r /dev/kvm && -w /dev/kvm ]] || return 0
	memo=$cache_dir/kvm-$(</proc/sys/kernel/random/boot_id)
	if [[ ! -e $memo ]]; then
		qemu_hello_initramfs "$work_dir/hello.cpio" || return 1
		qemu_append=quiet
		qemu_start kvm "$kernel" "$work_dir/hello.cpio" "$log" -m 256 || return 1
		qemu_wait 12
		qemu_kill
		rm -f "$cache_dir"/kvm-*
		if grep -q 'vm: hello' "$log"; then
			echo kvm >"$memo"
		else
			note "KVM is there but does not run a guest: using emulation"
			echo tcg >"$memo"
		fi
	fi
	# shellcheck disable=SC2034 # an output
	qemu_accel=$(<"$memo")
}

qemu_hello_initramfs() {
	local dir=$work_dir/hello
	mkdir -p "$dir" || return 1
	cp "$(type -P busybox)" "$dir/busybox"
	cat >"$dir/init" <<-'END'
		#!/busybox sh
		echo "vm: hello"
		/busybox poweroff -n -f
	END
	chmod +x "$dir/init"
	(cd "$dir" && find . | cpio -o -H newc -R 0:0 --quiet) >"$1"
}
