#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# zloop uses a directory of zones through the mount. An operation that the zone's rules allow is
# done and is on stable storage before it is answered. All other operations are refused and counted.
# Sizes stay exact even after the disk became full (S11). The case reads stable storage from a copy
# of the disk's image, which it takes as a power cut would leave it.
#
#@ packages: python3 e2fsprogs attr strace
#@ timeout: 240
#@ sanitize: tsan
#@ chaos: it counts what each server begins anew
. "$(dirname "$0")/../lib/mount.sh"

zones=$mnt/0
seq=$zones/seq-000002
cnv=$zones/cnv-000001

# dd's block is 1 MiB, which is one request of zloop's
put() { dd if="$scratch/bytes" of="$1" bs="$2" seek="$3" count=1 conv=notrunc status=none "${@:4}"; }
plain() { python3 "$tests_dir/integration/zoned.py" "$@"; }
size() { stat -c %s "$1"; }

# refused_zone TEXT COMMAND...: and counted, once or, where the kernel tries again, more often
refused_zone() {
	local before
	before=$(status_total zone_refusals)
	refused "$@"
	more "$(status_total zone_refusals)" "$before" "zone_refusals after: ${*:2}"
}

# survives NAME SIZE [BYTES]: what a power cut right now would leave of it; the first BYTES are those
# that were written
survives() {
	local copy=$scratch/copy loop got
	cp --sparse=always "$backing.image" "$copy.image"
	mkdir -p "$copy"
	attach "$copy.image"
	mount -t ext4 "$loop" "$copy"
	got=$(stat -c %s "$copy/0/$1" 2>&1) || true
	cmp -n "${3:-0}" "$scratch/bytes" "$copy/0/$1" || got="$got with other bytes"
	umount_idle "$copy"
	detach "$loop"
	same "$got" "$2" "size of $1 after a power cut"
}

# flushes COMMAND...: it made the backing disk flush
flushes() {
	local before after
	before=$(cut -d ' ' -f 16 <<<"$(awk '$1=$1' "$disk_stat")")
	"$@"
	after=$(cut -d ' ' -f 16 <<<"$(awk '$1=$1' "$disk_stat")")
	more "$after" "$before" "flushes of the disk after: $*"
}

# condition NUMBER: of the zone, by the report
condition() {
	"$CAISSON" zoned report "${2:-$zones}" --json | python3 -c '
import json, sys
zone = json.load(sys.stdin)["zones"][int(sys.argv[1])]
pointer = zone["write_pointer"]
print(zone["kind"], zone["capacity"], "-" if pointer is None else pointer - zone["start"], zone["condition"])
' "$1"
}

# fill_up: the disk has 2.25 MiB left, less what the filesystem needs itself; then writes until it is
# full. With cache=none ext4 refuses the write that doesn't fit; with writeback it writes a part.
fill_up() {
	local before
	truncate -s 0 "$seq"
	refused 'No space left' dd if=/dev/zero of="$backing/filler" bs=64k oflag=direct status=none
	truncate -s $(($(size "$backing/filler") - (9 << 18))) "$backing/filler"
	sync -f "$backing"
	# at 1.5 MiB, half of a request fits; at its end is also where a large folio would begin
	put "$seq" 512K 0
	refused 'No space left' dd if="$scratch/bytes" of="$seq" bs=1M count=6 conv=notrunc \
		oflag=direct,seek_bytes seek=524288 status=none
	same "$(size "$backing/0/seq-000002")" 1572864 "size after ENOSPC"
	survives seq-000002 1572864 524288
	same "$(condition 2)" "sequential 6291456 1572864 closed" "zone 2"
	before=$(status_total zone_refusals)
	refused 'No space left' plain write "$seq" 1572864 1048576
	same "$(size "$backing/0/seq-000002")" 1572864 "size after ENOSPC of an asynchronous write"
	same "$(status_total zone_refusals)" "$before" \
		"zone_refusals: what the kernel asks for after a failure"
	rm "$backing/filler"
	put "$seq" 1M 1572864 oflag=direct,seek_bytes
	survives seq-000002 2621440 524288
}

create() { "$CAISSON" zoned create "$@"; }

