# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Runs one case after the other: each in a session and a scratch directory of its own, with its
# output in a log and a limit on its time. When the time is over, the kernel's stacks of all its
# tasks go into the log, its FUSE connections are aborted, and it is killed by PID; so a hanging
# daemon can't hang the run. What a case leaves behind (processes, mounts, loop devices) makes it
# fail, and is removed.
#
# Everything that a case starts, however detached, is found by CAISSON_CASE in its environment.

: "${logs_dir:?}" "${scratch_root:?}" # and scratch.sh, which made that one

runner_passed=0
runner_failures=() # lines for the end
runner_skips=()
runner_pid=  # of the running case
runner_mark= # its CAISSON_CASE
runner_scratch= # its directory

declare -A outcome_colour=([pass]=32 [fail]=31 [skip]=33)

# report NAME OUTCOME SECONDS DETAIL
report() {
	local name=$1 outcome=$2 seconds=$3 detail=$4 word
	if [[ $outcome == skip && ${CAISSON_TESTS_MUST_RUN:-0} == 1 ]]; then
		outcome=fail detail="skipped: $detail"
	fi
	case $outcome in
	pass) runner_passed=$((runner_passed + 1)) ;;
	fail) runner_failures+=("$name${detail:+: $detail}") ;;
	skip) runner_skips+=("$name: $detail") ;;
	esac
	word=$outcome
	[[ ! -t 1 ]] || word=$'\e['${outcome_colour[$outcome]}m$outcome$'\e[0m'
	printf '%s  %-38s %4d s%s\n' "$word" "$name" "$seconds" "${detail:+  $detail}"
}

# PIDs of all processes that carry the mark of the running case
case_processes() {
	local file
	for file in /proc/[0-9]*/environ; do
		if tr '\0' '\n' 2>/dev/null <"$file" | grep -qx "CAISSON_CASE=$runner_mark"; then
			file=${file#/proc/}
			echo "${file%/environ}"
		fi
	done 2>/dev/null
}

# dump_process PID: what each of its tasks waits for
dump_process() {
	local task
	echo "--- process $1: $(tr '\0' ' ' <"/proc/$1/cmdline" | cut -c 1-200)"
	for task in /proc/"$1"/task/*; do
		echo "task ${task##*/} ($(<"$task/comm")) $(grep State "$task/status")" \
			"wchan $(<"$task/wchan") syscall $(cut -d ' ' -f 1 "$task/syscall")"
		sed 's/^/    /' "$task/stack"
	done
} 2>/dev/null

# ends_within SECONDS PID: of a child of this shell; sets case_status
ends_within() {
	local timer ended
	sleep "$1" &
	timer=$!
	wait -n -p ended "$2" "$timer"
	case_status=$?
	[[ ${ended:-} != "$timer" ]] || return 1
	kill "$timer" 2>/dev/null
	wait "$timer" 2>/dev/null
	return 0
}

# The end of a case that takes too long. It gets a chance to clean up before it is killed.
end_case() {
	local pid
	for pid in $(case_processes); do
		dump_process "$pid"
	done
	# First, or nothing that waits for a hanging mount can be ended.
	abort_mounts_below "$runner_scratch"
	kill -TERM "$runner_pid" 2>/dev/null
	ends_within 20 "$runner_pid" || kill -KILL "$runner_pid" 2>/dev/null
}

# Says and removes what the ended case has left; 1 when there was something.
remove_leftovers() {
	local scratch=$runner_scratch pid found=0
	undo_below "$scratch" || found=1
	for pid in $(case_processes); do
		echo "left behind: process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline"))" 2>/dev/null
		dump_process "$pid"
		kill -KILL "$pid" 2>/dev/null
		found=1
	done
	rm -rf --one-file-system "$scratch" || found=1
	return $found
}

# run_case NAME LIMIT COMMAND...: runs it with the environment that this shell exports
run_case() {
	local name=$1 limit=$2 start=$SECONDS log case_status=0 outcome detail=
	shift 2
	log=$logs_dir/$name.log
	mkdir -p "$(dirname "$log")"
	: >"$log"
	runner_scratch=$(mktemp -d "$scratch_root/case.XXXXXX") || exit 2
	chmod 755 "$runner_scratch" # cases act as other users
	runner_mark=${runner_scratch##*/}.$$
	[[ ! -t 1 ]] || printf '      %s\r' "$name"

	CAISSON_CASE=$runner_mark CAISSON_SCRATCH=$runner_scratch \
		setsid -w "$@" </dev/null >>"$log" 2>&1 &
	runner_pid=$!
	if ! ends_within "$limit" "$runner_pid"; then
		detail="not done after $limit s"
		echo "=== $detail" >>"$log"
		end_case >>"$log" 2>&1
		case_status=124
	fi
	runner_pid=
	if ! remove_leftovers >>"$log" 2>&1 && [[ -z $detail ]]; then
		detail="$(grep -m 1 '^left behind' "$log")"
		case_status=1
	fi

	case $case_status in
	0) outcome=pass ;;
	77)
		outcome=skip
		detail=$(sed -n 's/^skip:* *//p' "$log" | tail -n 1)
		: "${detail:=it does not say why}"
		;;
	*)
		outcome=fail
		: "${detail:=status $case_status}"
		;;
	esac
	report "$name" "$outcome" $((SECONDS - start)) "$detail"
	if [[ $outcome == fail ]]; then
		grep -v '^    ' "$log" | tail -n 12 | cut -c 1-160 | sed 's/^/      | /'
		echo "      log: $log"
	fi
}

# When the run itself is interrupted: ends the running case, and removes what is left of it.
runner_interrupted() {
	trap '' INT TERM
	[[ -n $runner_pid ]] || return 0
	echo "interrupted; ending the running case"
	{
		end_case
		remove_leftovers
	} >/dev/null 2>&1
}

# The last lines of a run. 0 iff nothing failed.
runner_summary() {
	local line
	for line in "${runner_failures[@]}"; do
		echo "failed: $line"
	done
	for line in "${runner_skips[@]}"; do
		echo "skipped: $line"
	done
	echo "$runner_passed passed, ${#runner_failures[@]} failed, ${#runner_skips[@]} skipped"
	((${#runner_failures[@]} == 0))
}
