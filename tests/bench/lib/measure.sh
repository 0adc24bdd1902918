# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # run is checked with all its parts
#
# One backend at work: its file and what is stacked on it, the proof that it keeps what it is given,
# and one measurement. A backend that fails at any of it is out for the rest of the place, and its
# numbers with it.

declare -A broken=() target_loop=() target_xfs=() # by backend; of the place
xfs_image_mib=640
failures=()

# note KEY=VALUE...: a line for the report
note() { python3 "$bench_dir/sample.py" note "$samples" "$@"; }

# backend_broken BACKEND REASON...
backend_broken() {
	local name=$1
	shift
	broken[$name]=$*
	failures+=("$place: $name: $*")
	printf '\n'
	say "FAILED: $place: $name: $*"
	note type=backend place="$place" name="$name" state=broken why="$*"
}

# write_file FILE MIB: all of it on the disk, by the way that leaves nothing in the page cache
write_file() {
	fio --name=layout --filename="$1" --size="$2m" --rw=write --bs=1m --ioengine=io_uring --iodepth=4 \
		--direct=1 --end_fsync=1 --eta=never --output-format=terse >/dev/null
}

# give_file BACKEND: the file that all have, made with the first of them. Those with a cache have their own:
# what they keep of it would be out of date by the others' doing.
give_file() {
	local own=$place_dir/$1/data
	[[ ! -e $own ]] || return 0
	if matches_one "$1" "${side_backends[@]}"; then
		write_file "$own" "$place_size_mib"
		return
	fi
	[[ -e $place_dir/data ]] || write_file "$place_dir/data" "$place_size_mib" || return 1
	ln "$place_dir/data" "$own"
}

# check_data BACKEND DIGIT: what is written through it is what the ext4 below has. The digit is in each
# block, with its offset, so that nothing older will do.
check_data() {
	local name=$1 file=${target_file[$1]} below=${below_dir[$1]} content
	content=(--verify=pattern --verify_pattern="0xca15500$2%o")
	within 60 "${server_at[$name]-}" load "$(dirname "$file")" "$(basename "$file")" 4k 8m "${content[@]}" &&
		load "$below" data 4k 8m --verify_only "${content[@]}"
}

# backend_prepare BACKEND: it serves its file, and has proven to. 1 when it doesn't; then it is
# either left out, with a line, or broken.
backend_prepare() {
	local name=$1 below=$place_dir/$1
	mkdir -p "$below"
	give_file "$name" || fail "cannot write $below/data"
	if ! backend_start "$name"; then
		# these have to work wherever caisson does
		case $name in
		ext4 | caisson | caisson-dev | caisson-write*) backend_broken "$name" "$why" ;;
		*) backend_left_out "$name" "$why" ;;
		esac
		return 1
	fi
	if ! check_data "$name" 1 >"$scratch/check.log" 2>&1; then
		backend_broken "$name" "what it was given is not there: $(grep -m 1 . "$scratch/check.log")"
		return 1
	fi
	note type=backend place="$place" name="$name" state=measured title="${backend_title[$name]}" \
		version="${peer_version[${name%-uring}]-${peer_version[${name%-kernel}]-}}"
	memory_note "$name" start || backend_broken "$name" "its server has ended"
	[[ ! -v broken[$name] ]]
}

backend_left_out() {
	say "$1: left out: $2"
	note type=backend place="${place:-all}" name="$1" state=out why="$2" title="${backend_title[$1]}"
}

# memory_note BACKEND WHEN
memory_note() {
	[[ -n ${server_pid[$1]-} ]] || return 0
	python3 "$bench_dir/sample.py" memory "$samples" "${server_pid[$1]}" place="$place" \
		backend="$1" when="$2" bound_kib="$(memory_bound "$1")" "${@:3}"
}

# memory_bound BACKEND: what caissond said at the start that it has, in KiB
memory_bound() {
	[[ $1 != caisson* ]] || sed -n 's/^caissond: serving .*: \([0-9]*\) KiB of memory.*/\1/p' "$(server_log "$1")"
}

# --- what is stacked on it ---

# attach_direct FILE: sets $loop; direct I/O for certain, or the bdi of FUSE throttles it
attach_direct() {
	attach "$1" --direct-io=on && (($(<"/sys/block/${loop#/dev/}/loop/dio") == 1))
}

