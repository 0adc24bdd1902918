/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drops capabilities of the calling thread, and reads the result back from the kernel each time.
 *
 * Securebits aren't changed. Threads that act for callers set their capabilities themselves when
 * they change their fsuid (creds.c). The server executes no program, and no_new_privs would make
 * that harmless.
 */
#include "store/privdrop.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/macro.h"
#include "base/procfs.h"

#define OWN_STATUS "/proc/thread-self/status"

/*
 * The capabilities that are needed to act for any caller below BACKING. CAP_SYS_PTRACE is needed to
 * see the caller's user namespace (creds.c).
 */
static const unsigned serving_caps[] = {
	CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,	CAP_FSETID,	CAP_SETUID,
	CAP_SETGID, CAP_MKNOD,	      CAP_LINUX_IMMUTABLE, CAP_SETFCAP, CAP_SYS_PTRACE,
};

/* The names that privdrop_serving_set() knows. */
static const struct {
	unsigned cap;
	const char *name;
} names[] = {
	{ CAP_CHOWN, "chown" },
	{ CAP_DAC_OVERRIDE, "dac_override" },
	{ CAP_DAC_READ_SEARCH, "dac_read_search" },
	{ CAP_FOWNER, "fowner" },
	{ CAP_FSETID, "fsetid" },
	{ CAP_SETUID, "setuid" },
	{ CAP_SETGID, "setgid" },
	{ CAP_MKNOD, "mknod" },
	{ CAP_LINUX_IMMUTABLE, "linux_immutable" },
	{ CAP_SETFCAP, "setfcap" },
	{ CAP_SYS_PTRACE, "sys_ptrace" },
	{ CAP_IPC_LOCK, "ipc_lock" },
	{ CAP_SYS_ADMIN, "sys_admin" },
};

/* The serving set. Written by privdrop_process(), before there are threads. */
static uint64_t serving;

static int read_set(const char *key, uint64_t *ret_set)
{
	return procfs_read_number(OWN_STATUS, key, 16, ret_set);
}

/*
 * Makes CAPS the calling thread's sets. Returns 0, or -errno: -EPERM also if the kernel shows other
 * sets afterwards.
 */
static int apply_all(const struct caps *caps)
{
	const struct {
		const char *key;
		uint64_t set;
	} lines[] = {
		{ "CapEff", caps->effective },
		{ "CapPrm", caps->permitted },
		{ "CapInh", caps->inheritable },
		{ "CapAmb", 0 },
	};
	int r = caps_set(caps);

	for (size_t i = 0; i < ARRAY_SIZE(lines) && !r; i++) {
		uint64_t got;

		r = read_set(lines[i].key, &got);
		if (!r && got != lines[i].set)
			r = -EPERM;
	}
	return r;
}

static int apply(uint64_t set)
{
	return apply_all(&(struct caps){ .effective = set, .permitted = set });
}

/*
 * Empties the bounding set, so that even executing a file with capabilities gains none. This needs
 * CAP_SETPCAP. Without it, no_new_privs alone is enough.
 */
static int drop_bounding(uint64_t permitted)
{
	uint64_t left;
	int r;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	if (!(permitted & CAPS_BIT(CAP_SETPCAP)))
		return 0;
	/* -EINVAL: the kernel has no more */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	}
	r = read_set("CapBnd", &left);
	return r ? r : left ? -EPERM : 0;
}

static int set_no_new_privs(void)
{
	uint64_t is_set;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = procfs_read_number(OWN_STATUS, "NoNewPrivs", 10, &is_set);
	return r ? r : is_set == 1 ? 0 : -EPERM;
}

static uint64_t serving_set(void)
{
	uint64_t set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(serving_caps); i++)
		set |= CAPS_BIT(serving_caps[i]);
	return set;
}

int privdrop_process(const struct privdrop_plan *plan)
{
	uint64_t permitted, set;
	int r;

	r = read_set("CapPrm", &permitted);
	if (r < 0)
		return r;
	set = serving_set();
	if (plan->sys_admin)
		set |= CAPS_BIT(CAP_SYS_ADMIN);
	set &= permitted;

	r = drop_bounding(permitted);
	if (!r)
		r = set_no_new_privs();
	if (!r)
		r = apply(set | (permitted & CAPS_BIT(CAP_IPC_LOCK)));
	if (!r)
		serving = set;
	return r;
}

bool privdrop_has_sys_admin(void)
{
	return serving & CAPS_BIT(CAP_SYS_ADMIN);
}

int privdrop_thread(void)
{
	return apply(serving);
}

/*
 * Makes SET inheritable: root's next program then has it, in spite of an empty bounding set. Only
 * what the bounding set has can be made so. Returns what is inheritable then.
 */
static uint64_t make_inheritable(uint64_t permitted, uint64_t set)
{
	struct caps caps;

	if (caps_get(0, &caps) < 0)
		return 0;
	caps.inheritable = permitted & set;
	return caps_set(&caps) < 0 ? 0 : caps.inheritable;
}

/* Leaves the calling thread what unmounting needs, and KEPT for later and for its successor. */
static int drop_to_keeper(uint64_t kept)
{
	uint64_t permitted, inheritable = 0;
	int r;

	r = read_set("CapPrm", &permitted);
	if (r < 0)
		return r;
	if (kept)
		inheritable = make_inheritable(permitted, kept | CAPS_BIT(CAP_SYS_ADMIN));
	if (permitted & CAPS_BIT(CAP_SYS_ADMIN)) {
		r = drop_bounding(permitted);
		if (!r)
			r = set_no_new_privs();
		if (r < 0)
			return r;
	}
	return apply_all(&(struct caps){
		.effective = permitted & CAPS_BIT(CAP_SYS_ADMIN),
		.permitted = permitted & (kept | CAPS_BIT(CAP_SYS_ADMIN)),
		.inheritable = inheritable,
	});
}

int privdrop_keeper(void)
{
	return drop_to_keeper(0);
}

int privdrop_keeper_of_heirs(void)
{
	return drop_to_keeper(serving_set() | CAPS_BIT(CAP_IPC_LOCK));
}

int privdrop_heir(void)
{
	uint64_t permitted;
	int r = read_set("CapPrm", &permitted);

	return r < 0 ? r : apply(permitted);
}

int privdrop_keeper_trace(bool on)
{
	struct caps caps;
	int r = caps_get(0, &caps);

	if (r < 0)
		return r;
	caps.effective &= ~CAPS_BIT(CAP_SYS_PTRACE);
	if (on)
		caps.effective |= caps.permitted & CAPS_BIT(CAP_SYS_PTRACE);
	return apply_all(&caps);
}

void privdrop_serving_set(char *text, uint32_t len)
{
	uint64_t set;
	uint32_t at = 0;

	text[0] = '\0';
	if (read_set("CapEff", &set) < 0) {
		(void)snprintf(text, len, "unknown");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names) && at < len; i++) {
		if (set & CAPS_BIT(names[i].cap))
			at += (uint32_t)snprintf(text + at, len - at, at ? " %s" : "%s",
						 names[i].name);
		set &= ~CAPS_BIT(names[i].cap);
	}
	/* capabilities without a name here; there are some before privdrop_process() */
	if (set && at < len)
		at += (uint32_t)snprintf(text + at, len - at, at ? " %#llx" : "%#llx",
					 (unsigned long long)set);
	if (!at)
		(void)snprintf(text, len, "none");
}
