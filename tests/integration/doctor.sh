#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `caisson doctor` draws XFS on a loop device on a mount, finds its server, and judges both. It
# answers while the mount hangs, without root, in a container and where /proc hides processes, and
# says what it couldn't see.
#
#@ packages: e2fsprogs xfsprogs python3 procps util-linux
#@ alone: yes
#@ chaos: it watches one server, by its PID
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

top=$scratch/top
report=$scratch/report

# doctor ARGUMENT...: into $report, and its exit status into $status; it never waits for a mount
doctor() {
	status=0
	timeout 10 "$@" >"$report" || status=$?
	cat "$report"
	[[ $status != 124 ]] || fail "doctor hangs"
}
says() { grep -q -e "$1" "$report" || fail "doctor doesn't say: $1"; }
status_is() { [[ $status == "$1" ]] || fail "exit status $status, not $1"; }
says_not() { ! grep -q -e "$1" "$report" || fail "doctor says: $1"; }

make_backing ext4 1G
serve "$backing" "$mnt" io_flusher=off
server=$(server_pid)

say "nothing lies on the mount: remarks"
doctor "$CAISSON" doctor "$mnt"
status_is 0
says "^info unmarked: caissond($server)"

truncate -s 500M "$mnt/image"
make_filesystem xfs "$mnt/image"
attach "$mnt/image" --direct-io=on
mount_loop "$loop" "$top" -t xfs
stacked=${loop#/dev/}

say "a stack: each layer, and who serves it"
doctor "$CAISSON" doctor "$top" --json
status_is 3
python3 - "$report" "$top" "${loop#/dev/}" "$mnt" "$server" "$backing" <<-'END'
	import json, sys
	report, top, loop, mnt, server, backing = sys.argv[1:]
	document = json.load(open(report, encoding="utf-8"))
	nodes = {node["id"]: node for node in document["nodes"]}
	edges = {(edge["kind"], nodes[edge["upper"]]["name"], nodes[edge["lower"]]["name"])
	         for edge in document["edges"]}
	pids = {node.get("pid") for node in nodes.values()}
	assert {("on", top, loop), ("file", loop, mnt), ("served by", mnt, "caissond"),
	        ("has open", "caissond", backing)} <= edges, edges
	assert int(server) in pids, pids
	rules = {verdict["rule"] for verdict in document["verdicts"]}
	assert rules == {"unmarked", "oom-killable"} or rules == {"unmarked"}, rules
END
doctor "$CAISSON" doctor "$loop" --dot
says '^digraph'
doctor "$CAISSON" doctor "$server"
says "$top"
doctor "$CAISSON" doctor
status_is 3
says "$top"

say "a loop device that caches"
losetup --direct-io=off "$loop"
doctor "$CAISSON" doctor "$top"
says "^warn loop-buffered: ${loop#/dev/}"
losetup --direct-io=on "$loop"
doctor "$CAISSON" doctor "$top"
says_not loop-buffered

say "a loop device whose file has gone, where a symlink to the mount is now"
mkdir "$scratch/lost"
truncate -s 64M "$scratch/lost/image"
attach "$scratch/lost/image"
rm -r "$scratch/lost"
ln -s "$mnt" "$scratch/lost"

say "one whose file another mount hides by now: its number tells on what it is"
mkdir "$scratch/hidden"
mount -t tmpfs under "$scratch/hidden"
defer unmount "$scratch/hidden"
truncate -s 64M "$scratch/hidden/image"
attach "$scratch/hidden/image"
mount -t ramfs over "$scratch/hidden"
defer umount "$scratch/hidden"
doctor "$CAISSON" doctor "$loop"
says "tmpfs  file $scratch/hidden/image"

say "the server is stopped, and the mount hangs"
defer kill -CONT "$server"
stop_process "$server"
stat "$mnt/$RANDOM" 2>"$scratch/stat.err" &
client=$!
doctor "$CAISSON" doctor "$top"
status_is 3
says "^fail stopped: caissond($server)"
doctor "$CAISSON" doctor "$mnt/image"
says "^fail stopped: caissond($server)"
doctor "$CAISSON" doctor --all
says "^fail stopped: caissond($server)"
kill -0 "$client" || fail "the mount doesn't hang"
kill -CONT "$server"
wait "$client" || true

say "as another user; where /proc hides processes; in a container"
doctor setpriv --reuid=65534 --regid=65534 --clear-groups "$CAISSON" doctor "$top"
status_is 1
says "^not seen: the open files of"
says "^warn not-seen: $mnt "
says "$stacked  loop"
doctor unshare --mount sh -c 'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 \
	--regid=65534 --clear-groups "$@"' sh "$CAISSON" doctor "$top"
says "^warn not-seen: $mnt "
doctor unshare --mount --pid --fork --mount-proc "$CAISSON" doctor "$top"
says "^warn not-seen: $mnt "

say "wrong operands"
exits 2 "$CAISSON" doctor --nonsense
exits 2 "$CAISSON" doctor "$scratch/nothing"
exits 2 "$CAISSON" doctor 999999999
exits 2 "$CAISSON" doctor --all "$top"
exits 2 "$CAISSON" doctor --json --dot
