#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `caisson doctor` tells several FUSE mounts and their servers apart: a libfuse filesystem on a
# mount of caisson, an overlay on that, and two containers with mounts of their own. It finds a
# server whose files lie on what it serves.
#
#@ packages: e2fsprogs bindfs procps util-linux python3
#@ alone: yes
#@ chaos: it watches servers, by their PIDs
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

# edges OBJECT...: "KIND UPPER LOWER" a line, processes with their PIDs
edges() {
	"$CAISSON" doctor "$@" --json >"$scratch/report" || (($? != 2)) || fail "doctor failed"
	python3 - "$scratch/report" <<-'END'
		import json, sys
		document = json.load(open(sys.argv[1], encoding="utf-8"))
		names = {node["id"]: f"{node['name']}({node['pid']})" if "pid" in node else node["name"]
		         for node in document["nodes"]}
		for edge in document["edges"]:
		    print(edge["kind"], names[edge["upper"]], names[edge["lower"]])
	END
}
has_edge() { grep -qxF -- "$1" "$scratch/edges" || fail "no edge: $1"$'\n'"$(<"$scratch/edges")"; }
has_no_edge() { ! grep -qF -- "$1" "$scratch/edges" || fail "an edge: $1"; }

make_backing ext4 256M
serve "$backing" "$mnt" io_flusher=off
server=$(server_pid)
mkdir "$mnt/lower" "$scratch/bound" "$scratch/upper" "$scratch/work" "$scratch/over"
bindfs -f "$mnt/lower" "$scratch/bound" &
bindfs=$!
keep_pid[$bindfs]=1
defer unmount "$scratch/bound"
wait_until 10 mountpoint -q "$scratch/bound"

say "a filesystem of libfuse on ours, and an overlay"
mount -t overlay -o "lowerdir=$scratch/bound,upperdir=$scratch/upper,workdir=$scratch/work" overlay \
	"$scratch/over" || skip "no overlayfs"
defer unmount "$scratch/over"
edges "$scratch/over" >"$scratch/edges"
has_edge "file $scratch/over $scratch/bound"
has_edge "served by $scratch/bound bindfs($bindfs)"
has_edge "has open bindfs($bindfs) $mnt"
has_edge "served by $mnt caissond($server)"
has_edge "has open caissond($server) $backing"
has_no_edge "served by $mnt bindfs"
has_no_edge "served by $scratch/bound caissond"

say "a server with a file on what it serves"
truncate -s 32M "$scratch/bound/image"
attach "$scratch/bound/image"
mkfs.ext4 -q "$loop"
mount_loop "$loop" "$scratch/top"
"$CAISSON" doctor "$scratch/top" >"$scratch/report" || true
! grep -q "file-above: bindfs($bindfs)" "$scratch/report" || fail "nothing lies above yet"
mkdir "$scratch/top/data" "$scratch/again"
bindfs -f "$scratch/top/data" "$scratch/again" &
again=$!
keep_pid[$again]=1
defer unmount "$scratch/again"
wait_until 10 mountpoint -q "$scratch/again"
edges "$scratch/again" >"$scratch/edges"
has_edge "has open bindfs($again) $scratch/top"
umount "$scratch/again"
wait "$again" || true

say "two containers"
declare -A container=()
for name in one two; do
	mkdir "$backing/$name" "$scratch/$name"
	unshare --mount --propagation private bindfs -f "$backing/$name" "$scratch/$name" &
	container[$name]=$!
	defer kill "${container[$name]}"
	keep_pid[${container[$name]}]=1
	wait_until 10 grep -qs "$scratch/$name " "/proc/${container[$name]}/mountinfo"
done
edges --all >"$scratch/edges"
has_edge "served by $scratch/one bindfs(${container[one]})"
has_edge "served by $scratch/two bindfs(${container[two]})"
has_edge "has open bindfs(${container[two]}) $backing"
has_no_edge "served by $scratch/one bindfs(${container[two]})"
edges >"$scratch/edges"
has_no_edge "served by $scratch/one "
edges "${container[two]}" >"$scratch/edges"
has_edge "served by $scratch/two bindfs(${container[two]})"
