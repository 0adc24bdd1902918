#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The code that serves requests allocates nothing, prints nothing and asks no name service. The case
# reads that from the undefined symbols of the objects of store, handlers and serve. Objects of the
# data path may not make a system call that could wait for the backing filesystem, either. The
# allowlists make each new function of the C library a decision.
#
#@ packages: binutils
#@ timeout: 30
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

# run by the queues' threads
data_path=(
	base_pool store_zone handlers_call handlers_dispatch serve_affinity serve_engine serve_gate serve_op-io
	serve_outbox serve_queue serve_request serve_route serve_transport-dev serve_transport-uring
)
# of the C library and liburing, as these need them
allowed=(
	memchr memcpy memset strlen strnlen strchr memcmp
	__assert_fail __errno_location __stack_chk_fail
	read write poll close open open64 ioctl eventfd gettid
	syscall # capset around the registration of an identity, before the seal
	io_uring_queue_init_params io_uring_queue_exit io_uring_register_iowq_max_workers
	io_uring_register_personality io_uring_submit_and_wait
	io_uring_register_buffers io_uring_register_files io_uring_register_ring_fd
	pipe2 # before the seal
	io_uring_peek_batch_cqe
	__io_uring_get_cqe
	_GLOBAL_OFFSET_TABLE_
)
# of the threads that may wait: what they call besides is system calls, locks and pure functions
may_wait=(
	strcmp strncmp strrchr __tls_get_addr abort
	clock_gettime nanosleep prctl getpid unshare umask getgroups getrandom
	openat64 statx fstat64 fstatat64 fstatfs64 fcntl64 flock lseek64 readlinkat fsync fdatasync
	syncfs sync_file_range ftruncate64 fallocate64 pwritev64v2 copy_file_range
	fchmodat fchownat utimensat linkat mkdirat mknodat renameat2 symlinkat unlinkat
	getxattr listxattr removexattr setxattr fsetxattr name_to_handle_at open_by_handle_at
	timerfd_create timerfd_settime mmap64 mprotect munmap
	pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_unlock
	sem_init sem_destroy sem_post sem_wait
)
# by object, and why
declare -A exceptions=(
	[base_pool]='calloc free' # pool_init(), before the seal; pool_destroy(), after the end
	[base_procfs]='strtoull __isoc23_strtoull' # pure, but not on the data path
	[serve_transport-uring]='pthread_create pthread_join' # transport_uring_probe(), before the seal
	[serve_lease-wait]='calloc free'             # lease_wait_init(), before the seal
	[serve_plan]='malloc free snprintf strerror' # before the seal
	[serve_ring-layout]='calloc free'            # before the seal
	[serve_server]='aligned_alloc free strerror' # before the seal; server_close(), after the end
	[serve_session]='snprintf'                   # names of features, for the status
	[serve_takeover]='io_uring_queue_mmap io_uring_register_sync_cancel' # before the seal
	# starts threads before the seal, joins them at the end
	[serve_threads]='calloc free snprintf strerror pthread_attr_init pthread_attr_destroy
		pthread_attr_setstacksize pthread_cond_broadcast pthread_cond_wait pthread_create
		pthread_join pthread_setname_np'
	[serve_worker]='aligned_alloc calloc free' # worker_init(), before the seal; worker_destroy()
	[store_creds]='calloc free'                # creds_init(), creds_destroy()
	[store_inode-export]='free'                # inode_export_init(), before the seal
	[store_privdrop]='snprintf'                # of names, for the status
	[store_zone-mark]='snprintf' # of numbers, into a buffer on the stack
)

# our own functions: what any object of the libraries defines
own=$(find "$build_dir/daemon" -name '*.c.o' -exec nm --defined-only -P {} + |
	awk '$2 ~ /^[TtDdBbRr]$/ { print $1 }' | sort -u)
bad=0 count=0
while read -r file; do
	object=$(basename "$file" .c.o)
	permitted=" ${allowed[*]} ${exceptions[$object]-} "
	[[ " ${data_path[*]} " == *" $object "* ]] || permitted+="${may_wait[*]} "
	count=$((count + 1))
	while read -r symbol; do
		[[ ${permitted//[$'\n\t']/ } != *" $symbol "* ]] || continue
		! grep -qx "$symbol" <<<"$own" || continue
		echo "$object: uses $symbol, which is not on its lists in tests/lint/symbols.sh"
		bad=$((bad + 1))
	done < <(nm -u -P "$file" | awk '{ print $1 }')
done < <(find "$build_dir/daemon" -name '*.c.o' \
	\( -path '*/libcaisson-store.a.p/*' -o -path '*/libcaisson-handlers.a.p/*' \
	-o -path '*/libcaisson-serve.a.p/*' -o -name base_pool.c.o -o -name base_procfs.c.o \) | sort -u)
for object in "${data_path[@]}" "${!exceptions[@]}"; do
	[[ -n $(find "$build_dir/daemon" -name "$object.c.o") ]] ||
		fail "tests/lint/symbols.sh: there is no object $object below $build_dir"
done
more "$count" 40 "number of objects"
same "$bad" 0 "number of symbols"
