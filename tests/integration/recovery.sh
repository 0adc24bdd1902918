#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With recovery=on the death of a server is a pause. Servers are killed in the middle of verified
# writes on stacked filesystems, each with at least 8 requests in flight: no client gets an error,
# no byte differs, and the filesystems are clean. Open files, files without a name and listings of
# directories go on. The same load without recovery fails.
#
#@ packages: fio e2fsprogs util-linux xfsprogs procps python3
#@ transport: one
#@ timeout: 900
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

kills=10
stop=3
((!${CAISSON_LONG:-0})) || kills=250 stop=60

has_heir() { [[ $(server_pid) != "$server" && $(server_pid) != "${daemon_pid[$mnt]}" ]]; }
# a spare server is there, and not the one with the PID in $1
has_spare() {
	"$CAISSON" status "$mnt" >"$scratch/status"
	grep -q '^recovery  *on$' "$scratch/status" && ! grep -q "^spare pid  *${1:-0}$" "$scratch/status"
}
is_busy() { (($(<"$(connection_dir "$mnt")/waiting") >= 8)); }

# kill_server [SIGNAL]: returns when an heir serves
kill_server() {
	server=$(server_pid)
	kill "-${1:-KILL}" "$server"
	wait_until 30 has_heir
	stat -f "$mnt" >/dev/null
}

# kill_busy: kills the server while at least 8 requests are in flight, which wait until an heir
# answers them
kill_busy() {
	local waiting count=0 end=$((SECONDS + 60))
	waiting=$(connection_dir "$mnt")/waiting
	server=$(server_pid)
	while ((count < 8)); do
		process_is_gone "$load" && fail "fio has ended"
		((SECONDS < end)) ||
			fail "there are never 8 requests in flight; $loop may have $(<"/sys/block/${loop#/dev/}/queue/nr_requests")"
		read -r count <"$waiting"
	done
	kill -KILL "$server"
	read -r count <"$waiting"
	wait_until 30 has_heir
	stat -f "$mnt" >/dev/null
	((count < 8)) || busy=$((busy + 1))
}

# verified TYPE: a verified load on TYPE on a loop device on the mount; sets $load, the PID of fio
verified() {
	truncate -s 400M "$mnt/disk-$1"
	attach "$mnt/disk-$1" --direct-io=on
	make_filesystem "$1" "$loop"
	mount_loop "$loop" "$scratch/$1" -t "$1"
	# shellcheck disable=SC2034
	device[$1]=$loop
	fio --name=load --directory="$scratch/$1" --size=48M --rw=randwrite --bs=4k --ioengine=libaio \
		--iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --verify_backlog=256 \
		--verify_state_save=0 --time_based --runtime=600 --eta=never >"$scratch/fio-$1" 2>&1 &
	load=$!
}

# end_load TYPE: fio ends by SIGINT, with status 128; it must not have found anything wrong
end_load() {
	! process_is_gone "$load" || fail "fio on $1 has ended: $(tail -n 3 "$scratch/fio-$1")"
	kill -INT "$load"
	exits 128 wait "$load"
	! grep -qiE 'verify:|error=' "$scratch/fio-$1" || fail "fio on $1: $(grep -iE 'verify:|error=' "$scratch/fio-$1" | head -n 1)"
	umount_idle "$scratch/$1"
	case $1 in
	ext4) e2fsck -fn "${device[$1]}" >"$scratch/fsck" 2>&1 ;;
	xfs) xfs_repair -n "${device[$1]}" >"$scratch/fsck" 2>&1 ;;
	esac || fail "$1 isn't clean: $(tail -n 3 "$scratch/fsck")"
	detach "${device[$1]}"
}

declare -A device=()
busy=0 # kills with at least 8 requests in flight
make_backing ext4 2G
serve "$backing" "$mnt" transport=dev,recovery=on,recoveries=10000
wait_until 20 has_spare
spare=$(sed -n 's/^spare pid  *//p' "$scratch/status")
"$CAISSON" audit "$mnt" >"$scratch/audit" || true # here it may not be marked
grep -q "^PID $spare " "$scratch/audit" || fail "caisson audit has no spare: $(grep '^PID' "$scratch/audit")"

say "what is open stays open"
mkdir "$mnt/dir"
touch "$mnt/dir/"{1..300}
echo one >"$mnt/file"
exec {file}<>"$mnt/file"
rm "$mnt/file"
exec {dir}<"$mnt/dir"
before=$(stat -Lc '%i %s %Y' "/proc/$BASHPID/fd/$file")
for signal in KILL SEGV BUS ABRT; do
	kill_server "$signal"
	same "$(stat -Lc '%i %s %Y' "/proc/$BASHPID/fd/$file")" "$before" "the file without a name after SIG$signal"
	same "$(cat "/proc/$BASHPID/fd/$file")" one "what is in it"
