#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Names change in the backing directory while a user works with them on the mount. The user must not
# reach root's files that the permissions deny (intruder.py). The case first runs on ext4 alone, as
# a control.
#
#@ packages: python3 e2fsprogs
#@ timeout: 900
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

seconds=${STORM_SECONDS:-5}
make_backing ext4 256M
chmod 755 "$backing"
say "without a mount"
python3 "$tests_dir/integration/intruder.py" "$backing" "$backing" 2

users=("")
! unshare --user true 2>/dev/null || users+=(namespace)
# one run shows all that are red
red=()
for options in attr_timeout=1,entry_timeout=1 attr_timeout=0,entry_timeout=0; do
	for user in "${users[@]}"; do
		say "$options ${user:+as root of a }$user"
		serve "$backing" "$mnt" "allow_other,$options"
		python3 "$tests_dir/integration/intruder.py" "$mnt" "$backing" "$seconds" "$user" ||
			red+=("$options${user:+ $user}")
		unserve
	done
done
same "${red[*]}" "" "list of red timeouts"
