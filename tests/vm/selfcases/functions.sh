# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
# The guest's judging functions say no where they have to.
#@ timeout: 60

refuses() { ! "$@"; }
faults() {
	faults_file=/run/faults.$1
	shift
	printf '%s\n' "$@" >"$faults_file"
}

faults before '1 1 10 0' '1 2 0 0'
faults same '1 1 10 0' '1 2 0 0' '1 3 7 0'
faults minor '1 1 10 0' '1 2 1 0'
faults major '1 1 10 1' '1 2 0 0'
faults others '2 5 10 0'
check "the same faults pass" faults_stand_still /run/faults.before /run/faults.same
for name in minor major others; do
	check "$name: noticed" refuses faults_stand_still /run/faults.before "/run/faults.$name"
done

# A daemon with no mark at all: each of its tasks is named, and its faults are read.
sleep 1000 &
caissond_pid=$!
check "an unmarked task is named" [ "$(unmarked_tasks)" = "$caissond_pid" ]
check "its faults are read" [ -n "$(caissond_faults | grep "^$caissond_pid $caissond_pid [1-9]")" ]
check "it runs" is_running "$caissond_pid"
check "it isn't waited for too long" refuses wait_until 1 has_ended "$caissond_pid"
kill -9 "$caissond_pid"
expect_status 137 "its end" wait_job 5 "$caissond_pid"
check "a process that has ended is seen to" has_ended "$caissond_pid"
check "a mount is seen" is_mounted /run
check "what isn't one isn't" is_not_mounted /ru
