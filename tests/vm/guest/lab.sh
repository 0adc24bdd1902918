# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# What the lab's scenarios (tests/vm/lab) are written with. A scenario builds one stack and puts one
# load on it; the arm says who serves. From the kernel's command line:
#
#	lab_kind	green (must finish, verified), red (must not), probe (whatever comes is noted)
#	lab_handler	caisson (default), naive, or what the scenario knows besides
#	lab_options	caissond's -o
#	lab_mark	naive: early or late; lab_threads: how many; lab_direct=1: O_DIRECT below;
#			lab_no_sync=1: fsync is swallowed
#	lab_limit	seconds that the load may take
#	lab_chaos	caissond's server is killed after that many seconds, and so is each heir that serves
#
# What the host reads from the console, each line with the kernel's time in front:
#
#	lab: load start / lab: load end STATUS / lab: load stuck
#	lab: sample ... / lab: stack ... / lab: stacks ...	of lab-watch
#	lab: note TEXT						shown beside the arm's outcome
#	caisson: ...						of `caisson watch`, which names what hangs
: "${lab_kind:=green}" "${lab_handler:=caisson}" "${lab_options:=}" "${lab_limit:=120}"
: "${lab_mark:=}" "${lab_stall:=10}" "${lab_threads:=1}" "${lab_direct:=}" "${lab_no_sync:=}" "${lab_chaos:=}"
: "${caissond_pid:=}" "${caissond_log:=}" # set by caissond.sh

lab_below=/dev/vda       # what the filesystem below is on
lab_store=/backing/store # what is served
lab_served=/run/store    # where
lab_image=$lab_served/disk.img
lab_upper=/mnt # the filesystem on top
lab_pid=       # of the handler
lab_watch_pid=

tell() { echo "lab: $*" >/dev/kmsg; }
is_green() { [ "$lab_kind" = green ]; }

# As systemd does. It tells how many requests a mount has for which no task waits.
lab_mount_fusectl() { must "fusectl" mount -t fusectl fusectl /sys/fs/fuse/connections; }

# --- the handler ---

# lab_prepare MIB: the filesystem below, with an image in it
lab_prepare() {
	mount_backing "$lab_below"
	mkdir -p "$lab_store" "$lab_served"
	truncate -s "$1M" "$lab_store/disk.img"
}

naive_is_ready() { grep -q '^naive: serving' /run/naive.log || has_ended "$lab_pid"; }
start_naive() {
	: >/run/naive.log
	# shellcheck disable=SC2086 # options, a word each
	naive --lock --threads "$lab_threads" ${lab_direct:+--direct} ${lab_no_sync:+--no-sync} \
		${lab_mark:+$([ "$lab_mark" = late ] && echo --late-mark || echo --mark)} \
		"$lab_store/disk.img" "$lab_served" 2>/run/naive.log &
	lab_pid=$!
	wait_until 30 naive_is_ready
	sed 's/^/naive.log: /' /run/naive.log
	[ -e "$lab_image" ]
}

start_caisson() {
	start_caissond "$lab_store" "$lab_served" ${lab_options:+-o "$lab_options"} || return
	lab_pid=$caissond_pid
	show_caissond_log
}

# lab_serve: starts the arm's handler
lab_serve() {
	must "the handler serves" "start_$lab_handler"
	lab_audit "at the start"
}

# lab_audit WHEN: every task of caisson marked and locked; of a green arm only
lab_audit() {
	if is_green && [ "$lab_handler" = caisson ]; then
		audit_is_green "$1" "$lab_served"
	fi
}

stop_naive() {
	umount "$lab_served" && wait_job 60 "$lab_pid"
}
stop_caisson() { stop_caissond 60; }

# --- the stack above ---

