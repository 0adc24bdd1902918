#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In the middle of live upgrades one process is killed, at random moments: the old keeper, its
# successor, or that one's server. Clients must not notice: a verified load, and one that comes then.
#
#@ packages: fio procps python3 strace
#@ transport: one
#@ timeout: 180
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

rounds=8
((!${CAISSON_LONG:-0})) || rounds=100

mkdir -p "$mnt"
make_backing ext4 1G
# with much memory: a server that is killed then takes longer to end
command=("$CAISSOND" -o "$(daemon_options log=stderr,recovery=on,recoveries=10000,queues=4,queue_depth=64,max_write=1M)" "$backing" "$mnt")
"${command[@]}" 2>>"$daemon_log"
defer unmount "$mnt"
fio --name=load --directory="$mnt" --size=32M --rw=randwrite --bs=4k --ioengine=libaio \
	--iodepth=32 --direct=1 --verify=crc32c --verify_fatal=1 --verify_backlog=256 \
	--verify_state_save=0 --time_based --runtime=900 --eta=never >"$scratch/fio" 2>&1 &
load=$!

CAISSON=$CAISSON "$tests_dir/integration/upgrade-kills.py" $rounds "${command[@]}" 2>>"$daemon_log" ||
	fail "$(tail -n 3 "$daemon_log")"
say "the old keeper dies when it has just killed its server, which takes some time to end"
asked() { "$CAISSON" status --json "$mnt" | sed -n "s/^ *\"$1\": *\"*\([^\",]*\)\"*,*$/\1/p"; }
is_protected() { [[ $(asked recovery) == on ]]; }
wait_until 30 is_protected
keeper=$(asked keeper_pid)
# it waits for who has started the successor, and then for the server
strace -qq -o "$scratch/strace" -e trace=wait4 -e inject=wait4:signal=SIGKILL:when=2 -p "$keeper" &
keep_pid[$!]=1
is_traced() { ! grep -q '^TracerPid:	0$' "/proc/$keeper/status"; }
wait_until 20 is_traced
kill -HUP "$keeper"
wait_until 20 process_is_gone "$keeper"
timeout 30 touch "$mnt/after" || fail "a client got status $?"
[[ $(asked keeper_pid) != "$keeper" ]] || fail "its keeper is the one that has died"
same "$(asked last_upgrade)" 'done' "last upgrade"

! process_is_gone "$load" || fail "fio has ended: $(tail -n 3 "$scratch/fio")"
kill -INT "$load"
exits 128 wait "$load"
! grep -qiE 'verify:|error=' "$scratch/fio" || fail "fio: $(grep -iE 'verify:|error=' "$scratch/fio" | head -n 1)"
keeper=$("$CAISSON" status --json "$mnt" | sed -n 's/^ *"keeper_pid": *\([0-9]*\),*/\1/p')
umount_idle "$mnt"
wait_until 30 process_is_gone "$keeper"
