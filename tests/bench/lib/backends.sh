# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # run is checked with all its parts
#
# What is measured with what: a backend is a way to a file of the ext4 below. Each has a directory of its
# own there, with a hard link to one and the same file: where a file's blocks lie on a disk makes more of a
# difference than many a daemon. All are served at the same time; only one has work to do at a time.

backend_names=(
	ext4
	caisson caisson-dev caisson-uring caisson-passthrough caisson-writeback caisson-writethrough
	caisson-thin
	passthrough-hp passthrough-hp-uring passthrough-hp-kernel
	qemu-fuse ublk-loop
)
declare -A backend_title=(
	[ext4]='the file itself, O_DIRECT'
	[caisson]='caisson with its defaults'
	[caisson-dev]='caisson, transport=dev'
	[caisson-uring]='caisson, transport=uring'
	[caisson-passthrough]='caisson, passthrough=on'
	[caisson-writeback]='caisson, cache=writeback'
	[caisson-writethrough]='caisson, cache=writethrough'
	[caisson-thin]='caisson, extent_size_hint=0'
	[passthrough-hp]="libfuse's passthrough_hp, daemon in the path (--nopassthrough)"
	[passthrough-hp-uring]='the same over io_uring (-o io_uring)'
	[passthrough-hp-kernel]="libfuse's passthrough_hp with the kernel's passthrough"
	[qemu-fuse]="FUSE export of QEMU's storage daemon"
	[ublk-loop]='ublk, target loop'
)
# The options of each caisson, and by them whether this build knows it at all
declare -A caisson_options=(
	[caisson]=''
	[caisson-dev]=transport=dev
	[caisson-uring]=transport=uring
	[caisson-passthrough]=passthrough=on
	[caisson-writeback]=cache=writeback
	[caisson-writethrough]=cache=writethrough
	[caisson-thin]=extent_size_hint=0
)
# Those that measure something else than their base does, for some jobs; all jobs with --full.
side_backends=(caisson-writeback caisson-writethrough)

# backend_has KIND BACKEND: can it be asked that? What is stacked is compared between a few.
backend_has() {
	case $1-$2 in
	sparse-caisson-thin) ;; # the same as caisson in all else
	*-caisson-thin) matches_one "$2" "${only[@]}" ;;
	file-*) ;;
	*-qemu-fuse | *-ublk-loop) return 1 ;; # a single file, or no file at all
	sparse-* | meta-*) ;;
	loop-ext4 | loop-caisson | loop-passthrough-hp) ;;
	xfs*-ext4 | xfs*-caisson) ;;
	loop-caisson-write* | xfs*-caisson-write*) return 1 ;;
	loop-* | xfs*-caisson-* | xfs*-passthrough-hp) [[ $tier == full ]] || matches_one "$2" "${only[@]}" ;;
	*) return 1 ;;
	esac
}

# uring_is_on: does the kernel offer FUSE-over-io_uring?
uring_parameter=/sys/module/fuse/parameters/enable_uring
uring_is_on() { [[ -e $uring_parameter && $(<"$uring_parameter") == Y ]]; }

# For the time of the run; daemons ask when they mount. Others may switch it, too.
uring_switch_on() {
	[[ -e $uring_parameter ]] && ! uring_is_on || return 0
	echo Y >"$uring_parameter" || return 0
	defer uring_switch_off
}
uring_switch_off() { echo N >"$uring_parameter"; }

# backend_probe BACKEND: 1 and the reason in $why when it is not to be had here
backend_probe() {
	local option=${caisson_options[$1]-}
	why=
	case $1 in
	ext4 | caisson) ;;
	caisson-*)
		if ! caissond_help=${caissond_help:-$("$CAISSOND" --help)} ||
			! grep -q "^ *${option%%=*}=" <<<"$caissond_help"; then
			why="this caissond has no option ${option%%=*}="
		elif [[ $1 == caisson-uring ]] && ! uring_is_on; then
			why="the kernel offers no FUSE-over-io_uring"
		fi
		;;
	passthrough-hp*)
		if ! peer_passthrough_hp; then
			:
		elif [[ $1 == *-uring ]] && ! uring_is_on; then
			why="the kernel offers no FUSE-over-io_uring"
		elif [[ $1 == *-uring && $("$PASSTHROUGH_HP" --help 2>&1) != *io_uring* ]]; then
			why="its libfuse knows no io_uring"
		fi
		;;
	qemu-fuse) peer_qemu ;;
	ublk-loop)
		if ! type -P ublk >/dev/null; then
			why="no program ublk"
		elif [[ ! -e /dev/ublk-control ]] && ! modprobe -q ublk_drv; then
			why="the kernel has no ublk"
		fi
		;;
	esac
	[[ -z $why ]]
}

