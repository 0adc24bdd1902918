# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The server of a caisson mount with recovery=on is killed again and again, while a verified load of
# depth 32 runs on XFS or ext4 on a loop device on the mount. Each time at least 8 requests are in
# flight. The load sees a pause, no error and no wrong byte; every task of every heir is marked and
# locked; and the filesystem is clean. In the red arm there is no recovery: one kill, and the load
# fails.
#
#@ title: XFS or ext4 on loop (direct I/O), the server killed under load
#@ build: caissond caisson lab-watch
#@ programs: mkfs.ext4 mkfs.xfs e2fsck xfs_repair fio
#@ packages: e2fsprogs xfsprogs fio util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 2G
#@ memory: 768
#@ limit: 120
#@ pause: 20
#@ control: fails
#@ arm: green caisson lab_options=recovery=on,recoveries=10000,transport=dev lab_kills=10
#@ arm: green ext4 lab_fs=ext4 lab_options=recovery=on,recoveries=10000,transport=dev lab_kills=10
#@ arm: red no-recovery lab_options=recovery=off,transport=dev lab_kills=1
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh
: "${lab_kills:=1}" "${lab_fs:=xfs}" "${audit_table:=}"

# fio_pass PASS [ARGUMENT...]: the same PASS has the same pattern, so that it can be verified again. It
# submits in batches, or an emulated guest of one CPU has hardly ever 8 requests in flight.
fio_pass() {
	fio_seed=$1
	shift
	fio --name=load --filename=/mnt/load --size=16m --rw=randwrite --bs=4k --ioengine=libaio \
		--iodepth=32 --iodepth_batch=16 --iodepth_batch_complete_min=16 --direct=1 \
		--randseed="$fio_seed" --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
		--eta=never "$@" >/run/fio.log 2>&1 && return
	fio_status=$?
	cat /run/fio.log
	return "$fio_status"
}

# load: passes over one file, each verified as it goes, until all kills are done
load() {
	load_pass=0
	until [ -e /run/kills-done ]; do
		load_pass=$((load_pass + 1))
		echo "$load_pass" >/run/pass
		fio_pass "$load_pass" --verify_backlog=256 || return
	done
}
verify() { fio_pass "$(cat /run/pass)" --verify_only; }

# --- the kills ---

connection() {
	awk -v at="$lab_served" '$5 == at { sub(/.*:/, "", $3); print $3 }' /proc/self/mountinfo
}
has_heir() {
	heir=$(lab_server_pid)
	[ -n "$heir" ] && [ "$heir" != "$server" ]
}
# takeover_value LABEL: a number of `caisson status`
takeover_value() { caisson status "$lab_served" | sed -n "s/^$1  *\([0-9]*\)\$/\1/p"; }

# kill_busy: kills the server when at least 8 requests are in flight; sets in_flight. Between the last
# look and the kill it starts no process and writes nothing to the console, which is slow. Now and
# then it sleeps: the guest has one CPU.
kill_busy() {
	busy_looks=0
	until read -r in_flight <"$waiting_file" && [ "$in_flight" -ge 8 ]; do
		busy_looks=$((busy_looks + 1))
		[ "$busy_looks" -lt 10000 ] || return
		[ $((busy_looks % 10)) -ne 0 ] || sleep 0.05
	done
	kill -KILL "$server"
}

ask_mount() { stat -f "$lab_served" >/dev/null && : >/run/answered; }
is_answered() { [ -e /run/answered ]; }

is_marked() {
	caisson audit "$lab_served" >"$audit_table" 2>&1 && [ -z "$(unmarked_tasks)" ] && return
	sed 's/^/audit: /' "$audit_table"
	return 1
}

kill_server() {
	kill_n=$((kill_n + 1))
	must "kill $kill_n: the load is on" is_running "$lab_load_pid"
	server=$(lab_server_pid)
	must "kill $kill_n: a server with 8 requests in flight" kill_busy
	say "kill $kill_n: server $server, $in_flight requests in flight"
}

# await_heir: a request of a client is answered, by an heir whose tasks are all marked and locked
await_heir() {
	rm -f /run/answered
	ask_mount &
	must "kill $kill_n: a client is answered" wait_until 60 is_answered
	wait $!
	must "kill $kill_n: by an heir" wait_until 30 has_heir
	check "kill $kill_n: all its tasks are marked and locked" is_marked
}

lab_meanwhile() {
	kill_n=0
	while [ "$kill_n" -lt "$lab_kills" ]; do
		kill_server
		! is_green || await_heir
	done
	: >/run/kills-done
}

lab_prepare 512
lab_serve
lab_mount_fusectl
waiting_file=/sys/fs/fuse/connections/$(connection)/waiting
lab_loop_stack "$lab_fs"
lab_watch loop0
lab_run load

if is_green; then
	show_caissond_log
	caisson status "$lab_served"
	check "takeovers: $lab_kills" [ "$(takeover_value takeovers)" -eq "$lab_kills" ]
	check "heirs had requests to answer" [ $(($(takeover_value 'requests done again') +
		$(takeover_value 'answers sent again'))) -ge "$lab_kills" ]
	check "none was refused" [ "$(takeover_value 'requests refused')" -eq 0 ]
	lab_pauses >/run/pauses
	check "pauses in the log: $lab_kills" [ "$(wc -l </run/pauses)" -eq "$lab_kills" ]
	tell "note $lab_kills kills with 8 requests in flight or more:" \
		"$(takeover_value 'requests done again') done again, $(takeover_value 'answers sent again') answered again;" \
		"pause: $(median_and_worst </run/pauses)"
	tell "pauses $(tr '\n' ' ' </run/pauses)"
fi

lab_down() {
	case $lab_fs in
	xfs) check "XFS is clean" xfs_repair -n /dev/loop0 ;;
	ext4) check "ext4 is clean" e2fsck -f -n /dev/loop0 ;;
	esac
	must "detach the loop device" losetup -d /dev/loop0
}
lab_verify verify