# stack_up BACKEND KIND: loop, or xfs, which has an image of its own
stack_up() {
	local name=$1 kind=$2 mib=$place_size_mib
	if [[ $kind == loop ]]; then
		attach_direct "${target_file[$name]}" || return 1
		target_loop[$name]=$loop
		return
	fi
	mib=$((xfs_image_mib > mib ? xfs_image_mib : mib))
	write_file "${below_dir[$name]}/$kind.img" "$mib" || return 1
	attach_direct "${target_dir[$name]}/$kind.img" || return 1
	# -K: a discard would free what was written
	within 60 "${server_at[$name]-}" mkfs.xfs -q -f -K "$loop" || return 1
	target_xfs[$name]=$scratch/xfs-$place-$name
	mkdir -p "${target_xfs[$name]}"
	mount "$loop" "${target_xfs[$name]}" || return 1
	defer stack_down "${target_xfs[$name]}" "${server_at[$name]-}"
	within 60 "${server_at[$name]-}" write_file "${target_xfs[$name]}/mix" 256
}

# stack_down DIR FUSE-MOUNT: what hangs is freed from below
stack_down() {
	unmount_within 60 "$1" && return 0 # of its own: at the end of all, the status would be that of the run
	[[ -z $2 ]] || abort_connection "$2" || true
	unmount "$1"
}

# --- a measurement ---

# cell JOB BACKEND ROUND: measures, and says the number; 1 when the backend is broken by it
cell() {
	local job=$1 name=$2 round=$3 kind=${job_kind[$1]} command status=0 limit
	local file=${target_file[$2]} size=${place_size_mib}m arguments
	read -ra arguments <<<"${job_args[$job]}"
	limit=$((seconds + 90))
	case $kind in
	sparse)
		file=${target_dir[$name]}/sparse
		rm -f "$file" && truncate -s "$size" "$file" || status=1
		;;
	loop) file=${target_loop[$name]} ;;
	xfs) file=${target_xfs[$name]}/mix size=256m ;;
	esac
	command=(fio --name=bench --filename="$file" --size="$size" --ioengine=io_uring --direct=1
		--runtime="$seconds" --randseed="$round" --group_reporting --lat_percentiles=1
		--percentile_list=50:99:99.9 --eta=never --output-format=json "${arguments[@]}")
	# first writes are over when there is nothing left to write for the first time
	[[ $kind == sparse ]] || command+=(--time_based --norandommap --random_generator=tausworthe64)
	case $kind in
	meta)
		chattr +T "$(fresh_dir "${below_dir[$name]}")"
		command=(python3 "$bench_dir/metadata.py" "$(fresh_dir "${target_dir[$name]}")" "$files" "${arguments[@]}")
		;;
	xfsmeta) command=(python3 "$bench_dir/metadata.py" "$(fresh_dir "${target_xfs[$name]}")" "$files" "${arguments[@]}") ;;
	esac
	if ((status)); then
		backend_broken "$name" "$job: the file cannot be made"
		return 1
	fi
	sample "$name" "$limit" job="$job" kind="$kind" round="$round" -- "${command[@]}" || return 1
	[[ $kind != sparse ]] || rm -f "$file"
}

# sample BACKEND LIMIT KEY=VALUE... -- COMMAND...: 1 when it failed, and the backend is broken
sample() {
	local name=$1 limit=$2 said status=0
	shift 2
	# what the one before has left to be written isn't this one's
	sync -f "$place_dir"
	said=$(python3 "$bench_dir/sample.py" run "$samples" "$limit" "${server_pid[$name]:-0}" \
		place="$place" backend="$name" "$@") || status=$?
	if ((!status)); then
		printf ' %s %s' "$name" "$said"
		return 0
	fi
	# whoever waits for it must not do so for ever
	((status != 124)) || abort_connection "${server_at[$name]-}" || true
	backend_broken "$name" "$said ($1 $2 $3)"
	return 1
}

# fresh_dir DIR: an empty directory there, which metadata.py leaves empty
fresh_dir() {
	mkdir -p "$1/files"
	echo "$1/files"
}
