#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A live upgrade is a pause. Under a verified load on XFS on a loop device on the mount, and with
# clients that make and remove files, the program is replaced, as a package does it, by a next
# version and by the version before, again and again. A quarter of the programs are bad: each one
# ends, hangs, is of another layout, doesn't know an option, or fails as soon as it serves. No client
# gets an error, and `caisson upgrade` and the status tell the truth each time.
#
#@ packages: fio util-linux xfsprogs procps python3
#@ transport: one
#@ timeout: 900
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

rounds=1
((!${CAISSON_LONG:-0})) || rounds=17

program=$scratch/bin/caissond
mkdir -p "$scratch/bin"

# install FILE: as the installed program, by renaming
install_program() {
	cp "$1" "$program.new"
	chmod +x "$program.new"
	mv "$program.new" "$program"
}

value() { "$CAISSON" status --json "$mnt" | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }
has() { [[ $(value "$1" 2>"$scratch/not-yet") == "$2" ]]; }

# good FILE VERSION
good() {
	install_program "$1"
	"$CAISSON" upgrade "$mnt" >"$scratch/said" || fail "$(<"$scratch/said")"
	matches "$(<"$scratch/said")" "done: version $2 serves" "what caisson says"
	pauses+=("$(sed -E 's/.*pause ([0-9]+) ms/\1/' "$scratch/said")")
	same "$(value version)" "$2" "version of the status"
}

# bad FILE WHY: nothing changes
bad() {
	local before
	before="$(value pid) $(value keeper_pid) $(value version)"
	install_program "$1"
	exits 2 "$CAISSON" upgrade "$mnt" 2>"$scratch/said"
	matches "$(<"$scratch/said")" "$2" "what caisson says"
	same "$(value pid) $(value keeper_pid) $(value version)" "$before" "server, keeper and version"
	matches "$(value last_upgrade)" "$2" "the status"
}

printf '#!/bin/sh\nexit 3\n' >"$scratch/ends"
printf '#!/bin/sh\nexec sleep 300\n' >"$scratch/hangs"
# a version that lacks an option
# shellcheck disable=SC2016
printf '#!/bin/bash\nword=$1\nshift\nexec "%s" "$word" -o future_option "$@"\n' "$CAISSOND" >"$scratch/options"
pauses=()

install_program "$CAISSOND"
this=$("$CAISSOND" --version | cut -d' ' -f2)
make_backing ext4 2G
CAISSOND=$program serve "$backing" "$mnt" transport=dev,recovery=on,recoveries=10000

truncate -s 400M "$mnt/disk"
attach "$mnt/disk" --direct-io=on
make_filesystem xfs "$loop"
mount_loop "$loop" "$scratch/xfs" -t xfs
fio --name=load --directory="$scratch/xfs" --size=48M --rw=randwrite --bs=4k --ioengine=libaio \
	--iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --verify_backlog=256 \
	--verify_state_save=0 --time_based --runtime=7200 --eta=never >"$scratch/fio" 2>&1 &
load=$!
# makes, opens, renames and removes: what is opened while a successor copies must come with it
(
	for ((i = 0; ; i++)); do
		mkdir "$mnt/dir-$i"
		exec 5<>"$mnt/dir-$i/file"
		echo "$i" >&5
		mv "$mnt/dir-$i" "$mnt/moved-$i"
		[[ $(<"$mnt/moved-$i/file") == "$i" ]]
		rm -r "$mnt/moved-$i"
		[[ $(cat "/proc/$BASHPID/fd/5") == "$i" ]]
		exec 5>&-
		[[ ! -e $scratch/enough ]] || break
	done
) &
churn=$!
exec {open}<>"$mnt/without-a-name"
echo kept >&"$open"
rm "$mnt/without-a-name"

