#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Extended attributes and POSIX ACLs can be set, listed and inherited, are enforced, and are in the
# backing directory, too.
#
#@ packages: attr acl e2fsprogs util-linux
#@ sanitize: asan
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
acl() { getfacl --omit-header --absolute-names --numeric "$1" | tr '\n' ' ' | sed 's/  *$//'; }

make_backing ext4 256M
serve "$backing" "$mnt" allow_other
chmod 755 "$mnt"

say "attributes"
touch "$mnt/file"
setfattr -n user.one -v 1 "$mnt/file"
setfattr -n user.empty "$mnt/file"
head -c 3000 /dev/urandom | base64 -w 0 | head -c 3000 >"$scratch/value"
setfattr -n user.long -v "$(<"$scratch/value")" "$mnt/file"
same "$(getfattr --only-values -n user.long "$mnt/file")" "$(<"$scratch/value")" "a long value"
same "$(getfattr --absolute-names --only-values -n user.one "$backing/file")" 1 "the value below"
same "$(getfattr -m '^user\.' --absolute-names "$mnt/file" | grep -c '^user\.')" 3 "listed names"
setfattr -x user.one "$mnt/file"
refused 'No such attribute' getfattr -n user.one "$mnt/file"
refused 'No such attribute' setfattr -x user.one "$mnt/file"
refused 'Operation not supported' setfattr -n nonsense.name -v 1 "$mnt/file"
refused 'No space left' setfattr -n user.big -v "$(printf '%05000d' 0)" "$mnt/file"
say "no trusted.* unless asked for"
refused '' setfattr -n trusted.name -v 1 "$mnt/file"

say "ACLs"
setfacl -m u:65534:rw,g:12345:r "$mnt/file"
same "$(acl "$mnt/file")" "$(acl "$backing/file")" "ACL"
matches "$(acl "$mnt/file")" 'user:65534:rw-' ACL
mkdir "$mnt/dir"
setfacl -m d:u:65534:rwx,d:g::r-x,d:o::- "$mnt/dir"
touch "$mnt/dir/file"
mkdir "$mnt/dir/sub"
same "$(acl "$mnt/dir/file")" "$(acl "$backing/dir/file")" "ACL of a file in it"
matches "$(acl "$mnt/dir/sub")" 'default:user:65534:rwx' "default ACL of a directory in it"
(cd "$backing" && mkdir control && setfacl -m d:u:65534:rwx,d:g::r-x,d:o::- control &&
	touch control/file && mkdir control/sub)
same "$(acl "$mnt/dir/file")" "$(acl "$backing/control/file")" "inherited as without caisson"
same "$(acl "$mnt/dir/sub")" "$(acl "$backing/control/sub")" "inherited as without caisson"

say "in force"
chmod 700 "$mnt/file"
setfacl -m u:65534:r "$mnt/file"
as_nobody cat "$mnt/file"
refused 'Permission denied' as_nobody tee -a "$mnt/file" </dev/null
setfacl -x u:65534 "$mnt/file"
refused 'Permission denied' as_nobody cat "$mnt/file"
setfacl -b "$mnt/dir"
same "$(acl "$mnt/dir")" "$(acl "$backing/dir")" "ACL after removal"
[[ $(acl "$mnt/dir") != *default* ]]
chmod 2775 "$mnt/dir"
refused 'Operation not permitted' as_nobody setfacl -m u:65534:rwx "$mnt/dir"
unserve
