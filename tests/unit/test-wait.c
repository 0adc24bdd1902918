/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tasks wait for, by stacks as kernels 6.1 to 7.2 print them. */
#include "stack/wait.h"
#include "test.h"

static void check(const char *stack, enum wait_kind kind, const char *where, const char *filesystem)
{
	struct wait wait = wait_classify(stack);

	CHECK_EQ((int)wait.kind, (int)kind);
	CHECK_STR(wait.where, where);
	CHECK_STR(wait.filesystem, filesystem);
}

static void tells_the_throttle(void)
{
	check("[<0>] balance_dirty_pages+0x2a1/0xd40\n"
	      "[<0>] balance_dirty_pages_ratelimited_flags+0x25a/0x3b0\n"
	      "[<0>] generic_perform_write+0x13c/0x210\n"
	      "[<0>] ext4_buffered_write_iter+0x7b/0x180 [ext4]\n"
	      "[<0>] vfs_write+0x2c2/0x3f0\n",
	      WAIT_THROTTLE, "balance_dirty_pages", "ext4");
}

/* What called the wait for I/O counts, not the wait. */
static void tells_reclaim(void)
{
	check("[<0>] folio_wait_bit_common+0x13b/0x350\n"
	      "[<0>] folio_wait_writeback+0x2b/0x90\n"
	      "[<0>] shrink_folio_list+0xa4e/0xce0\n"
	      "[<0>] shrink_lruvec+0x595/0xbf0\n"
	      "[<0>] try_to_free_mem_cgroup_pages+0xf9/0x220\n"
	      "[<0>] try_charge_memcg+0x18d/0x860\n"
	      "[<0>] ext4_da_write_begin+0x10e/0x2c0 [ext4]\n",
	      WAIT_RECLAIM, "try_to_free_mem_cgroup_pages", "ext4");
	check("[<0>] schedule+0x5e/0xd0\n"
	      "[<0>] io_schedule_timeout+0x4c/0x80\n"
	      "[<0>] mempool_alloc+0x117/0x170\n"
	      "[<0>] bio_alloc_bioset+0x8f/0x2a0\n"
	      "[<0>] iomap_dio_bio_iter+0x1f2/0x520\n",
	      WAIT_MEMORY, "mempool_alloc", "");
	/* an unmount drops caches, too */
	check("[<0>] shrink_dcache_parent+0x41/0x110\n", WAIT_UNKNOWN, "shrink_dcache_parent", "");
}

static void tells_fuse(void)
{
	check("[<0>] request_wait_answer+0xe3/0x210 [fuse]\n"
	      "[<0>] fuse_simple_request+0x17c/0x2c0 [fuse]\n"
	      "[<0>] fuse_lookup_name+0xb1/0x1f0 [fuse]\n",
	      WAIT_FUSE, "request_wait_answer", "fuse");
	/* wchan has a name alone */
	check("request_wait_answer", WAIT_FUSE, "request_wait_answer", "");
	check("[<0>] wait_for_completion+0x9e/0x170\n"
	      "[<0>] fuse_direct_IO+0x1e9/0x510\n"
	      "[<0>] zloop_do_rw+0x276/0x2e0 [zloop]\n",
	      WAIT_FUSE, "fuse_direct_IO", "fuse");
	check("[<0>] request_wait_answer+0xe3/0x210 [fuse]\n"
	      "[<0>] fuse_setlk+0xf4/0x160 [fuse]\n",
	      WAIT_FINE, "fuse_setlk", "fuse");
}

static void tells_the_rest(void)
{
	check("[<0>] __schedule+0x351/0xa20\n"
	      "[<0>] rwsem_down_write_slowpath+0x2a8/0x660\n"
	      "[<0>] xfs_ilock+0x5d/0x130 [xfs]\n",
	      WAIT_LOCK, "rwsem_down_write_slowpath", "xfs");
	check("[<0>] percpu_rwsem_wait+0x116/0x140\n[<0>] mnt_want_write+0x62/0x90\n", WAIT_FREEZE,
	      "percpu_rwsem_wait", "");
	check("[<0>] rpc_wait_bit_killable+0x11/0x70 [sunrpc]\n"
	      "[<0>] nfs4_call_sync_sequence+0x7c/0xb0 [nfsv4]\n",
	      WAIT_NETWORK, "rpc_wait_bit_killable", "");
	check("[<0>] io_schedule+0x46/0x70\n[<0>] folio_wait_bit_common+0x13d/0x350\n", WAIT_IO,
	      "folio_wait_bit_common", "");
	check("[<0>] something_new+0x1/0x2\n", WAIT_UNKNOWN, "something_new", "");
	check("", WAIT_UNKNOWN, "", "");
	check("0", WAIT_UNKNOWN, "0", "");
}

int main(void)
{
	RUN(tells_the_throttle);
	RUN(tells_reclaim);
	RUN(tells_fuse);
	RUN(tells_the_rest);
	return test_result();
}
