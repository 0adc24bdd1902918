#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The keeper is killed: its server goes on, without protection. The same command line again goes on
# with that server, under a verified load, and nothing is mounted twice: open files and a file
# without a name stay, and a server that dies has an heir again. What can't be taken over is refused
# in one line, and the server goes on.
#
#@ packages: fio util-linux procps python3
#@ transport: one
#@ timeout: 180
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

value() { "$CAISSON" status --json "$mnt" | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }
has() { [[ $(value "$1" 2>"$scratch/not-yet") == "$2" ]]; }

# lose_keeper: returns when the server knows
lose_keeper() {
	server=$(value pid)
	kill -KILL "${daemon_pid[$mnt]}"
	wait_until 20 has recovery 'no: the keeper has died'
	same "$(value pid)" "$server" "server"
}

# refused WORDS COMMAND...: one line with these words, and the server goes on
refused() {
	local words=$1
	shift
	exits 2 "$@" 2>"$scratch/said"
	matches "$(<"$scratch/said")" "$words" "what is said"
	same "$(wc -l <"$scratch/said")" 1 "number of lines"
	same "$(value pid)" "$server" "server"
	same "$(head -c 4 "$mnt/kept")" kept "what is read"
}

thaw() { fsfreeze --unfreeze "$backing" 2>/dev/null || true; }

make_backing ext4 1G
mkdir "$scratch/other"
serve "$backing" "$mnt" transport=dev,recovery=on,queues=3
echo kept >"$mnt/kept"
exec 8<>"$mnt/without-a-name" # not for what serve starts
echo kept >&8
rm "$mnt/without-a-name"
fio --name=load --directory="$mnt" --size=32M --rw=randwrite --bs=4k --ioengine=libaio \
	--iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --verify_backlog=256 \
	--verify_state_save=0 --time_based --runtime=600 --eta=never >"$scratch/fio" 2>&1 8>&- &
load=$!

server=$(value pid)
say "the keeper lives: in use"
refused 'in use' "$CAISSOND" -f -o io_flusher=off "$backing" "$mnt"

for round in 1 2 3; do
	say "round $round"
	reader=${daemon_reader[$mnt]}
	lose_keeper
	if ((round == 1)); then
		refused 'another directory' "$CAISSOND" -f -o "$(daemon_options '')" "$scratch/other" "$mnt"
		fsfreeze --freeze "$backing"
		defer thaw
		mkdir "$mnt/waits" &
		client=$!
		wait_until 20 waits_for_thaw "$server"
		exits 2 "$CAISSOND" -f -o "$(daemon_options '')" "$backing" "$mnt" 2>"$scratch/said"
		matches "$(<"$scratch/said")" 'waits in the kernel' "what is said"
		thaw
		wait "$client"
		same "$(value pid)" "$server" "server"
	fi
	# the number of queues is what it was
	serve "$backing" "$mnt" "recovery=on,queues=2" 8>&-
	same "$(value queues)" 3 "queues"
	process_is_gone "$server" || fail "the server without a keeper is still there"
	wait_until 20 has recovery on
	wait_until 20 process_is_gone "$reader" # all processes of the daemon before
	server=$(value pid)
	kill -KILL "$server"
	wait_until 20 has takeovers $((2 * round))
	! process_is_gone "$load" || fail "fio has ended: $(tail -n 3 "$scratch/fio")"
done
same "$(cat "/proc/$BASHPID/fd/8")" kept "what is in a file without a name"
exec 8>&-
kill -INT "$load"
exits 128 wait "$load"
! grep -qiE 'verify:|error=' "$scratch/fio" || fail "fio: $(grep -iE 'verify:|error=' "$scratch/fio" | head -n 1)"
same "$(grep -c " $mnt " /proc/self/mountinfo)" 1 "number of mounts"
unserve

say "what open files depend on stays as the mount was made"
serve "$backing" "$mnt" recovery=on
lose_keeper
serve "$backing" "$mnt" recovery=on,cache=writeback
same "$(value cache)" none "cache"
unserve

say "a daemon in the background, with paths that are relative"
cd "$scratch"
start() { "$CAISSOND" -o "$(daemon_options '')" "${backing#"$scratch/"}" "${mnt#"$scratch/"}" 2>>"$daemon_log"; }
exits 0 start
defer unmount "$mnt"
server=$(value pid)
keeper=$(value keeper_pid)
kill -KILL "$keeper"
wait_until 20 has recovery 'no: the keeper has died'
exits 0 start
process_is_gone "$server" || fail "the server without a keeper is still there"
same "$(value mountpoint)" "$mnt" "mount point"
server=$(value pid)
keeper=$(value keeper_pid)
umount_idle "$mnt"
wait_until 30 process_is_gone "$server"
wait_until 30 process_is_gone "$keeper"
