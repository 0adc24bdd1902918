/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding a program, and judging whether a library can be preloaded into it. */
#include "tool/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static char directory[] = "/tmp/test-program.XXXXXX";

/* A file beneath the working directory, which is `directory`. */
static void put(const char *name, const void *data, size_t len, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, len), len);
	CHECK(fchmod(fd, mode) == 0);
	CHECK(close(fd) == 0);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text), 0755);
}

static enum program_preload judge(const char *path)
{
	struct program_verdict verdict;

	CHECK_EQ(program_judge(path, &verdict), 0);
	CHECK_STR(verdict.file, path);
	CHECK(!verdict.is_script);
	return verdict.preload;
}

static void expect_found(const char *name, const char *expected)
{
	char path[PATH_MAX];

	CHECK_EQ(program_find(name, path), 0);
	CHECK_STR(path, expected);
}

static void finds_as_execvp_does(void)
{
	char path[PATH_MAX], expected[PATH_MAX], search[PATH_MAX];

	CHECK(mkdir("first", 0755) == 0 && mkdir("second", 0755) == 0);
	CHECK(mkdir("first/both", 0755) == 0); /* a directory isn't a program */
	put_text("second/both", "");
	put_text("second/own", "");
	put("first/denied", "", 0, 0644);
	put_text("here", "");

	(void)snprintf(search, sizeof(search), "/nonesuch:%s/first:%s/second:", directory,
		       directory);
	CHECK(setenv("PATH", search, 1) == 0);
	(void)snprintf(expected, sizeof(expected), "%s/second/own", directory);
	expect_found("own", expected);
	(void)snprintf(expected, sizeof(expected), "%s/second/both", directory);
	expect_found("both", expected);
	expect_found("here", "./here"); /* for the empty element at the end */
	expect_found("second/own", "second/own");
	CHECK_EQ(program_find("denied", path), -EACCES);
	CHECK_EQ(program_find("first", path), -EACCES);
	CHECK_EQ(program_find("./first/denied", path), -EACCES);
	CHECK_EQ(program_find("nonesuch", path), -ENOENT);
	CHECK_EQ(program_find("./nonesuch", path), -ENOENT);
	CHECK_EQ(program_find("", path), -ENOENT);

	(void)snprintf(search, sizeof(search), "%s/first", directory);
	CHECK(setenv("PATH", search, 1) == 0);
	CHECK_EQ(program_find("here", path), -ENOENT); /* no empty element */
	CHECK(setenv("PATH", "", 1) == 0);
	expect_found("here", "./here");
	CHECK(unsetenv("PATH") == 0);
	CHECK_EQ(program_find("sh", path), 0);
}

static void finds_no_name_that_is_too_long(void)
{
	char path[PATH_MAX], name[PATH_MAX + 16], search[3 * PATH_MAX];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	memset(search, 'y', sizeof(search));
	memcpy(search + sizeof(search) - 3, ":.", 3);
	CHECK(setenv("PATH", search, 1) == 0);
	put_text("short", "");
	expect_found("short", "./short");
	CHECK_EQ(program_find(name, path), -ENOENT);
	name[0] = '/';
	CHECK_EQ(program_find(name, path), -ENAMETOOLONG);
}

/* An ELF program of one part, PT_INTERP, that names LINKER in LEN bytes. */
struct elf {
	Elf64_Ehdr head;
	Elf64_Phdr part;
	char linker[PATH_MAX];
};

static struct elf make_elf(const char *linker, size_t len)
{
	struct elf elf = {
		.head = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
				       ELFDATA2LSB },
			  .e_type = ET_DYN,
			  .e_phoff = offsetof(struct elf, part),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 1 },
		.part = { .p_type = PT_INTERP,
			  .p_offset = offsetof(struct elf, linker),
			  .p_filesz = len },
	};

	memcpy(elf.linker, linker, len);
	return elf;
}

static enum program_preload judge_elf(const struct elf *elf, size_t len)
{
	put("elf", elf, len, 0755);
	return judge("elf");
}

static void judges_elf_programs(void)
{
	static const char other[] = "/bin/sh"; /* is there, and isn't our dynamic linker */
	struct program_verdict verdict;
	struct elf elf;

	CHECK_EQ(judge("/proc/self/exe"), PROGRAM_PRELOADS);

	elf = make_elf(other, sizeof(other));
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_OTHER_LINKER);
	elf.head.e_ident[EI_CLASS] = ELFCLASS32;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_OTHER_LINKER);

	elf = make_elf(other, sizeof(other));
	elf.part.p_type = PT_LOAD;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_STATIC);
	elf.head.e_phnum = 0;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_STATIC);

	elf = make_elf("/nonesuch", sizeof("/nonesuch"));
	put("elf", &elf, sizeof(elf), 0755);
	CHECK_EQ(program_judge("elf", &verdict), -ENOENT);
}

