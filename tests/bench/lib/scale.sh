# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # run is checked with all its parts
#
# How cost grows (--scale): with the number of open files, of known inodes, with the size of a
# sparse image, with the queue depth of the client and the queues of caissond. All on the disk. The
# many files are there once, and bound into what each backend serves: no two caissonds serve the same
# directory.

scale_backends=(ext4 caisson caisson-dev caisson-uring passthrough-hp)

# scale_steps: by --quick or not
scale_steps() {
	scale_open=(1 10 100 1000 10000)
	scale_inodes=(1 1000 10000 100000 1000000)
	scale_sizes=(1 16 256 4096 16384)
	scale_depths=(1 2 4 8 16 32 64 128)
	scale_queues=(1 2 3 4 6 8)
	[[ $tier == quick ]] || return 0
	scale_open=(1 100 10000)
	scale_inodes=(1 1000 10000 50000)
	scale_sizes=(1 256 16384)
	scale_depths=(1 8 32 128)
	scale_queues=(1 2 4 8)
}

# What the filesystem has no inodes for is left out.
scale_fit() {
	local free step fitting=()
	free=$(df --output=iavail "$place_dir" | tail -n 1)
	for step in "${scale_inodes[@]}"; do
		((step + scale_open[-1] + 10000 > free)) || fitting+=("$step")
	done
	((${#fitting[@]} == ${#scale_inodes[@]})) || say "$place_dir has only ${free// /} inodes to spare"
	scale_inodes=("${fitting[@]}")
}

# scale_line TEXT: begins a line of the progress
scale_line() {
	printf '%s[%d s] %s:' "${progress_last:+$'\n'}" $((SECONDS - plan_start)) "$*"
	progress_last=$*
}

# scale_bind DIR: the many files below it, before it is served, as who serves it may hold them
scale_bind() {
	local part
	for part in open inodes; do
		mkdir -p "$1/$part"
		mount --bind "$place_dir/$part" "$1/$part"
		defer unmount "$1/$part"
	done
}

scale_drop_names() { echo 2 >/proc/sys/vm/drop_caches; }

# for_each_served COMMAND...: with the name of the backend as its last argument
for_each_served() {
	local name
	for name in "${served[@]}"; do
		[[ -v broken[$name] ]] || "$@" "$name" || true
	done
}

# --- the parts; each has the name of a backend as its last argument ---

# An inode that only the cache knows is given back meanwhile, so both start from none.
scale_open_at() {
	local count=$1 name=$2
	sample "$name" $((seconds + 300)) type=scale part=open x="$count" job=many -- python3 "$bench_dir/many.py" \
		open "${target_dir[$name]}/open" "$count" "$seconds" "${server_pid[$name]:-0}"
}

scale_inodes_of() {
	local name=$1 from=0 count
	scale_line "inodes, 1 to ${scale_inodes[-1]}"
	scale_drop_names
	for count in "${scale_inodes[@]}"; do
		sample "$name" 600 type=scale part=inodes x="$count" job=many -- python3 "$bench_dir/many.py" \
			stat "${target_dir[$name]}/inodes" "$from" "$count" "${server_pid[$name]:-0}" || return 0
		from=$count
	done
}

# The largest file that ext4 has is a block short of 16 TiB.
scale_size_at() {
	local gib=$1 name=$2 file=${target_dir[$2]}/image rw
	if ! { rm -f "$file" && truncate -s $(((gib << 30) - 4096)) "$file"; }; then
		backend_broken "$name" "no image of $gib GiB"
		return
	fi
	for rw in randwrite randread; do
		sample "$name" $((seconds + 90)) type=scale part=size x="$gib" job=$rw -- fio --name=bench \
			--filename="$file" --size=$(((gib << 30) - 4096)) --ioengine=io_uring --direct=1 --rw=$rw --bs=4k \
			--iodepth=32 --runtime="$seconds" --time_based --norandommap --allow_file_create=0 \
			--random_generator=tausworthe64 --eta=never --output-format=json || return 0
	done
	rm -f "$file"
}

scale_depth_at() {
	local depth=$1 rw=$2 round=$3 name=$4
	cell "$rw-4k-qd$depth" "$name" "$round"
}

# A caissond with so many queues, beside the others, which have nothing to do
scale_queues_at() {
	local queues=$1 name=caisson-queues$1 rw round
	caisson_options[$name]="queues=$queues"
	backend_title[$name]="caisson, queues=$queues"
	backend_prepare "$name" || return 0
	for ((round = 1; round <= rounds; round++)); do
		for rw in randread randwrite; do
			cell "$rw-4k-qd32" "$name" "$round" || return 0
		done
	done
	memory_note "$name" end queues="$queues" || backend_broken "$name" "its server has ended"
	server_end "$name" || backend_broken "$name" "did not end well"
}

# --- all of it ---

measure_scale() {
	local mark=${#deferred[@]} served=() name round rw step
	scale_steps
	place_more_mib=4096 # many small files, and what is written into large ones
	place_open disk || fail "$why"
	scale_fit
	plan_start=$SECONDS
	mkdir "$place_dir"/{open,inodes}
	for name in "${available[@]}"; do
		matches_one "$name" "${scale_backends[@]}" || continue
		scale_bind "$place_dir/$name"
		! backend_prepare "$name" || served+=("$name")
	done
	note type=limits nofile="$(ulimit -n)" nr_open="$(</proc/sys/fs/nr_open)"
	say "with ${served[*]}; making ${scale_inodes[-1]} files"
	python3 "$bench_dir/many.py" make "$place_dir/open" "${scale_open[-1]}" 16384
	python3 "$bench_dir/many.py" make "$place_dir/inodes" "${scale_inodes[-1]}" 0

	for ((round = 1; round <= rounds; round++)); do
		for step in "${scale_depths[@]}"; do
			for rw in randread randwrite; do
				scale_line "$rw 4k, queue depth $step, round $round"
				for_each_served scale_depth_at "$step" "$rw" "$round"
			done
		done
	done
	for step in "${scale_open[@]}"; do
		scale_line "$step open files: opens, reads a second"
		scale_drop_names
		for_each_served scale_open_at "$step"
	done
	for step in "${scale_sizes[@]}"; do
		scale_line "sparse image of $step GiB: writes, reads 4k, QD 32"
		for_each_served scale_size_at "$step"
	done
	for_each_served scale_inodes_of
	for name in "${served[@]}"; do
		[[ -v broken[$name] ]] || memory_note "$name" end || backend_broken "$name" "its server has ended"
	done
	! matches_one caisson "${served[@]}" || for step in "${scale_queues[@]}"; do
		scale_line "queues=$step: randread and randwrite 4k, QD 32"
		scale_queues_at "$step"
	done
	printf '\n'
	undo_to "$mark" || failures+=("a daemon or a mount did not end well, see above")
}
