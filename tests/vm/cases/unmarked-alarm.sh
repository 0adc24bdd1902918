# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# caissond doesn't serve while one of its tasks lacks the mark, and goes on looking for such a task
# (S1). One that is there before the first request keeps caissond from serving. One that appears
# later causes an alarm in the log, in the status and in the audit. guest/unmarked.c makes such a
# task.
#
#@ build: caissond caisson
#@ preload: unmarked.c
#@ programs: mkfs.ext4
#@ packages: e2fsprogs
#@ modules: fuse ext4
#@ disk: 256M

store=/run/store
trigger=/run/unmark

start_with_meddler() {
	LD_PRELOAD=/usr/lib/unmarked.so UNMARK_WHEN=$trigger
	export LD_PRELOAD UNMARK_WHEN
	start_caissond /backing "$store"
	started=$?
	unset LD_PRELOAD UNMARK_WHEN
	return $started
}
status_is_safe() { caisson status "$store" --json | tr -d ' ' | grep -q '"safe_to_stack":true'; }
status_is_unsafe() { caisson status "$store" --json | tr -d ' ' | grep -q '"safe_to_stack":false'; }

mount_backing

touch "$trigger"
expect_status 3 "starting with an unmarked task" start_with_meddler
check "nothing is mounted" is_not_mounted "$store"

rm "$trigger"
must "start with a task that is still marked" start_with_meddler
audit_is_green "before" "$store"
check "status before" status_is_safe

touch "$trigger"
check "status tells of it" wait_until 20 status_is_unsafe
caisson status "$store" | sed 's/^/status: /'
check "the log tells of it" wait_until 20 log_tells meddler
show_caissond_log
expect_status 3 "audit" caisson audit "$store"
caisson audit "$store" >/run/audit.txt 2>&1
sed 's/^/audit: /' /run/audit.txt
check "audit names it" grep -q meddler /run/audit.txt

echo hello >"$store/file"
check "it goes on serving" grep -q hello /backing/file
expect_status 0 "SIGTERM" stop_caissond 60
check "nothing is left mounted" is_not_mounted "$store"
