#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# `caisson audit` and `caisson status` report on a mount that is served without the mark. The audit
# names each unmarked task and exits with 3. The status says that the mount is not safe to stack on.
# Both also do so as JSON.
#
#@ packages: e2fsprogs python3 procps
#@ sanitize: asan
#@ chaos: it watches one server, by its PID
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve "$backing" "$mnt" io_flusher=off
server=$(server_pid)

exits 3 "$CAISSON" audit "$mnt" >"$scratch/audit"
cat "$scratch/audit"
for task in /proc/"$server"/task/*; do
	# a thread that is only just gone is no matter
	name=$(cat "$task/comm" 2>/dev/null) || continue
	grep -w "${task##*/}" "$scratch/audit" | grep -qF "$name" ||
		[[ ! -d $task ]] || fail "task ${task##*/} ($name) is not in the table"
done
exits 3 "$CAISSON" audit "$server" >"$scratch/audit.pid"
exits 3 "$CAISSON" audit "$mnt" --json | python3 -m json.tool >"$scratch/audit.json"
grep -q '"tid"' "$scratch/audit.json"

say "a process that is none of caisson's"
exits 3 "$CAISSON" audit $$ >"$scratch/audit.shell"
grep -qw $$ "$scratch/audit.shell"

"$CAISSON" status "$mnt" | tee "$scratch/status"
grep -qi 'not safe\|safe to stack on.*no' "$scratch/status"
"$CAISSON" status "$mnt" --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
assert status["safe_to_stack"] is False, status["safe_to_stack"]
assert status["mountpoint"] == sys.argv[1], status["mountpoint"]
assert status["pid"] == int(sys.argv[2]), status["pid"]
' "$mnt" "$server"

say "counters move: a write takes two calls of the kernel, one to write and one to answer"
dd if=/dev/zero of="$mnt/file" bs=4k count=100 oflag=direct status=none
before=$(status_total requests) entered=$(status_total enters)
dd if=/dev/zero of="$mnt/file" bs=4k count=100 oflag=direct conv=notrunc status=none
requests=$(($(status_total requests) - before))
more "$requests" 99 "requests of 100 writes"
less $(($(status_total enters) - entered)) $((requests * 5 / 2)) "calls of io_uring_enter()"
unserve

say "wrong operands"
exits 2 "$CAISSON" audit "$mnt"
exits 2 "$CAISSON" status "$mnt"
exits 2 "$CAISSON" status /
exits 2 "$CAISSON" audit 999999999
exits 1 "$CAISSON"
exits 1 "$CAISSON" nonsense
exits 1 "$CAISSON" audit
exits 1 "$CAISSON" status --nonsense "$mnt"
