# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # run is checked with all its parts
#
# The daemons that are measured, whoever wrote them: started in the foreground, known by their PID,
# and ended whatever state they are in. One that hangs is freed by aborting its connection.

declare -A server_pid=() server_at=()

server_log() { echo "$results_dir/logs/$place-$1.log"; }

# Paths have no blanks here, so nothing is escaped.
server_is_mounted() { is_in_mountinfo "$1"; }

# server_is_up NAME: does it answer? caissond says so itself.
server_is_up() {
	local name=$1
	case $name in
	caisson*) grep -q '^caissond: serving ' "$(server_log "$name")" ;;
	*) server_is_mounted "${server_at[$name]}" ;;
	esac
}

server_is_settled() { server_is_up "$1" || process_is_gone "${server_pid[$1]}"; }

# server_launch NAME MOUNTPOINT COMMAND...: 0 when it serves; else 1, and $why is what it said
server_launch() {
	local name=$1 at=$2 log pid
	shift 2
	log=$(server_log "$name")
	[[ $at == */data ]] || mkdir -p "$at"
	echo "+ $*" >"$log"
	"$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	# shellcheck disable=SC2034 # for case.sh
	keep_pid["$pid"]=1
	server_pid[$name]=$pid server_at[$name]=$at
	defer server_end "$name"
	if wait_until 30 server_is_settled "$name" && server_is_up "$name" &&
		timeout -s KILL 20 stat "$at" >/dev/null 2>&1; then
		why=
		return 0
	fi
	why=$(grep -v '^+ ' "$log" | tail -n 1)
	: "${why:=it does not mount, and does not say why}"
	server_end "$name" || true
	return 1
}

# server_tree PID: it and all below it
server_tree() {
	local child
	echo "$1"
	for child in $(pgrep -P "$1" || true); do
		server_tree "$child"
	done
}

# unmount_within SECONDS MOUNTPOINT
unmount_within() {
	local pid
	is_in_mountinfo "$2" || return 0
	umount "$2" 2>/dev/null &
	pid=$!
	wait_until "$1" process_is_gone "$pid" || return 1
	! is_in_mountinfo "$2"
}

# within SECONDS MOUNTPOINT COMMAND...: what waits for that mount for longer is freed; then it has failed
within() {
	local limit=$1 at=$2 pid
	shift 2
	"$@" &
	pid=$!
	if ! wait_until "$limit" process_is_gone "$pid"; then
		echo "not done after $limit s"
		abort_connection "$at" || true
		kill_tree "$pid"
	fi
	wait "$pid"
}

server_free() {
	abort_connection "$1" 2>/dev/null || true
	umount -l "$1" 2>/dev/null || true
}

# server_end NAME: 1 when it had to be forced, or (caissond) did not end well. Idempotent.
server_end() {
	local name=$1 pid at tree status=0 one
	[[ -v server_pid[$name] ]] || return 0
	pid=${server_pid[$name]} at=${server_at[$name]}
	mapfile -t tree < <(server_tree "$pid")
	# QEMU's daemon would stay when its mount is gone
	[[ $name != qemu-fuse ]] || kill -TERM "$pid" 2>/dev/null || true
	if ! unmount_within 20 "$at"; then
		say "$name: does not unmount; its connection is aborted"
		server_free "$at"
		status=1
	fi
	if ! wait_until 20 process_is_gone "$pid"; then
		say "$name: does not end; it is killed"
		for one in "${tree[@]}"; do
			kill -KILL "$one" 2>/dev/null || true
		done
		status=1
	fi
	wait "$pid" || [[ $name != caisson* ]] || status=1
	unset "server_pid[$name]" "server_at[$name]" "keep_pid[$pid]"
	return "$status"
}

# --- what it does ---

# server_has_ring NAME: an io_uring of its own
server_has_ring() {
	[[ -n $(find "/proc/${server_pid[$1]}/fd" -lname '*io_uring*' 2>/dev/null) ]]
}

# server_is_passed_by NAME: what is read of its file does not go through the daemon
server_is_passed_by() {
	local before after
	before=$(server_reads "$1")
	dd if="${target_file[$1]}" of=/dev/null bs=1M count=8 iflag=direct status=none || return 1
	after=$(server_reads "$1")
	((after - before < 4 << 20))
}

# Bytes that it has read, by whatever call
server_reads() { sed -n 's/^rchar: //p' "/proc/${server_pid[$1]}/io"; }
