# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Loads by fio that know what they wrote.

# load DIR NAME BLOCK_SIZE SIZE [FIO-ARGUMENT...]: writes all of a file in random order, each
# block with its checksum in it, QD 32, then reads all of it back and compares. The same name and
# sizes give the same content, so that `--verify_only` checks it again later.
load() {
	local dir=$1 name=$2 block=$3 size=$4
	shift 4
	fio --name="$name" --filename="$dir/$name" --bs="$block" --size="$size" --rw=randwrite \
		--randseed=7 --ioengine=io_uring --iodepth=32 --direct=1 --verify=crc32c \
		--verify_fatal=1 --verify_dump=0 --verify_state_save=0 --end_fsync=1 --eta=never --output-format=terse \
		--terse-version=3 "$@" >/dev/null
}
