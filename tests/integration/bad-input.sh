#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# caissond refuses a wrong command line and an unsuitable machine. It prints one line that names the
# object, the action and the reason, exits with the right status, and leaves nothing mounted or
# running.
#
#@ packages: e2fsprogs util-linux python3 procps
#@ alone: yes
#@ timeout: 120
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

options=$(daemon_options "")
prefix=() # the command that the daemon is run by

# rejects STATUS PATTERN ARGUMENT...: in the foreground and in the background
rejects() {
	local wanted=$1 pattern=$2 flag status said
	shift 2
	for flag in -f ""; do
		status=0
		said=$("${prefix[@]}" "$CAISSOND" ${flag:+"$flag"} "$@" 2>&1 </dev/null) || status=$?
		say "status $status: $said"
		((status == wanted)) || fail "status $status, not $wanted: $flag $*"
		same "$(wc -l <<<"$said")" 1 "number of lines"
		matches "$said" '^caissond: [^:]+: .*[^ ]: [^ ].*$' "the form OBJECT: ACTION: REASON"
		matches "$said" "$pattern" message
		! is_in_mountinfo "$mnt" || fail "$mnt is mounted"
		same "$(pgrep -f "^$CAISSOND.* $mnt\$" || true)" "" "daemons left"
	done
}

# with OPTION: an otherwise good command line
with() { rejects "$1" "$2" -o "$3${options:+,$options}" "$backing" "$mnt"; }

make_backing ext4 256M
mkdir "$mnt" "$scratch/empty"
touch "$scratch/file"

say "options"
with 1 'nonsense' nonsense
with 1 'nonsense' nonsense=1
for wrong in queues=0 queues=65 queues=x queues= queues=-1 queues=1x queue_depth=0 queue_depth=100000 \
	workers=0 max_write=1000 max_write=1T max_write=99999999999999999999 inodes=1 files=1 \
	cache=directsync io_flusher=perhaps mlock= log=printer attr_timeout=-1 attr_timeout=x \
	entry_timeout=99999999999999999999; do
	rejects 1 "${wrong%%=*}" -o "$wrong" "$backing" "$mnt"
done
rejects 1 'BACKING'
rejects 1 'MOUNTPOINT' "$backing"
rejects 1 'extra' "$backing" "$mnt" extra
rejects 1 '-x' -x "$backing" "$mnt"

say "BACKING"
rejects 2 "$scratch/missing: .*No such file" -o "$options" "$scratch/missing" "$mnt"
rejects 2 "$scratch/file: .*Not a directory" -o "$options" "$scratch/file" "$mnt"
mkdir "$mnt/below"
rejects 2 "$mnt/below: .*$mnt" -o "$options" "$mnt/below" "$mnt"
rejects 2 "$scratch: .*$mnt" -o "$options" "$scratch" "$mnt"
rejects 2 "same" -o "$options" "$mnt" "$mnt"
ln -s . "$mnt/self"
rejects 2 "same" -o "$options" "$mnt" "$mnt/self"
rm -r "$mnt/below" "$mnt/self"

say "MOUNTPOINT"
rejects 2 "$scratch/missing: .*No such file" -o "$options" "$backing" "$scratch/missing"
rejects 2 "$scratch/file: .*Not a directory" -o "$options" "$backing" "$scratch/file"

say "in use"
serve "$backing" "$scratch/other"
rejects 2 "$backing: .*another caissond" -o "$options" "$backing" "$mnt"
rejects 2 "$scratch/other: .*in use" -o "$options" "$scratch/empty" "$scratch/other"
unserve "$scratch/other"

# without CAPABILITY...: the prefix for a daemon that can't have them
without() {
	local IFS=,
	local -a minus=("${@/#/-}")
	prefix=(setpriv "--bounding-set=${minus[*]}" "--inh-caps=${minus[*]}")
}

say "rights and limits"
chmod 700 "$backing"
without dac_override dac_read_search
prefix+=(--reuid=65534 --clear-groups)
cp "$CAISSOND" "$scratch/caissond"
chmod 755 "$scratch/caissond"
CAISSOND=$scratch/caissond rejects 2 "$backing: .*Permission denied" -o "$options" "$backing" "$mnt"
chmod 755 "$backing"

without sys_resource
rejects 3 'IO_FLUSHER.*CAP_SYS_RESOURCE' -o io_flusher=require "$backing" "$mnt"

without sys_resource ipc_lock
prefix+=(prlimit --memlock=65536:65536)
[[ -n ${CAISSON_SANITIZER:-} ]] ||
	rejects 3 'memory: lock: .*MEMLOCK' -o io_flusher=off,mlock=require "$backing" "$mnt"

without sys_resource
prefix+=(prlimit --nofile=64:64)
rejects 2 'descriptors' -o "io_flusher=off${options:+,$options}" "$backing" "$mnt"

say "what the kernel lacks"
prefix=(python3 "$tests_dir/integration/no-io-uring.py")
rejects 2 'io_uring|ring' -o "$options" "$backing" "$mnt"
# shellcheck disable=SC2016 # for the inner shell
prefix=(unshare --mount --propagation private "$BASH" -c
	'mount --bind "$0" /dev && exec "$@"' "$scratch/empty")
rejects 2 '/dev/fuse' -o "$options" "$backing" "$mnt"

say "and all the same it serves"
prefix=()
serve
unserve
