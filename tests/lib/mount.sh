# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Backing stores, daemons on them, and loop devices on those; each with its undoing deferred.
#
# The usual frame of a case:
#
#	. "$(dirname "$0")/../lib/mount.sh"
#	make_backing ext4 1G		an image, mounted at $backing
#	serve				caissond -f from $backing at $mnt, ready when this returns
#	...
#	unserve				umount; the daemon must then exit with 0

. "$(dirname "${BASH_SOURCE[0]}")/case.sh"

: "${scratch:?}"
((!EUID)) || skip "needs root, to mount"
backing=$scratch/backing
mnt=$scratch/mnt

# by mountpoint: the daemon (the keeper), and the reader of its messages
declare -A daemon_pid=() daemon_reader=() daemon_chaos=()
daemon_count=0
daemon_log=$scratch/caissond.log

# --- loop devices and backing stores ---

declare -A loop_seq=() # by device: diskseq, by which the kernel tells what it was attached to in turn

# loop_is_free DEVICE: it is attached to nothing; or to something of another case, since attach()
loop_is_free() {
	local dir=/sys/block/${1#/dev/}
	[[ ! -e $dir/loop/backing_file || ${loop_seq[$1]-$(<"$dir/diskseq")} != "$(<"$dir/diskseq")" ]]
}

# attach FILE [LOSETUP-OPTION...]: sets $loop
attach() {
	local file=$1
	shift
	[[ -e /dev/loop-control ]] || skip "no loop devices: /dev/loop-control is missing"
	loop=$(losetup --find --show "$@" "$file")
	loop_seq[$loop]=$(<"/sys/block/${loop#/dev/}/diskseq")
	defer detach "$loop"
}

# losetup -d only marks a device that something, such as udev, has open: wait for it. Idempotent.
detach() {
	loop_is_free "$1" || losetup -d "$1"
	wait_until 15 loop_is_free "$1"
}

# mount_loop DEVICE DIR [MOUNT-OPTION...]
mount_loop() {
	local device=$1 dir=$2
	shift 2
	mkdir -p "$dir"
	mount "$@" "$device" "$dir"
	defer unmount "$dir"
}

# unmount DIR: when it is mounted. One that doesn't come back, or is busy, is torn off.
unmount() {
	mountpoint -q "$1" 2>/dev/null || is_in_mountinfo "$1" || return 0
	umount "$1" &
	local pid=$!
	if wait_until 60 process_is_gone "$pid" && wait "$pid"; then
		return 0
	fi
	say "FAILED: umount $1" >&2
	umount -l "$1"
	return 1
}

declare -A mkfs_options=([ext4]='-q -F -b 4096' [xfs]='-q -f' [btrfs]='-q -f')

make_filesystem() {
	local type=$1
	type -P "mkfs.$type" >/dev/null || skip "mkfs.$type is missing"
	# shellcheck disable=SC2086 # options, one a word
	"mkfs.$type" ${mkfs_options[$type]} "$2"
}

# make_backing TYPE SIZE [DIR]: a new filesystem in a sparse image, mounted at DIR ($backing)
make_backing() {
	local type=$1 size=$2 dir=${3:-$backing} image=${3:-$backing}.image
	grep -qw "$type" /proc/filesystems || modprobe -q "$type" ||
		skip "the kernel has no $type"
	truncate -s "$size" "$image"
	make_filesystem "$type" "$image"
	attach "$image" --direct-io=on
	mount_loop "$loop" "$dir" -t "$type"
}

# make_failing_backing DIR: an ext4 at $backing of which new blocks can't be written once the
# filesystem at DIR is full: its disk is a loop device on a sparse file there
make_failing_backing() {
	make_backing ext4 64M "$1"
	# one block group without a journal: after the first write, only data needs space below
	truncate -s 100M "$1/image"
	mkfs.ext4 -q -F -b 4096 -O ^has_journal -E lazy_itable_init=0,nodiscard "$1/image"
	attach "$1/image" --direct-io=off
	mount_loop "$loop" "$backing" -t ext4
}

# waits_for_thaw PID: a thread of it waits for a frozen filesystem. The stack tells: a task is in
# state D for a moment for other reasons too.
waits_for_thaw() { grep -qsE 'percpu_rwsem|percpu_down|sb_start_write' /proc/"$1"/task/*/stack; }

# overlay_sbin: what is put into $helpers is in /sbin, too, where mount(8) and umount(8) look for
# helpers. For a case in a mount namespace of its own, so that the machine's /sbin stays as it is.
overlay_sbin() {
	local sbin
	sbin=$(readlink -f /sbin)
	helpers=$scratch/sbin
	mkdir -p "$helpers" "$scratch/work"
	mount -t overlay -o "lowerdir=$sbin,upperdir=$helpers,workdir=$scratch/work" overlay "$sbin" ||
		skip "no overlay mount over $sbin"
	defer umount -l "$sbin"
}

# --- the daemon ---

# Bit 24 of the effective set: needed to mark tasks as I/O flushers.
can_mark() {
	local caps
	caps=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
	((0x$caps >> 24 & 1))
}

# daemon_options OPTIONS: with what this machine needs to serve at all, and what tests/run adds
daemon_options() {
	local options=$1
	[[ $options == *io_flusher=* ]] || can_mark || options+=,io_flusher=off
	# the sanitizers' run-time makes mlockall do nothing
	[[ -z ${CAISSON_SANITIZER:-} ]] || options+=,mlock=off
	options+=${CAISSON_TEST_OPTIONS:+,$CAISSON_TEST_OPTIONS}
	options+=${CAISSON_CHAOS:+,recovery=on,recoveries=100000}
	echo "${options#,}"
}

# The ready line, or the end of the daemon: both come through the pipe, so there is no polling.
read_until_ready() {
	local fd=$1 line
	while read -r -t "${CAISSON_READY_TIMEOUT:-60}" -u "$fd" line; do
		echo "$line" | tee -a "$daemon_log"
		[[ $line != 'caissond: serving '* ]] || return 0
	done
	return 1
}

# serve [BACKING [MOUNTPOINT [OPTIONS [PREFIX-COMMAND...]]]]: returns when it is ready. Needs
# /dev/fuse, and fails the case when the daemon doesn't start.
serve() {
	local from=${1:-$backing} at=${2:-$mnt} options fifo fd pid
	options=$(daemon_options "${3:-}")
	shift $(($# < 3 ? $# : 3))
	[[ -c /dev/fuse ]] || skip "/dev/fuse is missing"
	mkdir -p "$at"
	fifo=$scratch/messages.$((++daemon_count))
	mkfifo "$fifo"
	"$@" "$CAISSOND" -f ${options:+-o "$options"} "$from" "$at" 2>"$fifo" &
	pid=$!
	keep_pid["$pid"]=1
	exec {fd}<"$fifo"
	rm "$fifo"
	if ! read_until_ready "$fd"; then
		kill -KILL "$pid" 2>/dev/null || true
		abort_connection "$at" || true
		fail "caissond is not serving $at"
	fi
	# ends when the last process of the daemon has: its stderr is the pipe
	tee -a "$daemon_log" <&"$fd" &
	daemon_reader[$at]=$!
	# shellcheck disable=SC2034 # for case.sh
	keep_pid["$!"]=1
	exec {fd}<&-
	daemon_pid[$at]=$pid
	defer daemon_cleanup "$at"
	[[ -z ${CAISSON_CHAOS:-} ]] || begin_chaos "$at"
}

# CAISSON_CHAOS=MS: each server is killed after MS milliseconds, and its heir, and so on, until
# unserve. Clients must not notice.
begin_chaos() {
	local keeper=${daemon_pid[$1]} pause fd
	pause=$(printf '%d.%03d' $((CAISSON_CHAOS / 1000)) $((CAISSON_CHAOS % 1000)))
	mkfifo "$scratch/calm.$daemon_count"
	exec {fd}<>"$scratch/calm.$daemon_count"
	# until end_chaos writes to the pipe
	while ! read -r -t "$pause" -u "$fd" && ! process_is_gone "$keeper"; do
		pkill -KILL -o -P "$keeper" || true
	done &
	daemon_chaos[$1]="$! $fd"
	# shellcheck disable=SC2034 # for case.sh
	keep_pid["$!"]=1
}

# end_chaos MOUNTPOINT: returns when the last heir serves
end_chaos() {
	local pid fd
	[[ -v daemon_chaos[$1] ]] || return 0
	read -r pid fd <<<"${daemon_chaos[$1]}"
	unset "daemon_chaos[$1]"
	echo >&"$fd"
	wait "$pid" || true
	exec {fd}>&-
	stat -f "$1" >/dev/null
}

# fewest_fds PID: how many descriptors the keeper and its servers, which share them, keep open. A
# server has some more for a moment when it looks at its own tasks; so the fewest of some counts.
fewest_fds() {
	local i fds
	for ((i = 0; i < 20; i++)); do
		fds=("/proc/$1/fd/"*)
		echo "${#fds[@]}"
		sleep 0.05
	done | sort -n | head -n 1
}

# server_pid [MOUNTPOINT]: the child of the keeper, which has the threads
server_pid() {
	local at=${1:-$mnt} pid
	pid=$(pgrep -o -P "${daemon_pid[$at]}" || true) # a spare is younger
	echo "${pid:-${daemon_pid[$at]}}"
}

# daemon_has_ended MOUNTPOINT: every process of it
daemon_has_ended() { process_is_gone "${daemon_reader[$1]}"; }

# await_daemon [MOUNTPOINT [STATUS]]: it is ending; all of it must be gone soon, with STATUS (0)
await_daemon() {
	local at=${1:-$mnt} wanted=${2:-0} status=0
	wait_until "${CAISSON_END_TIMEOUT:-30}" daemon_has_ended "$at" ||
		fail "caissond on $at has not ended"
	wait "${daemon_pid[$at]}" || status=$?
	forget_daemon "$at"
	((status == wanted)) || fail "caissond on $at ended with status $status, not $wanted"
}

forget_daemon() {
	unset "daemon_pid[$1]" "daemon_reader[$1]"
}

# holders MOUNTPOINT: the processes that have something of it open, and what
holders() {
	local id
	id=$(awk -v at="$1" '$5 == at { print $1 }' /proc/self/mountinfo)
	grep -lsE "^mnt_id:[[:space:]]+${id:-none}$" /proc/[0-9]*/task/[0-9]*/fdinfo/* || true
	find /proc/[0-9]*/cwd /proc/[0-9]*/root -lname "$1*" 2>/dev/null || true
}

# umount_idle [OPTION...] DIR: umount(8) of what the case has let go of. A neighbour that looks at each
# mount there is, as mkfs.xfs and df do, holds each for a moment.
umount_idle() {
	wait_until 10 try_umount "$@" || fail "$umount_said, held by: $(holders "${!#}")"
}
try_umount() { umount_said=$(LC_ALL=C umount "$@" 2>&1); }

# unserve [MOUNTPOINT]
unserve() {
	local at=${1:-$mnt}
	end_chaos "$at"
	umount_idle "$at"
	await_daemon "$at"
	! is_in_mountinfo "$at" || fail "$at is still mounted"
}

# What a failed case leaves: asks nicely, then aborts the connection, so that nothing can hang.
daemon_cleanup() {
	local at=$1 pid
	[[ -v daemon_pid[$at] ]] || return 0
	pid=${daemon_pid[$at]}
	end_chaos "$at" || true
	umount "$at" 2>/dev/null &
	wait_until 10 process_is_gone $! || true
	if is_in_mountinfo "$at"; then
		abort_connection "$at" || true
		umount -l "$at" || true
	fi
	if ! wait_until 10 daemon_has_ended "$at"; then
		say "FAILED: caissond on $at does not end" >&2
		for pid in $(pgrep -P "$pid") "$pid"; do
			kill -KILL "$pid" 2>/dev/null
		done
		return 1
	fi
	wait "$pid" || say "caissond on $at ended with status $?"
	forget_daemon "$at"
}

# tell_tasks PID: what it, those below it, and their threads wait for in the kernel
tell_tasks() {
	local task child
	for task in "/proc/$1/task/"*; do
		echo "waits: $1 $(<"$task/comm"):" "$(sed -n 's/.* \(.*\)+.*/\1/p' "$task/stack" | head -n 4 | xargs)"
	done 2>/dev/null
	for child in $(pgrep -P "$1" || true); do
		tell_tasks "$child"
	done
}

# ends_within SECONDS PID: that process; if it doesn't, it says what this one and the daemons wait for
ends_within() {
	local pid
	wait_until "$1" process_is_gone "$2" && return
	for pid in "${daemon_pid[@]}" "$2"; do
		tell_tasks "$pid"
	done
	return 1
}

# --- what the kernel knows ---

# Paths of tests have no blanks, so nothing is escaped. Does not touch the mount, which may hang.
is_in_mountinfo() {
	awk -v at="$1" '$5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# connection_of MOUNTPOINT: number of its FUSE connection, the minor of the device
connection_of() {
	awk -v at="$1" '$5 == at { sub(".*:", "", $3); dev = $3 } END { if (dev != "") print dev; exit dev == "" }' \
		/proc/self/mountinfo
}

# connection_dir MOUNTPOINT: its directory of fusectl
connection_dir() {
	local number control=/sys/fs/fuse/connections
	number=$(connection_of "$1") || return 1
	[[ -e $control/$number ]] || mount -t fusectl fusectl "$control" || return 1
	echo "$control/$number"
}

abort_connection() {
	local dir
	dir=$(connection_dir "$1") && echo 1 >"$dir/abort"
}

# blocks FILE: 512-byte blocks allocated
blocks() { stat -c %b "$1"; }

# What the daemon agreed on with the kernel, as its status has it: probed by use, not by version.
need_feature() {
	local text
	text=$("$CAISSON" status "$mnt")
	grep -qw "$1" <<<"$text" || skip "the kernel has no FUSE feature $1"
}

# status_total KEY: a counter of the daemon, summed up over its queues
status_total() {
	"$CAISSON" status "$mnt" --json | python3 -c '
import json, sys
def total(node):
    if isinstance(node, dict):
        return sum(v if k == sys.argv[1] else total(v) for k, v in node.items())
    return sum(map(total, node)) if isinstance(node, list) else 0
print(total(json.load(sys.stdin)))' "$1"
}
