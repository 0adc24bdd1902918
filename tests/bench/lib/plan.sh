# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # run is checked with all its parts
#
# Who is measured with what in which order. Rounds are outermost, so that each job meets the machine
# at different times; in a round every backend has its turn at a job, in an order that rotates, so
# that what else the machine does hits all alike.

available=() # backends that can be had at all
plan=()      # of a place: JOB BACKEND ROUND, a measurement each
plan_done=0 plan_count=0 plan_start=0

# find_available: probes what is wanted. ext4 always is: all is held against it.
find_available() {
	local name
	for name in "${backend_names[@]}"; do
		if ((${#only[@]})) && [[ $name != ext4 ]] && ! matches_one "$name" "${only[@]}"; then
			continue
		fi
		if backend_probe "$name"; then
			available+=("$name")
		else
			backend_left_out "$name" "$why"
		fi
	done
	[[ " ${places[*]} " == *' vm '* ]] || say "tcmu-runner's file handler: left out: --place vm has it"
}

# is_planned PLACE JOB BACKEND
is_planned() {
	local set=$tier
	# in memory, and in a variant that differs elsewhere, the few that tell most
	if matches_one "$3" "${side_backends[@]}" && ! matches_one "$3" "${only[@]}"; then
		[[ $tier != quick ]] || return 1
		[[ $tier != default ]] || set=quick
	elif [[ $1-$tier == memory-default ]]; then
		set=quick
	fi
	job_is_wanted "$2" "$set" && backend_has "${job_kind[$2]}" "$3"
}

# make_plan PLACE BACKEND...: fills plan
make_plan() {
	local in=$1 round job number=0 i name count
	shift
	count=$#
	local order=("$@")
	plan=()
	for ((round = 1; round <= rounds; round++)); do
		for job in "${job_names[@]}"; do
			for ((i = 0; i < count; i++)); do
				name=${order[(i + number) % count]}
				! is_planned "$in" "$job" "$name" || plan+=("$job $name $round")
			done
			number=$((number + 1))
		done
	done
}

# plan_has KIND [BACKEND]: does it have such jobs? A kind with all that begin like it.
plan_has() {
	local line job name
	for line in "${plan[@]}"; do
		read -r job name _ <<<"$line"
		[[ ${job_kind[$job]} != "$1"* ]] || [[ ${2-$name} != "$name" ]] || return 0
	done
	return 1
}

# What there is to do in all, before anything of it is done
announce() {
	local in name used=''
	plan_count=0
	for in in "${places[@]}"; do
		[[ $in != vm ]] || continue
		make_plan "$in" "${available[@]}"
		plan_count=$((plan_count + ${#plan[@]}))
		for name in "${available[@]}"; do
			[[ $used == *" $name,"* ]] || ! plan_has '' "$name" || used+=" $name,"
		done
	done
	((plan_count)) || fail "there is nothing to measure by these options"
	say "$plan_count measurements of $seconds s, of${used%,}"
	say "about $(minutes $((plan_count * (seconds * 10 + 7) / 10 + ${#places[@]} * ${#available[@]} * 3)))"
	plan_start=$SECONDS
}

minutes() { echo "$((($1 + 30) / 60)) min"; }

# progress JOB ROUND: begins a line when the job or the round is another; how far, and how long still
progress() {
	local spent=$((SECONDS - plan_start)) rest='' line="$1 $2"
	if [[ $line != "$progress_last" ]]; then
		((plan_done < 10)) || rest=", $(minutes $((spent * (plan_count - plan_done) / plan_done))) left"
		printf '%s[%d of %d%s] %s %s, round %d:' "${progress_last:+$'\n'}" $((plan_done + 1)) "$plan_count" \
			"$rest" "$place" "$1" "$2"
		progress_last=$line
	fi
	plan_done=$((plan_done + 1))
}
progress_last=

# prepare_backends: serves all, sets up what is stacked where the plan wants it
prepare_backends() {
	local name kind
	for name in "${available[@]}"; do
		plan_has '' "$name" || continue
		backend_prepare "$name" || continue
		for kind in loop xfs; do
			plan_has "$kind" "$name" || continue
			if ! stack_up "$name" "$kind" >"$scratch/stack.log" 2>&1; then
				backend_broken "$name" "no $kind on it: $(tail -n 1 "$scratch/stack.log")"
				break
			fi
		done
		[[ -v broken[$name] ]] || served+=("$name")
	done
}

# measure_place PLACE: from its making to its end
measure_place() {
	local mark=${#deferred[@]} served=() line job name round
	broken=()
	make_plan "$1" "${available[@]}"
	if ! place_open "$1"; then
		say "$1: left out: $why"
		note type=place name="$1" state=out why="$why"
		undo_to "$mark"
		return
	fi
	say "$1: $(findmnt -n -o FSTYPE --target "$place_dir"), all with one file of $place_size_mib MiB"
	prepare_backends
	for line in "${plan[@]}"; do
		read -r job name round <<<"$line"
		progress "$job" "$round"
		if matches_one "$name" "${served[@]}" && [[ ! -v broken[$name] ]]; then
			cell "$job" "$name" "$round" || true
		fi
	done
	printf '\n'
	progress_last=
	for name in "${served[@]}"; do
		[[ ! -v broken[$name] ]] || continue
		check_data "$name" 2 >"$scratch/check.log" 2>&1 ||
			backend_broken "$name" "what it was given is not there at the end: $(grep -m 1 . "$scratch/check.log")"
		memory_note "$name" end || backend_broken "$name" "its server has ended"
	done
	undo_to "$mark" || failures+=("$1: a daemon or a mount did not end well, see above")
}
