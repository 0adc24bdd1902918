/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzzes dispatch_parse(), and holds what it accepts against what handlers rely on.
 *
 * An input is one byte of settings, then the message. For fuzzing, build with clang and
 * -DCAISSON_LIBFUZZER -fsanitize=fuzzer,address,undefined; run with a copy of corpus/dispatch.
 * Without CAISSON_LIBFUZZER it is an ordinary program that replays the files, or the directories
 * of files, that it is given.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/dispatch.h"
#include "store/fs.h"

#define MAX_WRITE (128u << 10)

/* The settings. */
enum {
	WITH_SETXATTR_EXT = 1 << 0,
	WITH_TRUE_LENGTH = 1 << 1, /* the header's length is made right: else few inputs get far */
};

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "accepted, but: %s\n", what);
	abort();
}

/* Handlers call strlen() and worse on them. */
static void check_string(const struct call *call, enum dispatch_string kind, const char *string,
			 const uint8_t *end)
{
	size_t len;

	if (kind == STRING_NONE) {
		must(!string, "there is a string that the opcode doesn't have");
		return;
	}
	must((const uint8_t *)string > (const uint8_t *)call->in && (const uint8_t *)string < end,
	     "a string lies outside of the message");
	len = strnlen(string, (size_t)(end - (const uint8_t *)string));
	must((const uint8_t *)string + len < end, "a string has no end");
	if (kind == STRING_COMPONENT)
		must(len > 0 && len <= NAME_MAX && !strchr(string, '/') && strcmp(string, ".") &&
			     strcmp(string, ".."),
		     "a name is no directory entry");
	if (kind == STRING_TARGET)
		must(len > 0 && len < PATH_MAX, "a target is too long, or empty");
	if (kind == STRING_XATTR)
		must(len > 0 && len <= 255, "an attribute's name is too long, or empty");
}

static void check_accepted(const struct call *call, uint32_t len, bool setxattr_ext)
{
	const struct dispatch_entry *entry = dispatch_entry(call->in->opcode);
	const uint8_t *begin = (const uint8_t *)call->in, *end = begin + len;
	uint32_t arg_len = entry->arg_len;

	if (entry->opcode == FUSE_SETXATTR && !setxattr_ext)
		arg_len = FUSE_COMPAT_SETXATTR_IN_SIZE;
	must(entry->class != DISPATCH_UNKNOWN, "it is of no known opcode");
	must((call->arg != NULL) == (arg_len != 0),
	     "there is a struct, or none, against the table");
	if (call->arg)
		must((const uint8_t *)call->arg + arg_len <= end, "the struct ends too late");
	check_string(call, entry->strings[0], call->name[0], end);
	check_string(call, entry->strings[1], call->name[1], end);
	if (call->data)
		must((const uint8_t *)call->data >=
				     begin + sizeof(struct fuse_in_header) + arg_len &&
			     (const uint8_t *)call->data + call->data_len <= end,
		     "the data lies outside of the message");
	else
		must(call->data_len == 0, "there is data without data");

	if (entry->opcode == FUSE_WRITE) {
		const struct fuse_write_in *in = call->arg;

		must(in->size == call->data_len && in->size <= MAX_WRITE, "WRITE's size");
		must(in->offset <= (uint64_t)INT64_MAX - in->size, "WRITE's end");
	}
	if (entry->opcode == FUSE_READ)
		must(((const struct fuse_read_in *)call->arg)->size <= MAX_WRITE, "READ's size");
	if (entry->opcode == FUSE_SETXATTR)
		must(((const struct fuse_setxattr_in *)call->arg)->size == call->data_len &&
			     call->data_len <= CALL_OUT_LEN,
		     "the value's size");
	if (entry->opcode == FUSE_BATCH_FORGET)
		must(call->data_len / sizeof(struct fuse_forget_one) ==
			     ((const struct fuse_batch_forget_in *)call->arg)->count,
		     "the number of forgets");
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
	uint32_t msg_len = (uint32_t)(len ? len - 1 : 0);
	uint8_t settings = len ? input[0] : 0;
	struct fs fs = { .setxattr_ext = settings & WITH_SETXATTR_EXT };
	struct call call = { .fs = &fs };
	/* of its own exact length: a byte past it is found by ASan */
	uint8_t *msg = malloc(msg_len ? msg_len : 1);

	if (!msg)
		return 0;
	if (msg_len)
		memcpy(msg, input + 1, msg_len);
	if ((settings & WITH_TRUE_LENGTH) && msg_len >= sizeof(uint32_t))
		memcpy(msg, &msg_len, sizeof(msg_len));
	if (dispatch_parse(msg, msg_len, MAX_WRITE, &call) == 0)
		check_accepted(&call, msg_len, fs.setxattr_ext);
	free(msg);
	return 0;
}

#ifndef CAISSON_LIBFUZZER

#include <dirent.h>
#include <sys/stat.h>

static unsigned replayed;

static int replay_file(const char *path)
{
	static uint8_t input[1u << 20];
	FILE *file = fopen(path, "rb");
	size_t len;

	if (!file) {
		fprintf(stderr, "%s: open: %m\n", path);
		return EXIT_FAILURE;
	}
	len = fread(input, 1, sizeof(input), file);
	(void)fclose(file); /* was read only */
	printf("replay %s\n", path);
	(void)fflush(stdout); /* before it crashes */
	(void)LLVMFuzzerTestOneInput(input, len);
	replayed++;
	return EXIT_SUCCESS;
}

static int replay(const char *path)
{
	char inside[PATH_MAX];
	int failed = 0;
	struct stat st;
	struct dirent *entry;
	DIR *dir;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return replay_file(path);
	dir = opendir(path);
	if (!dir) {
		fprintf(stderr, "%s: open: %m\n", path);
		return EXIT_FAILURE;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name) >=
		    (int)sizeof(inside))
			failed = EXIT_FAILURE;
		else
			failed |= replay_file(inside);
	}
	(void)closedir(dir); /* was read only */
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	printf("%u inputs\n", replayed);
	/* a run that found no corpus hasn't shown anything */
	return failed || !replayed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