# lab_loop_stack TYPE [LOSETUP-OPTION...]: a filesystem on a loop device on the image, mounted
lab_loop_stack() {
	lab_type=$1
	shift
	lab_loop_options=${*:---direct-io=on}
	lab_attach
	lab_mkfs "$lab_type" /dev/loop0
	lab_mount "$lab_type" /dev/loop0
}
lab_attach() {
	# shellcheck disable=SC2086 # options, a word each
	must "attach the loop device" losetup $lab_loop_options /dev/loop0 "$lab_image"
	case $lab_loop_options in
	*--direct-io=on*) check "it does direct I/O" grep -qx 1 /sys/block/loop0/loop/dio ;;
	esac
}

# What lab_verify takes down and makes anew; a scenario with another stack has its own.
lab_up() {
	lab_attach
	lab_mount "$lab_type" /dev/loop0
}
lab_down() { must "detach the loop device" losetup -d /dev/loop0; }

# lab_mkfs TYPE DEVICE
lab_mkfs() {
	case $1 in
	xfs) must "mkfs.xfs" mkfs.xfs -q -f "$2" ;;
	ext4) must "mkfs.ext4" mkfs.ext4 -q -F "$2" ;;
	btrfs) must "mkfs.btrfs" mkfs.btrfs -q -f "$2" ;;
	esac
}
lab_mount() { must "mount $1" mount -t "$1" "$2" "$lab_upper"; }

# --- memory ---

