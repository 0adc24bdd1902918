#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# At shutdown BACKING is unmounted right after the mount. The kernel lets umount(2) return while the
# server still has files of BACKING open, so umount(8) runs umount.fuse.caisson, which waits for the
# server to end. The keeper has nothing of BACKING open at all. The helper is put where umount(8)
# looks, in a mount namespace of our own.
#
#@ packages: mount util-linux e2fsprogs
#@ alone: yes
#@ timeout: 120
#@ transport: one
if [[ ${1:-} != inside ]]; then
	exec unshare --mount --propagation private "$BASH" "$0" inside
fi
. "$(dirname "$0")/../lib/mount.sh"

# files_below PID DIR: what the process has open there
files_below() { find "/proc/$1/fd" -lname "$2*" -printf '%l\n' 2>/dev/null || true; }
utab_has() { grep -qF "TARGET=$mnt " /run/mount/utab; }

helpers=$scratch/sbin
mkdir -p "$helpers" "$scratch/work" "$mnt"
mount -t overlay -o "lowerdir=$(readlink -f /sbin),upperdir=$helpers,workdir=$scratch/work" overlay \
	"$(readlink -f /sbin)" || skip "no overlay mount over /sbin"
defer umount -l "$(readlink -f /sbin)"
ln -s "$(realpath "$CAISSON")" "$helpers/umount.fuse.caisson"

make_backing ext4 256M
serve
same "$(files_below "${daemon_pid[$mnt]}" "$backing")" "" "what the keeper has open"
[[ -n $(files_below "$(server_pid)" "$backing") ]]
unserve

# Has the server PID end slowly: next to busy loops its threads get little of a CPU.
spinning=()
hold_back() {
	for ((i = 0; i < 2 * $(nproc); i++)); do
		while :; do :; done &
		spinning+=($!)
	done
	find "/proc/$1/task" -mindepth 1 -maxdepth 1 -printf '%f\n' | xargs renice -n 12 -p \
		>"$scratch/said"
}
let_go() {
	((!${#spinning[@]})) || kill "${spinning[@]}" 2>/dev/null || true
	spinning=()
}
defer let_go

# has_ended PID: it has exited, though its parent may not know yet
has_ended() { ! grep -q '^State:[[:space:]]*[^Z]' "/proc/$1/status" 2>/dev/null; }

for command in umount "umount -c" "umount -v -n"; do
	for ((round = 0; round < 2; round++)); do
		say "$command"
		serve >"$scratch/said"
		server=$(server_pid)
		utab_has
		mkdir -p "$mnt/d"
		touch "$mnt"/d/{1..200}
		hold_back "$server"
		# shellcheck disable=SC2086 # words
		$command "$mnt" >"$scratch/said"
		has_ended "$server" || fail "$command: has returned before the server has ended"
		umount "$backing"
		let_go
		await_daemon "$mnt"
		mount "$loop" "$backing"
		! utab_has || fail "utab still has an entry"
	done
done

say "what is detached is waited for by nobody"
serve >"$scratch/said"
exec {held}>"$mnt/held"
umount -l "$mnt"
exec {held}>&-
await_daemon "$mnt"

say "a daemon that ends by itself, or otherwise, leaves no entry"
serve >"$scratch/said"
utab_has
kill -TERM "${daemon_pid[$mnt]}"
await_daemon "$mnt"
! utab_has || fail "utab still has an entry"
serve >"$scratch/said"
fusermount3 -u "$mnt"
await_daemon "$mnt"
! utab_has || fail "utab still has an entry"

say "one that is gone, or mute, keeps nobody waiting"
serve >"$scratch/said"
kill -KILL "$(server_pid)"
await_daemon "$mnt" 2
refused 'not mounted' umount "$mnt"
refused 'absolute MOUNTPOINT' "$helpers/umount.fuse.caisson"