for ((round = 0; round < rounds; round++)); do
	say "round $round: there and back, and programs that are bad"
	for _ in 1 2 3; do
		good "$build_dir/tests/caissond-next" next
		good "$CAISSOND" "$this"
	done
	bad "$scratch/ends" 'has ended before it was ready'
	good "$build_dir/tests/caissond-next" next
	bad "$build_dir/tests/caissond-layout" 'laid out in another way'
	good "$CAISSOND" "$this"
	bad "$scratch/options" "doesn't know an option"
	good "$build_dir/tests/caissond-next" next
	good "$CAISSOND" "$this"

	# each server of it fails; the version before takes over again
	for version in crash sweep; do
		tried=$(value upgrades)
		install_program "$build_dir/tests/caissond-$version"
		"$CAISSON" upgrade "$mnt" >"$scratch/said" 2>&1 || true
		wait_until 30 has last_upgrade \
			'the new server has failed: the previous version has taken over again'
		has version "$this" || fail "version $(value version) has taken over"
		has upgrades $((tried + 1)) || fail "$(value upgrades) upgrades, not $((tried + 1))"
		good "$build_dir/tests/caissond-next" next
		good "$CAISSOND" "$this"
	done
	! process_is_gone "$load" || fail "fio has ended: $(tail -n 3 "$scratch/fio")"
	! process_is_gone "$churn" || fail "the client that makes files has ended"
done
say "a server that waits for a frozen backing store isn't killed"
thaw() { fsfreeze --unfreeze "$backing" 2>/dev/null || true; }
defer thaw
fsfreeze --freeze "$backing"
mkdir "$mnt/waits" &
client=$!
wait_until 20 waits_for_thaw "$(value pid)"
bad "$build_dir/tests/caissond-next" 'waits in the kernel'
thaw
wait "$client"
rmdir "$mnt/waits"

say "one that hangs"
bad "$scratch/hangs" "wasn't ready in time"
good "$build_dir/tests/caissond-next" next

touch "$scratch/enough"
wait "$churn"
same "$(cat "/proc/$BASHPID/fd/$open")" kept "what is in a file without a name"
exec {open}>&-
kill -INT "$load"
exits 128 wait "$load"
! grep -qiE 'verify:|error=' "$scratch/fio" || fail "fio: $(grep -iE 'verify:|error=' "$scratch/fio" | head -n 1)"
umount_idle "$scratch/xfs"
xfs_repair -n "$loop" >"$scratch/repair" 2>&1 || fail "XFS isn't clean: $(tail -n 3 "$scratch/repair")"
detach "$loop"
printf 'pauses of %d upgrades, ms: %s\n' "${#pauses[@]}" "$(printf '%s\n' "${pauses[@]}" | sort -n | tr '\n' ' ')"

say "nothing of it stays: descriptors, processes"
wait_until 20 has recovery on
before=$(fewest_fds "$(value keeper_pid)")
for _ in 1 2 3; do
	good "$CAISSOND" "$this"
	good "$build_dir/tests/caissond-next" next
done
wait_until 20 has recovery on
same "$(fewest_fds "$(value keeper_pid)")" "$before" "number of descriptors"
# the process that was started, its last successor, and that one's server and spare
same "$(pgrep -c -f "^$program")" 4 "number of processes"

say "an unmount soon after an upgrade ends it"
umount_idle "$mnt"
await_daemon "$mnt"

say "what was started stays, passes signals on, and ends with the last of them"
install_program "$CAISSOND"
CAISSOND=$program serve "$backing" "$mnt" transport=dev,recovery=on
good "$build_dir/tests/caissond-next" next
good "$CAISSOND" "$this"
mkdir "$mnt/dir"
exec {open}<"$mnt/dir"
kill -TERM "${daemon_pid[$mnt]}"
is_unmounted() { ! is_in_mountinfo "$mnt"; }
wait_until 20 is_unmounted
find "/proc/$BASHPID/fd/$open/" >"$scratch/list" || fail "a client that uses the mount gets an error"
exec {open}<&-
await_daemon "$mnt"