# --- what is served ---

declare -A target_file=() target_dir=() below_dir=()

# backend_start BACKEND: sets its targets. 1 and $why when it does not serve.
backend_start() {
	local name=$1 at=$mounts/$1 below=$place_dir/$1
	below_dir[$name]=$below target_dir[$name]=$at target_file[$name]=$at/data
	why=
	uring_switch_on
	case $name in
	ext4) target_dir[$name]=$below target_file[$name]=$below/data ;;
	caisson*) start_caisson "$name" "$below" "$at" "${caisson_options[$name]}" ;;
	passthrough-hp*) start_passthrough_hp "$name" "$below" "$at" ;;
	qemu-fuse) start_qemu "$below" "$at" ;;
	ublk-loop) start_ublk "$below" ;;
	esac
	[[ -z $why ]]
}

# start_caisson NAME BELOW AT OPTIONS
start_caisson() {
	local options status=$results_dir/logs/$place-$1-status.json
	options=$(daemon_options "$4")
	server_launch "$1" "$3" "$CAISSOND" -f ${options:+-o "$options"} "$2" "$3" || return 0
	"$CAISSON" status "$3" --json >"$status" || why="caisson status does not answer"
	peer_version[$1]="transport $(sed -n 's/.*"transport": *"\([a-z_-]*\)".*/\1/p' "$status")"
}

start_passthrough_hp() {
	local name=$1 below=$2 at=$3 mode=(--nopassthrough)
	case $name in
	*-uring) mode+=(-o io_uring) ;;
	*-kernel) mode=() ;;
	esac
	server_launch "$name" "$at" "$PASSTHROUGH_HP" --foreground "${mode[@]}" "$below" "$at" || return 0
	if [[ $name == *-uring ]] && ! server_has_ring "$name"; then
		why="it does not serve over io_uring here"
	elif [[ $name == *-kernel ]] && ! server_is_passed_by "$name"; then
		why="the kernel passes nothing through here"
	fi
}

# A newer one spreads the requests of an export over several threads; an older one doesn't know how.
start_qemu() {
	local below=$1 at=$2 wanted threads=() thread
	local file="driver=file,node-name=file,filename=$below/data,cache.direct=on,aio=io_uring"
	wanted='"type":"fuse","id":"export","node-name":"file","mountpoint":"'$at/data'","writable":true'
	mkdir -p "$at"
	: >>"$at/data"
	for ((thread = 0; thread < $(nproc); thread++)); do
		threads+=(--object "iothread,id=thread$thread")
	done
	server_launch qemu-fuse "$at/data" "${qemu_command[@]}" "${threads[@]}" --blockdev "$file" --export \
		"{$wanted,\"iothread\":[$(seq -f '"thread%g"' -s , 0 $((thread - 1)))]}" ||
		server_launch qemu-fuse "$at/data" "${qemu_command[@]}" --blockdev "$file" \
			--export "{$wanted}" || true
}

# The process that serves is not the one that `ublk add` starts; it is told by the device.
start_ublk() {
	local below=$1 said id
	if ! said=$(ublk add -t loop -f "$below/data" -d 128 -q "$(nproc)" 2>&1); then
		why=${said##*$'\n'}
		return
	fi
	id=$(sed -n 's/^dev id \([0-9]*\):.*/\1/p' <<<"$said")
	server_pid[ublk-loop]=$(sed -n 's/.*daemon pid \([0-9]*\).*/\1/p' <<<"$said")
	defer end_ublk "$id"
	target_file[ublk-loop]=/dev/ublkb$id
}
end_ublk() {
	unset 'server_pid[ublk-loop]'
	ublk del -n "$1" >/dev/null
}
