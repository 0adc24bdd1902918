/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and sets the capabilities of a thread by system calls. libcap isn't used, because it
 * allocates, and threads that act for callers change their capabilities after the seal. All
 * functions are inline, so libcaisson can use them without linking to base. linux/capability.h,
 * which is included here, has the names of capabilities. Any thread.
 */
#ifndef CAISSON_CAPS_H
#define CAISSON_CAPS_H

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* In a set, as the kernel prints it, bit N is capability N. */
#define CAPS_BIT(cap) (1ull << (cap))

struct caps {
	uint64_t effective, permitted, inheritable;
};

/*
 * Reads the capabilities of the thread PID, or of the calling thread for 0. Returns 0, or -errno
 * (-ESRCH: it has gone), and then *RET_CAPS has no capability.
 */
static inline int caps_get(pid_t pid, struct caps *ret_caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3,
						   .pid = pid };
	struct __user_cap_data_struct low_high[_LINUX_CAPABILITY_U32S_3];

	*ret_caps = (struct caps){ 0 };
	if (syscall(SYS_capget, &header, low_high) < 0)
		return -errno;
	*ret_caps = (struct caps){
		.effective = low_high[0].effective | (uint64_t)low_high[1].effective << 32,
		.permitted = low_high[0].permitted | (uint64_t)low_high[1].permitted << 32,
		.inheritable = low_high[0].inheritable | (uint64_t)low_high[1].inheritable << 32,
	};
	return 0;
}

/* Sets the capabilities of the calling thread only. Returns 0 or -errno. */
static inline int caps_set(const struct caps *caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct low_high[_LINUX_CAPABILITY_U32S_3] = {
		{
			.effective = (uint32_t)caps->effective,
			.permitted = (uint32_t)caps->permitted,
			.inheritable = (uint32_t)caps->inheritable,
		},
		{
			.effective = (uint32_t)(caps->effective >> 32),
			.permitted = (uint32_t)(caps->permitted >> 32),
			.inheritable = (uint32_t)(caps->inheritable >> 32),
		},
	};

	return syscall(SYS_capset, &header, low_high) < 0 ? -errno : 0;
}

#endif
