#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `caisson watch` says what hangs on this machine: a server that is stopped, a frozen filesystem, and
# two libfuse servers that each wait for the other. While a verified load runs it says nothing. The
# lab (tests/vm/lab) has the cycles through memory.
#
#@ packages: e2fsprogs xfsprogs bindfs fio procps util-linux python3
#@ alone: yes
#@ chaos: it watches servers, by their PIDs
#@ transport: one
#@ timeout: 240
. "$(dirname "$0")/../lib/mount.sh"

top=$scratch/top
reports=$scratch/reports

# once ARGUMENT...: what watch says until it ends: its log, and JSON; and its exit status in $status
once() {
	status=0
	timeout 60 "$1" watch "${@:2}" --once --json >"$scratch/json" 2>"$reports" || status=$?
	cat "$reports"
	[[ $status != 124 ]] || fail "watch hangs"
}
says() { grep -q -e "$1" "$reports" || fail "watch doesn't say: $1"; }
says_nothing() { ! grep -e 'CYCLE' -e 'hang for' "$reports" || fail "watch says that it hangs"; }
status_is() { [[ $status == "$1" ]] || fail "exit status $status, not $1"; }
end_is() {
	python3 - "$scratch/json" "$1" <<-'END'
		import json, sys
		documents = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
		assert {d["end"] for d in documents} == {sys.argv[2]}, documents
		assert (documents[0]["back"] is None) == (sys.argv[2] != "cycle"), documents
	END
}

make_backing ext4 1G
serve "$backing" "$mnt" io_flusher=off
server=$(server_pid)
truncate -s 500M "$mnt/image"
make_filesystem xfs "$mnt/image"
attach "$mnt/image" --direct-io=on
mount_loop "$loop" "$top" -t xfs

say "a verified load, watched"
"$CAISSON" watch --stall 2 >"$scratch/json" 2>"$reports" &
watch=$!
keep_pid[$watch]=1
fio --name=load --directory="$top" --size=64m --rw=randwrite --bs=16k --ioengine=libaio --iodepth=16 \
	--direct=1 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --fsync=100 --time_based \
	--runtime=10 >"$scratch/fio" ||
	fail "$(<"$scratch/fio")"
kill "$watch"
exits 0 wait "$watch"
says 'watch: begin: [1-9][0-9]* filesystems, [1-9][0-9]* devices, [1-9]'
says_nothing

say "nothing hangs"
once "$CAISSON" --stall 1
status_is 0

say "the server is stopped"
defer kill -CONT "$server"
stop_process "$server"
dd if=/dev/urandom of="$top/file" bs=64k count=1 conv=fsync status=none &
client=$!
once "$CAISSON" --stall 3
status_is 1
says "hang for [3-9] s: .* $mnt -> caissond($server), which is stopped by a signal"
end_is stopped
kill -CONT "$server"
wait "$client"

say "the same, with requests for which nobody waits in the kernel"
fio --name=alone --directory="$mnt" --size=16m --rw=randwrite --bs=4k --ioengine=libaio --iodepth=16 --direct=1 \
	--verify_state_save=0 --time_based --runtime=60 >"$scratch/fio" &
client=$!
keep_pid[$client]=1
waiting=$(connection_dir "$mnt")/waiting
# of its asynchronous ones: while it makes its file, it has one at a time, and waits for that
has_requests() { (($(<"$waiting") >= 8)); }
# stop_with_requests: one that was stopped between two requests goes on for a moment
stop_with_requests() {
	stop_process "$server"
	has_requests || ! kill -CONT "$server"
}
wait_until 20 has_requests
wait_until 20 stop_with_requests
once "$CAISSON" --stall 3
status_is 1
says "hang for [3-9] s: .*$mnt -> caissond($server), which is stopped by a signal"
end_is stopped
kill -CONT "$server"
kill -TERM "$client"
exits 128 wait "$client"

say "a filesystem is frozen"
thaw() { fsfreeze --unfreeze "$top" 2>"$scratch/thaw.err" || grep -q 'Invalid argument' "$scratch/thaw.err"; }
fsfreeze --freeze "$top"
defer thaw
touch "$top/another" &
client=$!
once "$CAISSON" --stall 3
status_is 1
end_is thaw
says "hang for [3-9] s: touch($client) opens in xfs $top, which is frozen"
thaw
wait "$client"

say "two servers, of which each waits for the other"
mkdir -p "$scratch"/{one,two}/inner "$scratch"/at-{one,two}
# bindfs DIR MOUNTPOINT: with one thread
serve_bound() {
	bindfs -s -f -o attr_timeout=0,entry_timeout=0,negative_timeout=0 "$1" "$2" &
	keep_pid[$!]=1
	defer umount --lazy "$2"
	defer kill -KILL $!
	wait_until 10 mountpoint -q "$2"
}
serve_bound "$scratch/one" "$scratch/at-one"
one=$!
serve_bound "$scratch/at-one" "$scratch/at-two"
mount --bind "$scratch/at-two" "$scratch/one/inner"
defer umount --lazy "$scratch/one/inner"
stat "$scratch/at-two/inner/none" 2>"$scratch/stat.err" &
once "$CAISSON" --stall 3
status_is 3
says "CYCLE for [3-9] s: stat($!) .*bindfs($one) -> its task $one (bindfs) waits for an answer (request_wait_answer) -> fuse $scratch/at-two"
end_is cycle

say "without root it says what it can't see"
timeout 20 setpriv --reuid=65534 --regid=65534 --clear-groups "$CAISSON" watch --once --stall 1 \
	2>"$reports" || true
says 'read stacks: not permitted'

say "a command gets each report"
timeout 20 "$CAISSON" watch --once --stall 2 --exec "cat >$scratch/report" 2>"$reports" || true
grep -q '^CYCLE for' "$scratch/report" || fail "the command has got: $(<"$scratch/report")"

say "wrong operands"
exits 2 "$CAISSON" watch --nonsense
exits 2 "$CAISSON" watch --stall 0
exits 2 "$CAISSON" watch --stall x
exits 2 "$CAISSON" watch "$top"
