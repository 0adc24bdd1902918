# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Runs cases, two at a time where there are two CPUs: each in a session and a scratch directory of
# its own, with its output in a log and a limit on its time. When the time is over, the kernel's
# stacks of all its tasks go into the log, its FUSE connections are aborted, and it is killed by
# PID; so a hanging daemon can't hang the run. What a case leaves behind (processes, mounts, loop
# devices) makes it fail, and is removed.
#
# Everything that a case starts, however detached, is found by CAISSON_CASE in its environment.

: "${logs_dir:?}" "${scratch_root:?}" # and scratch.sh, which made that one

runner_jobs=$(($(nproc) < 2 ? 1 : 2))
runner_passed=0
runner_failures=() # lines for the end
runner_skips=()
# of cases that run, by the PID of the shell that does it: the name, and a file for the outcome
declare -gA runner_names=() runner_ends=()

# In that shell:
runner_pid=  # of the case
runner_timer= # of the sleep that ends its time
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
	grep -lzxF "CAISSON_CASE=$runner_mark" /proc/[0-9]*/environ 2>/dev/null | cut -d / -f 3
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
	local ended
	sleep "$1" &
	runner_timer=$!
	wait -n -p ended "$2" "$runner_timer"
	case_status=$?
	[[ ${ended:-} != "$runner_timer" ]] || return 1
	kill "$runner_timer" 2>/dev/null
	wait "$runner_timer" 2>/dev/null
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

# In a shell of its own: runs the case, and leaves OUTCOME, SECONDS and DETAIL, a line each, in END.
case_main() {
	local end=$1 name=$2 limit=$3 start=$SECONDS log case_status=0 outcome detail=
	shift 3
	log=$logs_dir/$name.log
	trap 'case_interrupted' TERM
	CAISSON_CASE=$runner_mark CAISSON_SCRATCH=$runner_scratch \
		setsid -w "$@" </dev/null >>"$log" 2>&1 &
	runner_pid=$!
	if ! ends_within "$limit" "$runner_pid"; then
		detail="not done after $limit s"
		echo "=== $detail" >>"$log"
		end_case >>"$log" 2>&1
		case_status=124
	fi
	trap '' TERM
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
	printf '%s\n' "$outcome" $((SECONDS - start)) "$detail" >"$end"
}

case_interrupted() {
	trap '' TERM
	kill "$runner_timer" 2>/dev/null
	{
		end_case
		remove_leftovers
	} >/dev/null 2>&1
	exit 130
}

# Waits until a case ends, and reports it.
reap_case() {
	local pid name outcome seconds detail log
	wait -n -p pid "${!runner_names[@]}"
	name=${runner_names[$pid]}
	{ read -r outcome && read -r seconds && read -r detail; } <"${runner_ends[$pid]}" ||
		outcome=fail seconds=0 detail="what ran it has ended"
	rm -f "${runner_ends[$pid]}"
	unset "runner_names[$pid]" "runner_ends[$pid]"

	log=$logs_dir/$name.log
	report "$name" "$outcome" "$seconds" "$detail"
	if [[ $outcome == fail ]]; then
		grep -v '^    ' "$log" | tail -n 12 | cut -c 1-160 | sed 's/^/      | /'
		echo "      log: $log"
	fi
	case_details "$name" "$log"
}

# runner_drain [COUNT]: waits until at most so many cases (none) run
runner_drain() {
	while ((${#runner_names[@]} > ${1:-0})); do
		reap_case
	done
}

# run_case NAME LIMIT ALONE COMMAND...: starts it as soon as there is room, with the environment
# that this shell exports; ALONE is `yes` for one beside which no other may run. Its outcome is
# reported when it has ended, with what the caller's case_details NAME LOG prints.
run_case() {
	local name=$1 alone=$3
	if [[ $alone == yes ]]; then
		runner_drain
	else
		runner_drain $((runner_jobs - 1))
	fi
	mkdir -p "$(dirname "$logs_dir/$name.log")"
	: >"$logs_dir/$name.log"
	runner_scratch=$(mktemp -d "$scratch_root/case.XXXXXX") || exit 2
	chmod 755 "$runner_scratch" # cases act as other users
	runner_mark=${runner_scratch##*/}.$$
	[[ ! -t 1 ]] || printf '      %s\r' "$name"

	case_main "$runner_scratch.end" "$name" "$2" "${@:4}" &
	runner_names[$!]=$name
	runner_ends[$!]=$runner_scratch.end
	[[ $alone != yes ]] || runner_drain
}

# When the run itself is interrupted: ends the running cases, and removes what is left of them.
runner_interrupted() {
	trap '' INT TERM
	((${#runner_names[@]})) || return 0
	echo "interrupted; ending ${runner_names[*]}"
	kill -TERM "${!runner_names[@]}" 2>/dev/null
	wait "${!runner_names[@]}"
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
