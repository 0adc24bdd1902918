#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The data path allocates nothing, prints nothing and asks no name service: read off what its
# objects leave undefined. An allowlist: a new function of the C library is a decision.
#
#@ packages: binutils
#@ timeout: 30
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

objects=(engine gate op-io queue request transport-dev transport-uring dispatch pool zone)

# of the C library and liburing, as the objects above need them
allowed=(
	memchr memcpy memset strlen strnlen strchr memcmp
	__assert_fail __errno_location __stack_chk_fail
	read write poll close open open64 ioctl eventfd
	syscall # capset around the registration of an identity, before the seal
	io_uring_queue_init_params io_uring_queue_exit io_uring_register_iowq_max_workers
	io_uring_register_personality io_uring_submit_and_wait
	io_uring_register_buffers io_uring_register_ring_fd
	io_uring_peek_batch_cqe
	__io_uring_get_cqe
	_GLOBAL_OFFSET_TABLE_
)
# by file, and why
declare -A exceptions=(
	[pool.calloc]='pool_init(), before the seal'
	[pool.free]='pool_destroy(), after the end'
	[transport-uring.pthread_create]='transport_uring_probe(), before the seal'
	[transport-uring.pthread_join]='the same'
)

# find_object NAME: in the archives' directories
find_object() {
	find "$build_dir"/daemon/libcaisson-*.a.p -name "*_$1.c.o"
}

# our own functions: what any object of the library defines
own=$(find "$build_dir/daemon" -name '*.c.o' -exec nm --defined-only -P {} + |
	awk '$2 ~ /^[TtDdBbRr]$/ { print $1 }' | sort -u)
bad=0
for object in "${objects[@]}"; do
	file=$(find_object "$object")
	[[ -n $file ]] || fail "no object of $object.c below $build_dir"
	while read -r symbol; do
		[[ " ${allowed[*]} " != *" $symbol "* ]] || continue
		[[ ! -v exceptions[$object.$symbol] ]] || continue
		! grep -qx "$symbol" <<<"$own" || continue
		echo "$object.c: uses $symbol, which is not on the list of tests/lint/symbols.sh"
		bad=$((bad + 1))
	done < <(nm -u -P "$file" | awk '{ print $1 }')
done
same "$bad" 0 "number of symbols"