head -c 8M /dev/urandom >"$scratch/bytes"
make_backing ext4 192M
disk_stat=/sys/block/${loop#/dev/}/stat
# nothing is committed because its time has come
mount -o remount,commit=300 "$backing"

say "geometries that zloop would not have"
sane=(--size 64M --zone-size 8M)
refused 'power of two' create "$backing/x" --size 66M --zone-size 6M
refused 'power of two' create "$backing/x" --size 1M --zone-size 512K
refused 'power of two' create "$backing/x" --size 64G --zone-size 32G
refused 'multiple of the zone size' create "$backing/x" --size 66M --zone-size 8M
refused 'multiple of 1M' create "$backing/x" "${sane[@]}" --zone-capacity 6145K
refused 'larger than the zone size' create "$backing/x" "${sane[@]}" --zone-capacity 9M
refused 'must be sequential' create "$backing/x" "${sane[@]}" --conventional 8
refused '2 to 1000000 zones' create "$backing/x" --size 8M --zone-size 8M
refused 'such as 256M' create "$backing/x" --size 64M --zone-size 8X
exits 1 create "$backing/x" "${sane[@]}" --conventional 9 2>/dev/null
mkdir "$backing/full"
touch "$backing/full/something"
refused "$backing/full: create: Directory not empty" create "$backing/full" "${sane[@]}"
exits 2 create "$backing/full" "${sane[@]}" 2>/dev/null
# two conventional zones fit, and more don't: nothing is left of those two
refused 'No space left' create "$backing/x" --size 640M --zone-size 64M --conventional 9
same "$(ls -A "$backing")" "$(printf 'full\nlost+found')" "what refusals leave"
rm -r "$backing/full"

say "a directory"
# an empty one keeps its owner and mode
mkdir -m 750 "$backing/0"
flushes create "$backing/0" "${sane[@]}" --zone-capacity 6M --conventional 2
survives cnv-000001 8388608
survives seq-000007 0
same "$(stat -c %a "$backing/0")" 750 "mode of the directory"
same "$(cd "$backing/0" && stat -c '%a %s %n' -- *)" "600 8388608 cnv-000000
600 8388608 cnv-000001
$(printf '600 0 seq-%06u\n' 2 3 4 5 6 7)" "the files"
more "$(blocks "$backing/0/cnv-000001")" 16383 "blocks of a conventional zone"
# each file and the directory, before it gets its name; then its parent. (Leaks can't be looked for
# under a tracer.)
ASAN_OPTIONS=detect_leaks=0 strace -f -q -e trace=fsync,renameat,renameat2 -o "$scratch/trace" \
	"$CAISSON" zoned create "$backing/traced" --size 4M --zone-size 1M --conventional 1
same "$(grep -oE '(fsync|rename)' "$scratch/trace" | uniq -c | awk '{ printf "%s %s ", $1, $2 }')" \
	"5 fsync 1 rename 1 fsync " "order of syncs"
rm -r "$backing/traced"
# nothing is left of one that was ended
ASAN_OPTIONS=detect_leaks=0 refused 'Interrupted' strace -f -q -o /dev/null -e trace=fsync \
	-e inject=fsync:signal=TERM:when=2 "$CAISSON" zoned create "$backing/ended" "${sane[@]}"
(
	trap '' HUP # as nohup(1) does
	ASAN_OPTIONS=detect_leaks=0 strace -f -q -o /dev/null -e trace=fsync \
		-e inject=fsync:signal=HUP:when=2 "$CAISSON" zoned create "$backing/kept" "${sane[@]}"
) || fail "create was ended by a signal that its caller ignores"
rm -r "$backing/kept"
# the owner of its parent puts a directory of root's in place of what is being made
mkdir "$backing/theirs" "$backing/theirs/0" "$backing/theirs/secret"
chmod 700 "$backing/theirs/secret"
touch "$backing/theirs/secret/file"
chown 65534:65534 "$backing/theirs" "$backing/theirs/0"
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
begun() { compgen -G "$backing/theirs/.caisson-zoned-*" >"$scratch/begun"; }
swap() {
	wait_until 20 begun
	as_nobody mv -T "$(<"$scratch/begun")" "$backing/theirs/begun"
	as_nobody mv -T "$backing/theirs/secret" "$(<"$scratch/begun")"
}
swap &
swapper=$!
ASAN_OPTIONS=detect_leaks=0 exits 2 strace -f -q -o /dev/null -e trace=mkdirat \
	-e inject=mkdirat:delay_exit=3000000:when=1 "$CAISSON" zoned create "$backing/theirs/0" "${sane[@]}"
wait "$swapper"
same "$(stat -c '%u %a' "$(<"$scratch/begun")")" "0 700" "owner and mode of root's directory"
same "$(ls -A "$(<"$scratch/begun")")" file "content of root's directory"
rm -r "$backing/theirs"
long=$(printf '%0255u' 0)
create "$backing/$long" --size 2M --zone-size 1M
rm -r "${backing:?}/$long"
same "$(ls -A "$backing")" "$(printf '0\nlost+found')" "what an interruption leaves"
create "$backing/sparse" "${sane[@]}" --conventional 1 --sparse
same "$(stat -c '%s %b' "$backing/sparse/cnv-000000")" "8388608 0" "a sparse zone"
cp -a "$backing/0" "$backing/copy"
same "$("$CAISSON" zoned report "$backing/copy")" "$("$CAISSON" zoned report "$backing/0")" "a copy"
rm -r "$backing/sparse" "$backing/copy"

serve
same "$(condition 1)" "conventional 8388608 - not-wp" "zone 1"
same "$(condition 2)" "sequential 6291456 0 empty" "zone 2"
same "$(status_total zone_refusals)" 0 "zone_refusals of a new mount"

say "writes at the write pointer, and elsewhere"
flushes put "$seq" 1M 0 oflag=direct
survives seq-000002 1048576 1048576
same "$(condition 2)" "sequential 6291456 1048576 closed" "zone 2"
flushes put "$seq" 1M 1
survives seq-000002 2097152 1048576
refused_zone 'Input/output error' put "$seq" 1M 0 oflag=direct
refused_zone 'Input/output error' put "$seq" 1M 0
refused_zone 'Input/output error' put "$seq" 1M 3 oflag=direct
refused_zone 'Input/output error' put "$seq" 4096 513
refused_zone 'Input/output error' put "$seq" 512 4096 oflag=direct
same "$(size "$seq")" 2097152 "size after refusals"
# longer than a request: its pieces come one after the other
put "$seq" 4M 0 oflag=direct,seek_bytes seek=2097152
same "$(condition 2)" "sequential 6291456 6291456 full" "zone 2"
refused_zone 'Input/output error' put "$seq" 1M 6
cmp -n 2097152 -i 2097152:0 "$seq" "$scratch/bytes"

say "asynchronous writes, as zloop's are"
aio() { plain write "$zones/seq-000003" "$@"; }
flushes aio 0 1048576
flushes aio 1048576 1048576
survives seq-000003 2097152
refused_zone 'Input/output error' aio 0 4096
refused_zone 'Input/output error' aio 4194304 4096
same "$(condition 3)" "sequential 6291456 2097152 closed" "zone 3"

# the pieces of a longer one come in any order: as many are written as come in the right one, and
# after that the zone is as good as before
for _ in 1 2 3 4 5 6 7 8; do
	truncate -s 0 "$zones/seq-000004"
	plain write "$zones/seq-000004" 0 1048576
	plain write "$zones/seq-000004" 1048576 4194304 2>>"$scratch/pieces" || true
	end=$(size "$backing/0/seq-000004")
	more "$end" 1048575 "size after a write in pieces"
	same $((end % 1048576)) 0 "size after a write in pieces, by requests"
	same "$(condition 4)" "sequential 6291456 $end closed" "zone 4"
	plain write "$zones/seq-000004" "$end" 1048576
done
say "$(grep -c 'Input/output error' "$scratch/pieces" || true) of 8 writes in pieces failed"
truncate -s 0 "$zones/seq-000004"

say "reset and finish"
flushes truncate -s 0 "$seq"
survives seq-000002 0
same "$(condition 2)" "sequential 6291456 0 empty" "zone 2"
put "$seq" 1M 0
refused_zone 'Input/output error' truncate -s 4096 "$seq"
refused_zone 'Input/output error' truncate -s 2M "$seq"
refused_zone 'Input/output error' truncate -s 9M "$seq"
same "$(size "$seq")" 1048576 "size after refusals"
flushes truncate -s 6M "$seq"
survives seq-000002 6291456 1048576
same "$(condition 2)" "sequential 6291456 6291456 full" "zone 2"
# by name, as zloop does it
flushes plain truncate "$seq" 0
survives seq-000002 0
# zloop finishes a zone with its whole length, and would not take one that has it
flushes plain truncate "$seq" $((8 << 20))
same "$(size "$seq") $(size "$backing/0/seq-000002")" "6291456 6291456" "size of a finished zone"
dd if="$scratch/bytes" of="$seq" bs=1M count=1 status=none
same "$(size "$seq")" 1048576 "size after O_TRUNC and a write"
truncate -s 0 "$seq"

say "a conventional zone"
flushes put "$cnv" 1M 7 oflag=direct
flushes put "$cnv" 3 1
cmp -n 1048576 -i $((7 << 20)):0 "$cnv" "$scratch/bytes"
refused_zone 'Input/output error' put "$cnv" 1M 8 oflag=direct
refused_zone 'Input/output error' put "$cnv" 3M 2 oflag=direct
refused_zone 'Input/output error' truncate -s 0 "$cnv"
refused_zone 'Input/output error' fallocate -o 4M -l 8M "$cnv"
refused_zone 'Input/output error' fallocate -n -o 4096 -l 4096 "$seq"
truncate -s 8M "$cnv"
flushes plain punch "$cnv" $((7 << 20)) $((1 << 20))
less "$(blocks "$backing/0/cnv-000001")" 16384 "blocks after a hole was punched"
fallocate -z -o 0 -l 1M "$cnv"
same "$(size "$cnv")" 8388608 "size of a conventional zone"
cp "$zones/seq-000003" "$zones/seq-000004" # the kernel may ask for copy_file_range
cmp "$zones/seq-000003" "$zones/seq-000004"

say "names and the mark"
refused_zone 'Operation not permitted' rm -f "$seq"
refused_zone 'Operation not permitted' mv "$seq" "$zones/seq-000009"
refused_zone 'Operation not permitted' mv "$seq" "$mnt/out"
refused_zone 'Operation not permitted' ln "$seq" "$mnt/link"
refused_zone 'Operation not permitted' touch "$zones/seq-000009"
refused_zone 'Operation not permitted' mkdir "$zones/directory"
refused_zone 'Operation not permitted' setfattr -x user.caisson.zoned "$zones"
refused_zone 'Operation not permitted' setfattr -n user.caisson.zoned -v x "$zones"
refused_zone 'not through the mount' create "$mnt/1" "${sane[@]}"
same "$(ls -A "$mnt")" "$(printf '0\nlost+found')" "names after refusals"
chmod 640 "$seq"
same "$(stat -c %a "$backing/0/seq-000002")" 640 "mode"

say "the disk gets full in the middle of a write"
fill_up

say "an ordinary directory is as ever"
mkdir "$mnt/plain"
put "$mnt/plain/seq-000002" 1M 3
truncate -s 4097 "$mnt/plain/seq-000002"
rm -r "$mnt/plain"
unserve

say "the same with cache=writeback"
serve "$backing" "$mnt" cache=writeback
flushes truncate -s 0 "$seq"
flushes put "$seq" 1M 0
survives seq-000002 1048576 1048576
refused_zone 'Input/output error' put "$seq" 1M 0
fill_up
unserve

say "what is not as zloop needs it"
truncate -s 100 "$backing/0/seq-000005"
truncate -s 7M "$backing/0/cnv-000000"
rm "$backing/0/seq-000006"
refused '3 of its zones' "$CAISSON" zoned report "$backing/0" >"$scratch/report"
matches "$(tr -s ' ' <"$scratch/report")" ' 0 conventional [^'$'\n'']* invalid.* 5 sequential [^'$'\n'']* invalid.* 6 sequential [^'$'\n'']* missing' "report"
serve
# its names come from the listing, with what they are
same "$(find "$zones" -name 'seq-*' -size -1 -printf "%f")" seq-000007 "empty zones"
refused_zone 'Input/output error' put "$zones/seq-000004" 4096 0
refused_zone 'Input/output error' put "$zones/seq-000005" 4096 0
truncate -s 0 "$zones/seq-000005"
put "$zones/seq-000005" 4096 0
unserve
