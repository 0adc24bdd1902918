#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A run of the tests that is killed can't undo what it has made. The next run does: it removes the
# whole stack of backing store, daemon, loop device and filesystem. It leaves alone what belongs to
# a run that is still alive, and a case what belongs to another case.
#
#@ packages: e2fsprogs util-linux
#@ alone: yes
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

runs=$scratch/runs
mkdir "$runs"
cat >"$scratch/run.sh" <<-'END'
	. "$1/lib/scratch.sh"
	CAISSON_SCRATCH=$(scratch_new "$2" killed)
	. "$1/lib/mount.sh"
	make_backing ext4 64M
	serve
	truncate -s 32M "$mnt/img"
	attach "$mnt/img"
	mkfs.ext4 -q "$loop"
	mount_loop "$loop" "$scratch/top"
	echo "$loop" >"$3"
	exec sleep infinity # not to be ended by a trap of the case's
END
sweep_all() { scratch_sweep "$runs"; }
defer sweep_all

bash "$scratch/run.sh" "$tests_dir" "$runs" "$scratch/ready" >"$scratch/said" 2>&1 &
run=$!
is_ready() { [[ -s $scratch/ready ]] || process_is_gone "$run"; }
wait_until 50 is_ready
[[ -s $scratch/ready ]] || fail "the run: $(<"$scratch/said")"
same "$(mounts_below "$runs" | wc -l)" 3 "what the run has mounted"
daemon=$(pgrep -of "caissond .*$runs/")

say "while it lives"
sweep_all
same "$(mounts_below "$runs" | wc -l)" 3 "what is still mounted"

say "once it was killed"
kill -KILL "$run"
wait "$run" || true
sweep_all >"$scratch/swept"
matches "$(<"$scratch/swept")" 'is of a run that was killed' "what is said"
same "$(mounts_below "$runs")" "" "what is mounted"
same "$(ls -A "$runs")" "" "what is in the directory"
wait_until 15 loop_is_free "$(<"$scratch/ready")"
wait_until 15 process_is_gone "$daemon"

say "a loop device that was given back, and is another's now"
truncate -s 8M "$scratch/ours" "$scratch/theirs"
attach "$scratch/ours"
detach "$loop"
same "$(losetup --find --show "$scratch/theirs")" "$loop" "the next device"
defer losetup -d "$loop"
detach "$loop" # as a case does at its end
same "$(<"/sys/block/${loop#/dev/}/loop/backing_file")" "$scratch/theirs" "what it is attached to"
