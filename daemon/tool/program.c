/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judges a program as the kernel does when it executes it, as far as that decides on preloading:
 * fs/binfmt_elf.c (PT_INTERP), fs/binfmt_script.c (#!), and for AT_SECURE
 * cap_bprm_creds_from_file() in security/commoncap.c. It can't see a security module that sets
 * AT_SECURE when a domain changes.
 */
#include "tool/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define HEAD_BYTES  256 /* bytes of a script that the kernel reads: BINPRM_BUF_SIZE */
#define SCRIPTS_MAX 5	/* scripts that interpret each other, at most: exec_binprm() */

#define OWN_PROGRAM "/proc/self/exe"

/* Checks that we can execute PATH. Returns 0 or -errno. */
static int check_executable(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static int copy_path(const char *from, char path[PATH_MAX])
{
	size_t len = strlen(from);

	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(path, from, len + 1);
	return 0;
}

/* Joins the directory of LEN bytes at PART and NAME. LEN 0 is the working directory. */
static int join_path(const char *part, size_t len, const char *name, char path[PATH_MAX])
{
	int n;

	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	n = snprintf(path, PATH_MAX, "%.*s/%s", len ? (int)len : 1, len ? part : ".", name);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The default of execvp(3), if PATH isn't set. */
static const char *default_search(char *text, size_t len)
{
	size_t n = confstr(_CS_PATH, text, len);

	return n > 0 && n <= len ? text : "/bin:/usr/bin";
}

int program_find(const char *name, char ret_path[PATH_MAX])
{
	char initial[128], path[PATH_MAX];
	const char *part = getenv("PATH");
	bool denied = false;

	if (!name[0])
		return -ENOENT;
	if (strchr(name, '/')) {
		int r = copy_path(name, path);

		if (!r)
			r = check_executable(path);
		return r ? r : copy_path(path, ret_path);
	}
	if (!part)
		part = default_search(initial, sizeof(initial));
	for (;; part++) {
		const char *end = strchrnul(part, ':');
		int r = join_path(part, (size_t)(end - part), name, path);

		if (!r)
			r = check_executable(path);
		if (!r)
			return copy_path(path, ret_path);
		denied |= r == -EACCES;
		part = end;
		if (!*part)
			return denied ? -EACCES : -ENOENT;
	}
}

/* Reads LEN bytes at OFFSET. Returns their number, fewer only at the end of the file, or -errno. */
static ssize_t read_at(int fd, void *data, size_t len, uint64_t offset)
{
	ssize_t n;

	if (offset > INT64_MAX - len)
		return 0;
	n = pread(fd, data, len, (off_t)offset);
	return n < 0 ? -errno : n;
}

/*
 * Finds the dynamic linker of the ELF program FD, if the verdict still is PROGRAM_PRELOADS.
 * Returns 0 or -errno.
 */
static int read_linker(int fd, char linker[PATH_MAX], enum program_preload *ret_preload)
{
	Elf64_Ehdr head;
	ssize_t n = read_at(fd, &head, sizeof(head), 0);

	*ret_preload = PROGRAM_UNKNOWN;
	if (n < (ssize_t)sizeof(head))
		return MIN((int)n, 0);
	if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB) {
		*ret_preload = PROGRAM_OTHER_LINKER;
		return 0;
	}
	if (head.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	for (uint16_t i = 0; i < head.e_phnum; i++) {
		Elf64_Phdr part;
		uint64_t at;

		if (__builtin_add_overflow(head.e_phoff, i * sizeof(part), &at))
			return 0;
		n = read_at(fd, &part, sizeof(part), at);
		if (n < (ssize_t)sizeof(part))
			return MIN((int)n, 0);
		if (part.p_type != PT_INTERP)
			continue;
		if (part.p_filesz < 2 || part.p_filesz > PATH_MAX)
			return 0;
		n = read_at(fd, linker, part.p_filesz, part.p_offset);
		if (n < (ssize_t)part.p_filesz)
			return MIN((int)n, 0);
		if (linker[part.p_filesz - 1] == '\0')
			*ret_preload = PROGRAM_PRELOADS;
		return 0;
	}
	*ret_preload = PROGRAM_STATIC;
	return 0;
}

/* Whether LINKER is the file that also runs the calling program, by whatever name. */
static int is_own_linker(const char *linker, bool *ret_is)
{
	autoclose int fd = open(OWN_PROGRAM, O_RDONLY | O_CLOEXEC);
	enum program_preload preload;
	char own_linker[PATH_MAX];
	struct stat own, its;
	int r;

	if (fd < 0)
		return -errno;
	r = read_linker(fd, own_linker, &preload);
	if (r < 0)
		return r;
	if (preload != PROGRAM_PRELOADS) {
		*ret_is = false;
		return 0;
	}
	if (stat(own_linker, &own) < 0 || stat(linker, &its) < 0)
		return -errno;
	*ret_is = own.st_dev == its.st_dev && own.st_ino == its.st_ino;
	return 0;
}

/*
 * Whether the program gets AT_SECURE. Set-id bits count if they change an id. It doesn't check
 * whether the mount or no_new_privs makes them ineffective. Capabilities of the file count for all
 * users but root, who has them in any case.
 */
static int is_privileged(int fd, bool *ret_is)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	*ret_is = getuid() != geteuid() || getgid() != getegid() ||
		  (status.st_mode & S_ISUID && status.st_uid != getuid()) ||
		  (status.st_mode & S_ISGID && status.st_gid != getgid());
	if (*ret_is || getuid() == 0)
		return 0;
	if (fgetxattr(fd, "security.capability", NULL, 0) >= 0)
		*ret_is = true;
	else if (errno != ENODATA && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

static int judge_elf(int fd, const char *path, enum program_preload *ret_preload)
{
	const char *name = strrchr(path, '/');
	char linker[PATH_MAX];
	bool is = false;
	int r;

	r = read_linker(fd, linker, ret_preload);
	if (r < 0 || *ret_preload != PROGRAM_PRELOADS)
		return r;
	r = is_own_linker(linker, &is);
	if (r < 0)
		return r;
	if (!is) {
		*ret_preload = PROGRAM_OTHER_LINKER;
		return 0;
	}
	r = is_privileged(fd, &is);
	if (r < 0)
		return r;
	if (is)
		*ret_preload = PROGRAM_PRIVILEGED;
	else if (strcmp(name ? name + 1 : path, "env") == 0)
		*ret_preload = PROGRAM_EXECUTES;
	return 0;
}

/* Finds the interpreter in HEAD, which begins with "#!". Returns false if there is none. */
static bool parse_interpreter(const char *head, char interpreter[PATH_MAX])
{
	const char *start = head + 2 + strspn(head + 2, " \t");
	size_t len = strcspn(start, " \t\n");

	/* a name that ends where the kernel stops reading may be cut off */
	if (len == 0 || start + len == head + HEAD_BYTES)
		return false;
	memcpy(interpreter, start, len);
	interpreter[len] = '\0';
	return true;
}

int program_judge(const char *path, struct program_verdict *ret_verdict)
{
	struct program_verdict verdict = { .preload = PROGRAM_UNKNOWN };
	int r = copy_path(path, verdict.file);

	if (r < 0)
		return r;
	for (int scripts = 0; scripts <= SCRIPTS_MAX; scripts++) {
		autoclose int fd = open(verdict.file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		char head[HEAD_BYTES + 1];
		ssize_t n;

		if (fd < 0)
			return -errno;
		n = read_at(fd, head, HEAD_BYTES, 0);
		if (n < 0)
			return (int)n;
		head[n] = '\0';
		if (n >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0)
			r = judge_elf(fd, verdict.file, &verdict.preload);
		if (strncmp(head, "#!", 2) != 0 || !parse_interpreter(head, verdict.file)) {
			if (!r)
				*ret_verdict = verdict;
			return r;
		}
		verdict.is_script = true;
	}
	return -ELOOP;
}

const char *program_preload_reason(enum program_preload preload)
{
	switch (preload) {
	case PROGRAM_STATIC:
		return "it is linked statically, and nothing can be preloaded into it";
	case PROGRAM_OTHER_LINKER:
		return "its dynamic linker isn't the one that caisson is for";
	case PROGRAM_PRIVILEGED:
		return "it gains privileges when it is executed, and so preloads nothing";
	case PROGRAM_EXECUTES:
		return "it executes another program, which would not be locked";
	case PROGRAM_UNKNOWN:
		return "it is neither an ELF program nor a script that names its interpreter";
	case PROGRAM_PRELOADS:
		break;
	}
	return "nothing is wrong with it";
}
