#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The daemon acts with the caller's rights: owners of new files, permissions, groups and setgid
# directories are right, with and without the kernel's own permission check.
#
#@ packages: util-linux e2fsprogs
#@ timeout: 90
#@ sanitize: asan
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

group=12345
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
as_member() { setpriv --reuid=65534 --regid=65534 --groups=$group "$@"; }
owner() { stat -c %u:%g "$1"; }

users() {
	local dir=$1
	mkdir "$mnt/$dir"
	chmod 1777 "$mnt/$dir"
	for make in touch mkdir mkfifo "ln -s /target"; do
		# shellcheck disable=SC2086 # a command and its options
		as_nobody $make "$mnt/$dir/${make%% *}"
		same "$(owner "$backing/$dir/${make%% *}")" 65534:65534 "owner after $make"
	done
	(umask 027 && as_nobody touch "$mnt/$dir/masked")
	same "$(stat -c %a "$backing/$dir/masked")" 640 "mode with umask 027"

	say "$dir: what a stranger may not do"
	echo secret >"$mnt/$dir/secret"
	chmod 600 "$mnt/$dir/secret"
	refused 'Permission denied' as_nobody cat "$mnt/$dir/secret"
	refused 'Permission denied' as_nobody tee "$mnt/$dir/secret" </dev/null
	refused 'Operation not permitted' as_nobody chmod 666 "$mnt/$dir/secret"
	refused 'Operation not permitted' as_nobody chown 65534 "$mnt/$dir/secret"
	refused 'Operation not permitted' as_nobody rm -f "$mnt/$dir/secret" # the sticky bit
	refused 'Permission denied' as_nobody touch "$mnt/new"
	mkdir -m 700 "$mnt/$dir/closed"
	touch "$mnt/$dir/closed/file"
	refused 'Permission denied' as_nobody ls "$mnt/$dir/closed"
	refused 'Permission denied' as_nobody stat "$mnt/$dir/closed/file"

	say "$dir: groups"
	mkdir -m 770 "$mnt/$dir/group"
	chgrp $group "$mnt/$dir/group"
	refused 'Permission denied' as_nobody touch "$mnt/$dir/group/file"
	as_member touch "$mnt/$dir/group/file"
	same "$(owner "$backing/$dir/group/file")" 65534:65534 "owner of a member's file"
	chmod g+s "$mnt/$dir/group"
	as_member touch "$mnt/$dir/group/inherits"
	as_member mkdir "$mnt/$dir/group/dir"
	same "$(owner "$backing/$dir/group/inherits")" 65534:$group "owner in a setgid directory"
	matches "$(stat -c %A "$backing/$dir/group/dir")" '^d.....[sS]' "mode of a directory in it"
	as_member chgrp $group "$mnt/$dir/touch"
	same "$(owner "$backing/$dir/touch")" 65534:$group "owner after chgrp"
	refused 'Operation not permitted' as_nobody chgrp $group "$mnt/$dir/mkdir"

	say "$dir: setuid bits"
	as_nobody cp /bin/true "$mnt/$dir/program"
	as_nobody chmod 6755 "$mnt/$dir/program"
	echo | as_nobody tee -a "$mnt/$dir/program" >"$scratch/ignored"
	same "$(stat -c %a "$backing/$dir/program")" 755 "mode after writing"
}

make_backing ext4 256M
for options in allow_other allow_other,default_permissions; do
	say "$options"
	serve "$backing" "$mnt" "$options"
	users "${options//,/-}"
	unserve
done

say "without allow_other, others are kept out altogether"
serve
refused 'Permission denied' as_nobody ls "$mnt"
unserve