done
same "$(find "/proc/$BASHPID/fd/$dir/" -type f | wc -l)" 300 "number of files"
exec {file}>&- {dir}<&-
rm -r "$mnt/dir"

say "nothing of it stays: descriptors; also with heirs that weren't started before"
wait_until 20 has_spare
before=$(fewest_fds "${daemon_pid[$mnt]}")
for _ in {1..20}; do
	kill_server
done
wait_until 20 has_spare
same "$(fewest_fds "${daemon_pid[$mnt]}")" "$before" "number of descriptors"

say "a spare dies: another one is started"
spare=$(sed -n 's/^spare pid  *//p' "$scratch/status")
same "$(<"/proc/$spare/comm")" caissond "name of the spare"
kill -KILL "$spare"
wait_until 20 has_spare "$spare"
kill_server
wait_until 20 has_spare
same "$(fewest_fds "${daemon_pid[$mnt]}")" "$before" "number of descriptors"

say "a frozen backing store: the server can't end, and is waited for"
thaw() { fsfreeze --unfreeze "$backing" 2>/dev/null || true; }
wait_until 20 has_spare
server=$(server_pid)
defer thaw
fsfreeze --freeze "$backing"
mkdir "$mnt/waits" &
client=$!
wait_until 20 waits_for_thaw "$server"
kill -KILL "$server"
is_zombie() { grep -qs '^State:.*Z' "/proc/$server/status"; }
wait_until 20 is_zombie
! has_heir || fail "a request of a server that hasn't ended is done again"
thaw
wait_until 30 has_heir
wait "$client"
rmdir "$mnt/waits"
wait_until 20 has_spare

say "a spare that somebody has stopped takes over all the same"
spare=$(sed -n 's/^spare pid  *//p' "$scratch/status")
kill -STOP "$spare"
kill_server

say "a takeover takes no page fault (S4)"
faults() { awk '{ print $10 + $12 }' "/proc/$1/stat"; }
verified ext4
for _ in 1 2 3; do
	wait_until 20 has_spare "$spare"
	spare=$(sed -n 's/^spare pid  *//p' "$scratch/status")
	before=$(faults "$spare")
	kill_busy
	same "$(server_pid)" "$spare" "PID of the heir"
	same "$(faults "$spare")" "$before" "number of page faults"
done
end_load ext4

for type in ext4 xfs; do
	say "$kills kills under a verified load on $type"
	verified "$type"
	busy=0
	for ((i = 0; busy < kills && i < 2 * kills; i++)); do
		kill_busy
	done
	same "$busy" "$kills" "number of kills with 8 requests in flight"
	say "a server that is stopped for $stop seconds is late, and not replaced"
	server=$(server_pid)
	kill -STOP "$server"
	sleep "$stop" # it is the time that matters
	kill -CONT "$server"
	stat -f "$mnt" >/dev/null
	same "$(server_pid)" "$server" "PID of the server"
	end_load "$type"
done
more "$(status_total takeovers)" $((2 * kills)) takeovers
more $(($(status_total takeover_redone) + $(status_total takeover_resent))) "$kills" "requests that died"
same "$(status_total takeover_refused)" 0 "number of requests refused"
"$CAISSON" status "$mnt" | grep -E 'takeover|pause|requests done|answers sent'

say "the keeper dies: unprotected; and then the server: errors, and nothing hangs"
server=$(server_pid)
kill -KILL "${daemon_pid[$mnt]}"
wait "${daemon_pid[$mnt]}" || true
is_unprotected() { "$CAISSON" status "$mnt" | grep -q '^recovery .*no: the keeper has died'; }
wait_until 10 is_unprotected
echo two >"$mnt/file"
kill -KILL "$server"
wait_until 20 process_is_gone "$server"
exits 1 cat "$mnt/file" 2>/dev/null
umount -l "$mnt"
wait_until 20 daemon_has_ended "$mnt"
forget_daemon "$mnt"
same "$(<"$backing/file")" two "what was written"

say "control: without recovery the same load fails"
serve "$backing" "$mnt" transport=dev,recovery=off
verified ext4
wait_until 30 is_busy
kill -KILL "$(server_pid)"
wait_until 60 process_is_gone "$load"
! wait "$load" || fail "fio has found nothing wrong without a server"
await_daemon "$mnt" 2
umount "$scratch/ext4" || umount -l "$scratch/ext4"
detach "${device[ext4]}"