static void judges_broken_elf_programs(void)
{
	static const char other[] = "/bin/sh";
	const struct elf good = make_elf(other, sizeof(other));
	struct elf elf;

	/* cut off anywhere before the end of the name */
	for (size_t len = 0; len < offsetof(struct elf, linker) + sizeof(other); len++)
		CHECK_EQ(judge_elf(&good, len), PROGRAM_UNKNOWN);
	elf = good;
	elf.head.e_phoff = UINT64_MAX - 7;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_UNKNOWN);
	elf = good;
	elf.head.e_phentsize++;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_UNKNOWN);
	elf = good;
	elf.head.e_phnum = UINT16_MAX; /* the first is found all the same */
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_OTHER_LINKER);
	elf.part.p_type = PT_NULL;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_UNKNOWN);
	elf = good;
	elf.part.p_offset = UINT64_MAX - 7;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_UNKNOWN);
	elf = good;
	elf.part.p_filesz = PATH_MAX + 1;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_UNKNOWN);
	elf.part.p_filesz = 1;
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_UNKNOWN);
	elf.part.p_filesz = sizeof(other) - 1; /* no NUL at the end */
	CHECK_EQ(judge_elf(&elf, sizeof(elf)), PROGRAM_UNKNOWN);
}

static void expect_script(const char *name, const char *text, enum program_preload preload,
			  const char *file)
{
	struct program_verdict verdict;

	put_text(name, text);
	CHECK_EQ(program_judge(name, &verdict), 0);
	CHECK_EQ(verdict.preload, preload);
	CHECK_STR(verdict.file, file);
	CHECK(verdict.is_script);
}

static void judges_the_interpreter_of_a_script(void)
{
	struct program_verdict verdict;
	char text[300];

	expect_script("script", "#!/proc/self/exe\n", PROGRAM_PRELOADS, "/proc/self/exe");
	expect_script("script", "#! \t/proc/self/exe -x y\n", PROGRAM_PRELOADS, "/proc/self/exe");
	expect_script("script", "#!/proc/self/exe", PROGRAM_PRELOADS, "/proc/self/exe");
	expect_script("script2", "#!./script\n", PROGRAM_PRELOADS, "/proc/self/exe");
	put_text("text", "no program\n");
	expect_script("script", "#!./text\n", PROGRAM_UNKNOWN, "./text");

	CHECK(symlink("/proc/self/exe", "env") == 0);
	expect_script("script", "#!./env python3\n", PROGRAM_EXECUTES, "./env");
	CHECK_EQ(judge("env"), PROGRAM_EXECUTES);

	put_text("script", "#!./nonesuch\n");
	CHECK_EQ(program_judge("script", &verdict), -ENOENT);
	put_text("loop", "#!./loop\n");
	CHECK_EQ(program_judge("loop", &verdict), -ELOOP);

	put_text("script", "#!");
	CHECK_EQ(judge("script"), PROGRAM_UNKNOWN);
	put_text("script", "#! \n/bin/sh\n");
	CHECK_EQ(judge("script"), PROGRAM_UNKNOWN);
	memset(text, 'x', sizeof(text)); /* longer than what the kernel reads of it */
	memcpy(text, "#!/", 3);
	text[sizeof(text) - 1] = '\0';
	put_text("script", text);
	CHECK_EQ(judge("script"), PROGRAM_UNKNOWN);
}

static void judges_other_files(void)
{
	struct program_verdict verdict;

	put_text("empty", "");
	CHECK_EQ(judge("empty"), PROGRAM_UNKNOWN);
	put_text("text", "echo\n");
	CHECK_EQ(judge("text"), PROGRAM_UNKNOWN);
	CHECK_EQ(program_judge("nonesuch", &verdict), -ENOENT);
	CHECK_EQ(program_judge(".", &verdict), -EISDIR);
}

static void has_a_reason_for_each_verdict(void)
{
	for (int i = 0; i <= PROGRAM_UNKNOWN; i++) {
		for (int j = 0; j < i; j++)
			CHECK(strcmp(program_preload_reason(i), program_preload_reason(j)) != 0);
	}
}

int main(void)
{
	char command[sizeof(directory) + 16];

	CHECK(mkdtemp(directory) && chdir(directory) == 0);
	RUN(finds_as_execvp_does);
	RUN(finds_no_name_that_is_too_long);
	RUN(judges_elf_programs);
	RUN(judges_broken_elf_programs);
	RUN(judges_the_interpreter_of_a_script);
	RUN(judges_other_files);
	RUN(has_a_reason_for_each_verdict);
	(void)snprintf(command, sizeof(command), "rm -r %s", directory);
	CHECK(setenv("PATH", "/usr/bin:/bin", 1) == 0 && chdir("/") == 0);
	CHECK(system(command) == 0);
	return test_result();
}
