# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Starting, watching and ending the daemon under test. One daemon at a time; its stderr is
# /run/caissond.log.

caissond_log=/run/caissond.log
caissond_pid=
audit_table=/run/audit.txt

is_mounted() { grep -q "^[^ ]* $1 " /proc/self/mounts; }
is_not_mounted() { ! is_mounted "$1"; }

# The disk that the case asked for, as the backing store's filesystem at /backing.
mount_backing() {
	must "mkfs.ext4 on the backing disk" mkfs.ext4 -q -F "${1:-/dev/vda}"
	must "mount the backing disk" mount -t ext4 "${1:-/dev/vda}" /backing
}

is_ready_or_gone() {
	grep -q '^caissond: serving ' "$caissond_log" || has_ended "$caissond_pid"
}

# start_caissond BACKING MOUNTPOINT [ARGUMENT...]: 0 when it serves; its status when it ended.
start_caissond() {
	start_backing=$1 start_mountpoint=$2
	shift 2
	mkdir -p "$start_mountpoint"
	: >"$caissond_log"
	caissond -f "$@" "$start_backing" "$start_mountpoint" 2>"$caissond_log" &
	caissond_pid=$!
	if ! wait_until 60 is_ready_or_gone; then
		show_caissond_log
		say "caissond is neither ready nor gone after 60 s"
		return 124
	fi
	if has_ended "$caissond_pid"; then
		show_caissond_log
		wait "$caissond_pid"
		return
	fi
	is_mounted "$start_mountpoint"
}

log_tells() { grep -q "$1" "$caissond_log"; }
show_caissond_log() { sed 's/^/caissond.log: /' "$caissond_log"; }

# stop_caissond SECONDS: SIGTERM, and the daemon's exit status (124: it didn't end).
stop_caissond() {
	kill -TERM "$caissond_pid"
	wait_job "$1" "$caissond_pid"
}

# The keeper and what it made: every process of the daemon, one PID a line.
caissond_processes() {
	echo "$caissond_pid"
	for child_list in /proc/"$caissond_pid"/task/*/children; do
		tr ' ' '\n' <"$child_list" | grep . || true
	done
}

# One line a task, `PID TID minflt majflt`: fields 10 and 12 of stat (proc_pid_stat(5)).
caissond_faults() {
	for faults_pid in $(caissond_processes); do
		for faults_stat in /proc/"$faults_pid"/task/*/stat; do
			sed 's/^\([0-9]*\) (.*) /\1 /' "$faults_stat" 2>/dev/null |
				while read -r tid _ _ _ _ _ _ _ minflt _ majflt _; do
					echo "$faults_pid $tid $minflt $majflt"
				done
		done
	done | sort
}

# faults_stand_still BEFORE AFTER: no task that is in both listings took a page fault in between.
# io-wq workers that came or went are not in both.
faults_stand_still() {
	awk 'NR == FNR { before[$1 " " $2] = $3 " " $4; next }
		($1 " " $2) in before {
			seen++
			if (before[$1 " " $2] != $3 " " $4) {
				print "task " $2 ": faults " before[$1 " " $2] " -> " $3 " " $4
				bad = 1
			}
		}
		END { exit bad || !seen }' "$1" "$2"
}

# audit_is_green WHAT MOUNTPOINT: caisson's own audit, and the same question put to the kernel by
# hand: both flags, 0x80000 and 0x100000, in field 9 of every task's stat.
audit_is_green() {
	if caisson audit "$2" >"$audit_table" 2>&1; then
		ok "audit $1"
	else
		fail "audit $1 (status $?)"
	fi
	sed 's/^/audit: /' "$audit_table"
	audit_unmarked=$(unmarked_tasks | tr '\n' ' ')
	if [ -z "$audit_unmarked" ]; then
		ok "flags $1"
	else
		fail "flags $1: unmarked: $audit_unmarked"
	fi
}

# audit_tells PATTERN: of the table that audit_is_green showed last
audit_tells() { grep -q "$1" "$audit_table"; }

unmarked_tasks() {
	for unmarked_pid in $(caissond_processes); do
		for unmarked_stat in /proc/"$unmarked_pid"/task/*/stat; do
			sed 's/^\([0-9]*\) (\(.*\)) /\1 /' "$unmarked_stat" 2>/dev/null
		done
	done | while read -r tid state _ _ _ _ _ flags _; do
		case $state in Z | X) continue ;; esac
		[ $((flags & 0x180000)) -eq $((0x180000)) ] || echo "$tid"
	done
}