# lab_dirty_limits MIB [BACKGROUND_MIB]: of dirty page cache, for the whole machine (default: half)
lab_dirty_limits() {
	sysctl -q -w vm.dirty_bytes=$(($1 << 20)) vm.dirty_background_bytes=$(($1 << 19))
	[ $# -lt 2 ] || sysctl -q -w vm.dirty_background_bytes=$(($2 << 20))
}

# lab_pressure MIB: that much anonymous memory is taken for as long as the load runs
lab_pressure() {
	lab-load hold "$1" >/run/hold.log 2>&1 &
	lab_hog_pid=$!
	echo 1000 >/proc/"$lab_hog_pid"/oom_score_adj
	must "take $1 MiB of memory" wait_until 60 grep -q held /run/hold.log
}
lab_end_pressure() {
	kill -9 "$lab_hog_pid"
	wait "$lab_hog_pid"
}

# lab_group DIR: this shell, and what it starts from here on, joins a control group
lab_group() { must "join the group $1" sh -c "echo $$ >$1/cgroup.procs"; }

# --- the death of the server ---

lab_server_pid() { caissond_processes | sed -n 2p; }

# median_and_worst: of the numbers on stdin
median_and_worst() {
	sort -n | awk '{ n[NR] = $1 }
		END { printf "median %d ms, worst %d ms\n", n[int((NR + 1) / 2)], n[NR] }'
}

# lab_pauses: of caisson's takeovers, in milliseconds
lab_pauses() { sed -n 's/.* take over .* done after \([0-9]*\) ms.*/\1/p' "$caissond_log"; }

lab_takeovers() { grep -c ' take over .* done after ' "$caissond_log"; }
lab_has_heir() { [ "$(lab_takeovers)" -gt "$lab_before" ]; }

# An emulated machine may take longer to start a server than lab_chaos: if none came to serve,
# nothing could go on.
lab_begin_chaos() {
	[ -n "$lab_chaos" ] || return 0
	while [ ! -e /run/calm ]; do
		sleep "$lab_chaos"
		lab_before=$(lab_takeovers)
		lab_victim=$(lab_server_pid)
		kill -KILL "$lab_victim"
		tell "kill of server $lab_victim"
		wait_until 60 lab_has_heir || tell "note no heir for 60 s"
	done &
	lab_chaos_pid=$!
}

lab_end_chaos() {
	[ -n "$lab_chaos" ] || return 0
	: >/run/calm
	wait "$lab_chaos_pid"
	must "the last heir answers" run_with_timeout 60 stat -f "$lab_served" >/dev/null
	lab_pauses >/run/pauses
	check "servers were killed" [ "$(wc -l </run/pauses)" -gt 0 ]
	tell "note $(wc -l </run/pauses) kills; pause: $(median_and_worst </run/pauses)"
}

# --- the load ---

lab_namer_has_begun() { dmesg | grep -q 'caisson: watch: begin'; }
# lab_watch DISK [--reads]: DISK's written sectors are the progress, or those read as well
lab_watch() {
	lab_disk=$1
	# shellcheck disable=SC2086 # a process a word
	lab-watch ${2:+"$2"} "$1" $lab_pid &
	lab_watch_pid=$!
	caisson watch --stall "$lab_stall" 2>/dev/kmsg &
	lab_namer_pid=$!
	must "caisson watch begins" wait_until 60 lab_namer_has_begun # before memory becomes short
}
lab_written() { awk '{ print $7 }' "/sys/block/$lab_disk/stat"; }
lab_has_written_more() { [ "$(lab_written)" -gt $((lab_sectors + 8192)) ]; }

# What a scenario does while the load runs: one with anything to do has its own.
lab_meanwhile() { :; }

# lab_run COMMAND...: the load itself, watched. A green arm that doesn't finish it ends here, as
# failed. So does any other, but well: what it comes to the host decides.
lab_run() {
	tell "load start"
	lab_sectors=$(lab_written)
	"$@" &
	lab_load_pid=$!
	if is_green; then
		check "the load arrives" wait_until "$lab_limit" lab_has_written_more
		lab_audit "under load"
	fi
	lab_begin_chaos
	lab_meanwhile
	if ! wait_until "$lab_limit" has_ended "$lab_load_pid"; then
		tell "load stuck"
		show_blocked
		for lab_task_pid in $lab_load_pid $lab_pid; do
			for lab_stack in /proc/"$lab_task_pid"/task/*/stack; do
				echo "--- $lab_stack"
				cat "$lab_stack"
			done
		done
		! is_green || die "the load is not done after $lab_limit s"
		ok "the load was given its time"
		exit 0 # nothing below can be expected to come back
	fi
	wait "$lab_load_pid"
	lab_status=$?
	tell "load end $lab_status"
	! is_green || must "the load" [ "$lab_status" -eq 0 ]
	kill "$lab_watch_pid" "$lab_namer_pid"
	wait "$lab_watch_pid"
	wait "$lab_namer_pid"
	ok "the load ended"
	lab_end_chaos
}

# lab_storm storm|verify-storm FILES: of four writers at once, each in a directory of its own
lab_storm() {
	lab_storm_pids=
	for lab_storm_dir in 1 2 3 4; do
		mkdir -p "$lab_upper/$lab_storm_dir"
		lab-load "$1" "$lab_upper/$lab_storm_dir" "$2" "$lab_storm_dir" &
		lab_storm_pids="$lab_storm_pids $!"
	done
	for lab_storm_pid in $lab_storm_pids; do
		wait "$lab_storm_pid" || return
	done
}

# lab_verify COMMAND...: after dropping caches, and again after everything was taken down and made
# anew, but for the filesystem below. lab_up and lab_down are the scenario's: what is between the
# handler and the filesystem on top. Of a green arm; a red one is through here.
lab_verify() {
	is_green || return 0
	drop_caches
	check "what was written reads back" run_with_timeout "$lab_limit" "$@"
	must "unmount" run_with_timeout 120 umount "$lab_upper"
	lab_down
	lab_audit "at the end"
	must "the handler ends" "stop_$lab_handler"
	must "unmount the backing store" umount /backing
	must "mount it again" mount -t ext4 "$lab_below" /backing
	must "the handler serves again" "start_$lab_handler"
	lab_up
	check "and reads back after remounting everything" run_with_timeout "$lab_limit" "$@"
	must "unmount once more" run_with_timeout 120 umount "$lab_upper"
	lab_down
	must "the handler ends once more" "stop_$lab_handler"
}
