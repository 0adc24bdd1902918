#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Root asks for the status of a user's mount, so the user's process answers. It can't send control
# characters to root's terminal, can't have another user's process audited, and can't pass for
# another mount. Root doesn't change the flags of that mount as if it were root's own.
#
#@ packages: e2fsprogs util-linux python3
#@ alone: yes
#@ transport: one
if [[ ${1:-} != inside ]]; then
	exec unshare --mount --propagation private "$BASH" "$0" inside
fi
. "$(dirname "$0")/../lib/mount.sh"

[[ -c /dev/fuse ]] || skip "/dev/fuse is missing"
foreign=$scratch/foreign
mkdir "$foreign"
mount -t tmpfs -o mode=755 none /run
sockets=/run/user/65534/caisson

end_mount() { ! is_in_mountinfo "$foreign" || umount -l "$foreign"; }
defer end_mount

# foreign ANSWER: serves it, at $foreign
foreign() {
	coproc SERVER { exec python3 "$tests_dir/integration/foreign-socket.py" "$foreign" "$sockets" "$1"; }
	local said
	listener_pid=$SERVER_PID
	read -r -t 30 -u "${SERVER[0]}" said
	same "$said" ready "what the foreign server says"
}
end_foreign() {
	echo end >&"${SERVER[1]}"
	wait "$listener_pid"
	umount "$foreign"
	rm -r "$sockets"
}
# has_controls FILE: anything but printable ASCII and newlines
has_controls() { LC_ALL=C grep -q '[^ -~]' "$1"; }

say "escape sequences"
for answer in 'backing=title \x1b]0;owned\a and \x9b31m and \xc2\x9b31m and \x7f\r\nnew=\x1b[2J\n\n' \
	'cache\x1b[2J=none\n\n' 'error: \x1b[2J\nnext\x9b\n'; do
	foreign "$answer"
	for json in "" --json; do
		"$CAISSON" status ${json:+"$json"} "$foreign" >"$scratch/said" 2>&1 || true
		[[ -s $scratch/said ]]
		! has_controls "$scratch/said" || fail "control characters: $(cat -v "$scratch/said")"
	done
	end_foreign
done

say "processes of others"
for answer in 'pid=1\nkeeper_pid=1\nkeeper_alive=yes\n\n' "pid=$$\\nkeeper_pid=$$\\nkeeper_alive=yes\\n\\n" \
	'pid=999999999\nkeeper_alive=no\n\n'; do
	foreign "$answer"
	"$CAISSON" audit "$foreign" >"$scratch/said" 2>&1 || true
	! grep -E '^PID (1|'$$'|999999999) ' "$scratch/said" || fail "judged a process by $answer"
	end_foreign
done

say "an answer that is cut short"
for answer in 'pid=1\nlocked_bytes=12' 'pid=1\nlocked_bytes=1234\n' 'pid=1\x00\nworkers=1\n\n'; do
	foreign "$answer"
	refused 'cut short' "$CAISSON" status "$foreign"
	refused 'cut short' "$CAISSON" audit "$foreign"
	end_foreign
done

say "other flags"
foreign '\n'
flags=$(findmnt -n -o VFS-OPTIONS "$foreign")
refused 'belongs to another user' "$CAISSOND" -o remount,suid,dev "$scratch" "$foreign"
same "$(findmnt -n -o VFS-OPTIONS "$foreign")" "$flags" flags
end_foreign

say "the socket of another mount"
make_backing ext4 256M
serve "$backing" "$mnt" recovery=off # so that there is no third process
"$CAISSON" status "$mnt" >"$scratch/said"
foreign "/run/caisson/$(awk -v at="$mnt" '$5 == at { print $3 }' /proc/self/mountinfo).sock"
refused "isn't the owner" "$CAISSON" status "$foreign"
refused "isn't the owner" "$CAISSON" audit "$foreign"
end_foreign
exits 3 "$CAISSON" audit "$mnt" >"$scratch/said"
same "$(grep -c '^PID ' "$scratch/said")" 2 "number of processes"
unserve

say "names in messages"
refused '?]0;owned?' "$CAISSON" status $'/nonexistent/\e]0;owned\a'
refused '?[2J' "$CAISSON" zoned report $'/nonexistent/\e[2J'
