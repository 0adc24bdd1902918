/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The capabilities of a thread, by system call: libcap allocates, and the threads that act for
 * callers change theirs after the seal. Any thread; nothing here is linked, so libcaisson has it
 * too. The names of capabilities come from linux/capability.h, included here.
 */
#ifndef CAISSON_CAPS_H
#define CAISSON_CAPS_H

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* A set as the kernel prints it: bit N is capability N. */
#define CAPS_BIT(cap) (1ull << (cap))

struct caps {
	uint64_t effective, permitted, inheritable;
};

/*
 * Of the thread PID, 0 for the calling one. Returns 0, or -errno with no capability in RET_CAPS:
 * -ESRCH where it has gone.
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

/* Of the calling thread and no other. Returns 0 or -errno. */
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
