# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # run is checked with all its parts
#
# What is measured. A job has a kind, which says on what it runs, and a tier, which says when:
#
#	quick	in every run, for every backend; also in memory
#	default	unless --quick
#	full	with --full
#	scale	with --scale
#
#	file	4k to 1 MiB on a file that is all written
#	sparse	on a file that is made anew and has no blocks
#	meta	many small files (metadata.py)
#	loop	on a loop device with direct I/O on such a file
#	xfs	on a file of an XFS on such a loop device
#	xfsmeta	metadata.py there

job_names=()
declare -A job_tier=() job_kind=() job_args=()

# job NAME TIER KIND [ARGUMENT...]: of fio or metadata.py
job() {
	job_names+=("$1")
	job_tier[$1]=$2 job_kind[$1]=$3
	shift 3
	job_args[${job_names[-1]}]=$*
}

# small_job_tier RW QUEUE-DEPTH JOBS
small_job_tier() {
	case $1-$2-$3 in
	randread-1-1 | randread-32-1 | randwrite-1-1 | randwrite-32-1) echo quick ;;
	mixed-1-1 | mixed-32-1 | rand*-8-1 | rand*-128-1 | rand*-32-[24]) echo default ;;
	*) echo full ;;
	esac
}

small_jobs() {
	local rw depth jobs name arguments
	for rw in randread randwrite mixed; do
		for depth in 1 8 32 128; do
			for jobs in 1 2 4; do
				name=$rw-4k-qd$depth arguments="--rw=$rw"
				[[ $rw != mixed ]] || arguments='--rw=randrw --rwmixread=70'
				((jobs == 1)) || name+=-j$jobs
				job "$name" "$(small_job_tier $rw $depth $jobs)" file "$arguments" --bs=4k \
					--iodepth=$depth --numjobs=$jobs
			done
		done
	done
}

jobs_make() {
	local rw
	small_jobs
	for rw in read write; do
		job $rw-128k-qd8 quick file --rw=$rw --bs=128k --iodepth=8
	done
	for rw in read write; do
		job $rw-1m-qd4 default file --rw=$rw --bs=1m --iodepth=4
	done
	job write-4k-fdatasync default file --rw=randwrite --bs=4k --iodepth=1 --fdatasync=1
	job write-4k-fdatasync-j4 full file --rw=randwrite --bs=4k --iodepth=1 --fdatasync=1 \
		--numjobs=4
	job first-writes-4k-qd32 default sparse --rw=randwrite --bs=4k --iodepth=32
	job files quick meta
	for rw in randread randwrite; do
		job loop-$rw-4k-qd32 quick loop --rw=$rw --bs=4k --iodepth=32
	done
	for rw in randread randwrite; do
		job loop-$rw-4k-qd1 default loop --rw=$rw --bs=4k --iodepth=1
	done
	for rw in read write; do
		job loop-$rw-128k-qd8 full loop --rw=$rw --bs=128k --iodepth=8
	done
	# as a machine's disk has it: most of it small and read, now and then a commit
	job xfs-mixed default xfs --rw=randrw --rwmixread=70 --bssplit=4k/60:16k/25:64k/15 \
		--iodepth=16 --numjobs=2 --fdatasync=64
	job xfs-files default xfsmeta --bytes 4096 --sync
	for depth in 2 4 16 64; do
		for rw in randread randwrite; do
			job $rw-4k-qd$depth scale file --rw=$rw --bs=4k --iodepth=$depth
		done
	done
}

# tier_is_in TIER SET: do jobs of TIER belong to a run of SET (quick, default or full)?
tier_is_in() {
	case $2 in
	quick) [[ $1 == quick ]] ;;
	default) [[ $1 == quick || $1 == default ]] ;;
	full) [[ $1 != scale ]] ;;
	esac
}

# matches_one NAME PATTERN...: is it one of them?
matches_one() {
	local name=$1 pattern
	shift
	for pattern; do
		# shellcheck disable=SC2053 # patterns they are
		[[ $name != $pattern ]] || return 0
	done
	return 1
}

# job_is_wanted NAME SET: by name when the user named some, otherwise by its tier
job_is_wanted() {
	if ((${#only_jobs[@]})); then
		matches_one "$1" "${only_jobs[@]}"
	else
		tier_is_in "${job_tier[$1]}" "$2"
	fi
}

jobs_make
