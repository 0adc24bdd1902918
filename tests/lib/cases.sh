# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The cases of each suite: their names, and how each is run. A case is named as tests/run and meson
# name it: integration/mmap, uring/mmap, sanitize/asan/mmap. Unit cases are in meson.build.

: "${tests_dir:?}" "${build_dir:?}"

# head_read FILE: fills `head` with the `#@ KEY: VALUE` lines at the top of FILE. The values of a
# repeated key are joined. lib/head-keys lists the keys.
declare -A head=()
head_read() {
	local line
	head=()
	while IFS= read -r line; do
		if [[ $line =~ ^(' * ')?'#@ '([a-z]+):\ *(.*)$ ]]; then
			head[${BASH_REMATCH[2]}]+="${head[${BASH_REMATCH[2]}]:+ }${BASH_REMATCH[3]}"
		elif [[ $line != ['#'/]* && $line != ' *'* ]]; then
			break
		fi
	done <"$1"
}

# head_is FILE KEY PATTERN: is the value of KEY, or nothing, like PATTERN, a regular expression?
head_is() {
	head_read "$1"
	[[ ${head[$2]:-} =~ $3 ]]
}

# name_file SUITE FILE
name_file() {
	local name=${2##*/}
	echo "$1/${name%.*}"
}

# case_names SUITE: one a line, each with its suite. The suite `lab` is the part of `vm` that takes
# hours: it is run when somebody names it.
case_names() {
	local file
	case $1 in
	lint | integration)
		for file in "$tests_dir/$1"/*.sh; do
			name_file "$1" "$file"
		done
		;;
	model)
		echo model/transitions
		for file in "$tests_dir"/model/*.pml; do
			name_file model "$file"
		done
		printf 'model/%s\n' explore replay
		;;
	uring)
		for file in "$tests_dir"/integration/*.sh; do
			head_is "$file" transport one || name_file uring "$file"
		done
		echo model/replay-uring
		;;
	chaos)
		for file in "$tests_dir"/integration/*.sh; do
			head_is "$file" chaos . || name_file chaos "$file"
		done
		;;
	asan | tsan)
		for file in "$tests_dir"/integration/*.sh; do
			! head_is "$file" sanitize "^(yes|$1)$" || name_file "sanitize/$1" "$file"
		done
		;;
	vm | lab) case_names_vm "$1" ;;
	esac
}

# All that needs another kernel than this machine's belongs to `lab`, and so does each scenario but
# one quick one.
case_names_vm() {
	local file name kernel
	for file in "$tests_dir"/vm/cases/*.sh; do
		kernel=lab
		! head_is "$file" kernels '^(own)?$' || kernel=vm
		[[ $1 != "$kernel" ]] || name_file vm "$file"
	done
	[[ $1 == lab ]] || echo vm/lab-quick
	for file in "$tests_dir"/vm/lab/{scenarios,cuts}/*.sh; do
		head_read "$file"
		name=${file##*/} name=${name%.sh}
		for kernel in ${head[kernels]:-own sid}; do
			if [[ $file == */scenarios/* ]]; then
				[[ $1 == vm ]] || echo "vm/lab-$name-$kernel"
			elif [[ $1 == vm && $kernel == own || $1 == lab && $kernel != own ]]; then
				echo "vm/cut-$name-$kernel"
			fi
		done
	done
}

# case_find NAME: sets `head`, case_command, case_limit (seconds) and case_alone (`yes`: no other
# case runs beside it). case_command is empty for a unit case.
# shellcheck disable=SC2034 # for case-run
case_find() {
	local name=${1##*/} file='' slow=${CAISSON_VM_SLOW:-1} words
	head=() case_command=() case_limit=120
	case $1 in
	unit/* | sanitize/*/unit/*) ;;
	lint/*) file=$tests_dir/$1.sh case_limit=240 ;;
	model/transitions) case_command=("$tests_dir/model/moves.py" table) ;;
	model/explore) case_command=("$build_dir/tests/explore") case_limit=600 ;;
	model/replay*) file=$tests_dir/model/replay.sh ;;
	model/*)
		file=$tests_dir/$1.pml case_limit=900
		case_command=("$tests_dir/model/spin.py" "$file")
		;;
	integration/* | uring/* | chaos/* | sanitize/*/*)
		file=$tests_dir/integration/$name.sh case_limit=60
		;;
	vm/lab-quick)
		case_limit=3600
		case_command=("$tests_dir/vm/lab/run" --build "$build_dir" loop/naive loop/caisson-unprotected)
		;;
	vm/lab-*)
		words=${name#lab-} case_limit=3600
		file=$tests_dir/vm/lab/scenarios/${words%-*}.sh
		case_command=("$tests_dir/vm/lab/run" --build "$build_dir" --kernel "${words##*-}" "${words%-*}")
		((${CAISSON_LONG:-0})) || case_command+=(--no-probes)
		;;
	vm/cut-*)
		words=${name#cut-} case_limit=$((1800 * slow))
		file=$tests_dir/vm/lab/cuts/${words%-*}.sh
		case_command=("$tests_dir/vm/lab/cut" --build "$build_dir" --kernel "${words##*-}")
		if ((${CAISSON_LONG:-0})); then
			case_command+=(--cuts 20 "${words%-*}") case_limit=$((case_limit * 4))
		else
			case_command+=(--cuts 3 "${words%-*}")
		fi
		;;
	vm/*)
		file=$tests_dir/vm/cases/$name.sh
		head_read "$file"
		case_command=("$tests_dir/vm/run" --build "$build_dir" --kernel "${head[kernels]:-own}" "$name")
		;;
	*) return 1 ;;
	esac
	if [[ -n $file ]]; then
		[[ -f $file ]] || return 1
		head_read "$file"
		((${#case_command[@]})) || case_command=("$file")
		case_limit=${head[timeout]:-$case_limit}
	fi
	case_alone=${head[alone]:-}
	case $1 in
	vm/lab-* | vm/cut-*)
		# the lab starts two guests itself, and the power is cut by the clock: a guest that waits
		# for a CPU looks like one that hangs
		case_alone=yes
		;;
	# the guest's time begins after its kernel was fetched
	vm/*) case_limit=$((case_limit * slow + 300)) ;;
	# a server that is killed again and again, too
	chaos/*) case_limit=$((case_limit * 4)) ;;
	# the sanitizers make everything slower
	sanitize/*) case_limit=$((case_limit * 4)) ;;
	esac
}
