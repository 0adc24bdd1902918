/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parser: for every opcode the well-formed message and what makes it ill-formed. Messages lie
 * as close as alignment allows before a page that can't be read: to run past them is to crash.
 */
#include "handlers/dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macro.h"
#include "store/fs.h"
#include "test.h"

enum { MAX_WRITE = 8192, ROOM = 80 * 1024, OPCODES = 64 };

static struct fs fs;
static uint8_t *room; /* ROOM bytes; then nothing */

static void make_room(void)
{
	room = mmap(NULL, ROOM + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	CHECK(room != MAP_FAILED);
	CHECK(mprotect(room + ROOM, PAGE_BYTES, PROT_NONE) == 0);
}

/* A message as it grows. */
struct message {
	uint8_t bytes[ROOM];
	uint32_t len;
};
static struct message message;

static void add(const void *bytes, size_t len)
{
	CHECK(message.len + len <= sizeof(message.bytes));
	if (len)
		memcpy(message.bytes + message.len, bytes, len);
	message.len += (uint32_t)len;
}

static void begin(uint32_t opcode, const void *arg, size_t arg_len)
{
	struct fuse_in_header in = { .opcode = opcode, .unique = 2, .nodeid = 1 };

	message.len = 0;
	add(&in, sizeof(in));
	add(arg, arg_len);
}

static void add_string(const char *string)
{
	add(string, strlen(string) + 1);
}

static struct fuse_in_header *header(void)
{
	return (struct fuse_in_header *)message.bytes;
}

/* Where the message is parsed: 8-byte aligned, as close to the end of the room as that allows. */
static void *place(uint32_t len)
{
	uint8_t *at = room + ((ROOM - len) & ~7u);

	memcpy(at, message.bytes, len);
	return at;
}

static int parse_as_is(struct call *ret_call)
{
	*ret_call = (struct call){ .fs = &fs };
	return dispatch_parse(place(message.len), message.len, MAX_WRITE, ret_call);
}

static int parse(struct call *ret_call)
{
	header()->len = message.len;
	return parse_as_is(ret_call);
}

static int parse_error(void)
{
	struct call call;

	return parse(&call);
}

/* A well-formed message of ENTRY's kind. */
static void make_sound(const struct dispatch_entry *entry)
{
	static const uint8_t zeroes[256];

	CHECK(entry->arg_len <= sizeof(zeroes));
	begin(entry->opcode, zeroes, entry->arg_len);
	for (size_t i = 0; i < ARRAY_SIZE(entry->strings); i++) {
		if (entry->strings[i] != STRING_NONE)
			add_string(i == 0 ? "first" : "second");
	}
}

static bool is_moved(const void *part, const void *from, const void *moved, const void *to)
{
	if (!part || !moved)
		return part == moved;
	return (const uint8_t *)part - (const uint8_t *)from ==
	       (const uint8_t *)moved - (const uint8_t *)to;
}

/* A worker's CALL, whose message has been copied, has the same parts. */
static void check_copied(const struct call *call)
{
	static uint8_t copy[ROOM] __attribute__((aligned(8)));
	struct call copied = { 0 };
	struct call_parts parts;

	call_save(call, &parts);
	memcpy(copy, call->in, message.len);
	call_load(&copied, copy, &parts);
	CHECK((const uint8_t *)copied.in == copy);
	CHECK(is_moved(call->arg, call->in, copied.arg, copy));
	CHECK(is_moved(call->name[0], call->in, copied.name[0], copy));
	CHECK(is_moved(call->name[1], call->in, copied.name[1], copy));
	CHECK(is_moved(call->data, call->in, copied.data, copy));
	CHECK_EQ(copied.data_len, call->data_len);
	CHECK_EQ(copied.supp_gid, call->supp_gid);
}

static void every_opcode(void)
{
	unsigned known = 0;

	fs.setxattr_ext = true;
	for (uint32_t opcode = 0; opcode < OPCODES; opcode++) {
		const struct dispatch_entry *entry = dispatch_entry(opcode);
		struct call call;
		uint32_t sound_len;

		begin(opcode, NULL, 0);
		if (entry->class == DISPATCH_UNKNOWN) {
			CHECK_EQ(parse(&call), -ENOSYS);
			continue;
		}
		known++;
		CHECK_EQ(entry->opcode, opcode);
		CHECK((entry->handler != NULL) ==
		      (entry->class == DISPATCH_META || opcode == FUSE_WRITE ||
		       opcode == FUSE_FALLOCATE));
		make_sound(entry);
		CHECK_EQ(parse(&call), 0);
		CHECK((call.arg != NULL) == (entry->arg_len != 0));
		CHECK((call.name[0] != NULL) == (entry->strings[0] != STRING_NONE));
		CHECK((call.name[1] != NULL) == (entry->strings[1] != STRING_NONE));
		if (call.name[0])
			CHECK_STR(call.name[0], "first");
		if (call.name[1])
			CHECK_STR(call.name[1], "second");
		CHECK_EQ(call.data_len, 0u);
		CHECK_EQ(call.supp_gid, UINT32_MAX);
		check_copied(&call);

		/* cut anywhere, it isn't one any more */
		sound_len = message.len;
		while (--message.len >= sizeof(struct fuse_in_header))
			CHECK_EQ(parse(&call), -EINVAL);
		/* nor with one byte too many, unless that may be data, whose length is given */
		message.len = sound_len;
		add("x", 1);
		CHECK_EQ(parse(&call), opcode == FUSE_INIT ? 0 : -EINVAL);
	}
	CHECK_EQ(known, 42u);
	CHECK_EQ(dispatch_entry(UINT32_MAX)->class, (enum dispatch_class)DISPATCH_UNKNOWN);
}

static void classes(void)
{
	static const struct {
		uint32_t opcode;
		enum dispatch_class class;
		bool no_reply;
	} expected[] = {
		{ FUSE_READ, DISPATCH_DATA, false },
		{ FUSE_WRITE, DISPATCH_DATA, false },
		{ FUSE_FSYNC, DISPATCH_DATA, false },
		{ FUSE_FALLOCATE, DISPATCH_DATA, false },
		{ FUSE_INIT, DISPATCH_SESSION, false },
		{ FUSE_DESTROY, DISPATCH_SESSION, false },
		{ FUSE_LOOKUP, DISPATCH_META, false },
		{ FUSE_FORGET, DISPATCH_META, true },
		{ FUSE_BATCH_FORGET, DISPATCH_META, true },
		{ FUSE_INTERRUPT, DISPATCH_SESSION, true },
		{ FUSE_SETLKW, DISPATCH_UNKNOWN, false },
		{ CAISSON_FUSE_STATX, DISPATCH_META, false },
		{ FUSE_POLL, DISPATCH_UNKNOWN, false },
		{ FUSE_BMAP, DISPATCH_UNKNOWN, false },
		{ FUSE_SETUPMAPPING, DISPATCH_UNKNOWN, false },
	};
	unsigned silent = 0;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		const struct dispatch_entry *entry = dispatch_entry(expected[i].opcode);

		CHECK_EQ(entry->class, expected[i].class);
		CHECK_EQ(entry->no_reply, expected[i].no_reply);
	}
	for (uint32_t opcode = 0; opcode < OPCODES; opcode++)
		silent += dispatch_entry(opcode)->no_reply;
	CHECK_EQ(silent, 3u);
	CHECK_STR(dispatch_entry(FUSE_COPY_FILE_RANGE)->name, "COPY_FILE_RANGE");
}

static void headers(void)
{
	struct call call;

	begin(FUSE_STATFS, NULL, 0);
	CHECK_EQ(parse(&call), 0);
	CHECK_EQ(call.in->opcode, (uint32_t)FUSE_STATFS);
	header()->len = message.len + 1;
	CHECK_EQ(parse_as_is(&call), -EBADMSG);
	header()->len = message.len - 1;
	CHECK_EQ(parse_as_is(&call), -EBADMSG);
	for (message.len = 0; message.len < sizeof(struct fuse_in_header); message.len++)
		CHECK_EQ(parse_as_is(&call), -EBADMSG);
}

static int parse_name(uint32_t opcode, const char *name)
{
	begin(opcode, NULL, 0);
	add_string(name);
	return parse_error();
}

static void components(void)
{
	char name[NAME_MAX + 2];

	memset(name, 'n', sizeof(name));
	name[NAME_MAX + 1] = '\0';
	CHECK_EQ(parse_name(FUSE_LOOKUP, name), -ENAMETOOLONG);
	CHECK_EQ(parse_name(FUSE_LOOKUP, name + 1), 0);
	CHECK_EQ(parse_name(FUSE_LOOKUP, ""), -EINVAL);
	CHECK_EQ(parse_name(FUSE_LOOKUP, "."), 0); /* of a file handle */
	CHECK_EQ(parse_name(FUSE_LOOKUP, ".."), 0);
	CHECK_EQ(parse_name(FUSE_MKDIR, "."), -EINVAL);
	CHECK_EQ(parse_name(FUSE_LOOKUP, "..."), 0);
	CHECK_EQ(parse_name(FUSE_LOOKUP, "..x"), 0);
	CHECK_EQ(parse_name(FUSE_LOOKUP, "/"), -EINVAL);
	CHECK_EQ(parse_name(FUSE_LOOKUP, "a/b"), -EINVAL);
	CHECK_EQ(parse_name(FUSE_UNLINK, "../x"), -EINVAL);
	CHECK_EQ(parse_name(FUSE_RMDIR, ".."), -EINVAL);
	CHECK_EQ(parse_name(FUSE_LOOKUP, "\n \x01\xff"), 0);

	/* the second name of two is looked at as well */
	begin(FUSE_RENAME2, &(struct fuse_rename2_in){ 0 }, sizeof(struct fuse_rename2_in));
	add_string("x");
	add_string("..");
	CHECK_EQ(parse_error(), -EINVAL);
	/* TMPFILE's isn't one */
	begin(FUSE_TMPFILE, &(struct fuse_create_in){ 0 }, sizeof(struct fuse_create_in));
	add_string("/");
	CHECK_EQ(parse_error(), 0);
	begin(FUSE_CREATE, &(struct fuse_create_in){ 0 }, sizeof(struct fuse_create_in));
	add_string("/");
	CHECK_EQ(parse_error(), -EINVAL);
}

static int parse_symlink(size_t target_len)
{
	static char target[PATH_MAX + 1];

	memset(target, '/', target_len);
	target[target_len] = '\0';
	begin(FUSE_SYMLINK, NULL, 0);
	add_string("link");
	add_string(target);
	return parse_error();
}

static void symlink_targets(void)
{
	CHECK_EQ(parse_symlink(0), -EINVAL);
	CHECK_EQ(parse_symlink(1), 0);
	CHECK_EQ(parse_symlink(PATH_MAX - 1), 0);
	CHECK_EQ(parse_symlink(PATH_MAX), -ENAMETOOLONG);
}

static int parse_xattr(const char *name, uint32_t size, uint32_t present)
{
	static const uint8_t value[(64u << 10) + 8];
	struct fuse_setxattr_in arg = { .size = size };

	begin(FUSE_SETXATTR, &arg, fs.setxattr_ext ? sizeof(arg) : FUSE_COMPAT_SETXATTR_IN_SIZE);
	add_string(name);
	add(value, present);
	return parse_error();
}

static void xattrs(void)
{
	struct fuse_getxattr_in get = { .size = 64u << 10 };
	char name[255 + 2];
	struct call call;

	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	for (int ext = 0; ext < 2; ext++) {
		fs.setxattr_ext = ext;
		CHECK_EQ(parse_xattr("user.x", 3, 3), 0);
		CHECK_EQ(parse_xattr("user.x", 3, 2), -EINVAL);
		CHECK_EQ(parse_xattr("user.x", 3, 4), -EINVAL);
		CHECK_EQ(parse_xattr("user.x", UINT32_MAX, 3), -E2BIG);
		CHECK_EQ(parse_xattr("user.x", 64u << 10, 64u << 10), 0);
		CHECK_EQ(parse_xattr("user.x", (64u << 10) + 1, (64u << 10) + 1), -E2BIG);
		CHECK_EQ(parse_xattr("", 0, 0), -ERANGE);
		CHECK_EQ(parse_xattr(name + 1, 0, 0), 0);
		CHECK_EQ(parse_xattr(name, 0, 0), -ERANGE);
		CHECK_EQ(parse_name(FUSE_REMOVEXATTR, name), -ERANGE);
	}

	/* the two forms are told apart by what INIT agreed on, not by guessing */
	fs.setxattr_ext = false;
	begin(FUSE_SETXATTR, &(struct fuse_setxattr_in){ .size = 2 }, FUSE_COMPAT_SETXATTR_IN_SIZE);
	add_string("a");
	add("vw", 2);
	CHECK_EQ(parse(&call), 0);
	CHECK_STR(call.name[0], "a");
	CHECK_EQ(call.data_len, 2u);
	CHECK_MEM(call.data, "vw", 2);
	fs.setxattr_ext = true;
	CHECK_EQ(parse(&call), -EINVAL);

	begin(FUSE_GETXATTR, &get, sizeof(get));
	add_string("user.x");
	CHECK_EQ(parse_error(), 0);
	get.size++;
	begin(FUSE_GETXATTR, &get, sizeof(get));
	add_string("user.x");
	CHECK_EQ(parse_error(), -EINVAL);
	begin(FUSE_LISTXATTR, &get, sizeof(get));
	CHECK_EQ(parse_error(), -EINVAL);
}

static int parse_write(uint64_t offset, uint32_t size, uint32_t present)
{
	static const uint8_t payload[MAX_WRITE + 8];
	struct fuse_write_in arg = { .offset = offset, .size = size };

	begin(FUSE_WRITE, &arg, sizeof(arg));
	add(payload, present);
	return parse_error();
}

static int parse_read(uint64_t offset, uint32_t size)
{
	struct fuse_read_in arg = { .offset = offset, .size = size };

	begin(FUSE_READ, &arg, sizeof(arg));
	return parse_error();
}

static void data_ranges(void)
{
	struct fuse_fallocate_in allocate = { .offset = 1, .length = INT64_MAX - 1 };
	struct fuse_copy_file_range_in copy = { .len = INT64_MAX, .off_out = 1 };

	CHECK_EQ(parse_write(0, MAX_WRITE, MAX_WRITE), 0);
	CHECK_EQ(parse_write(0, MAX_WRITE + 1, MAX_WRITE + 1), -EINVAL);
	CHECK_EQ(parse_write(0, 10, 9), -EINVAL);
	CHECK_EQ(parse_write(0, 10, 11), -EINVAL);
	CHECK_EQ(parse_write(0, UINT32_MAX, 11), -EINVAL);
	CHECK_EQ(parse_write(INT64_MAX - 10, 10, 10), 0);
	CHECK_EQ(parse_write(INT64_MAX - 9, 10, 10), -EFBIG);
	CHECK_EQ(parse_write(UINT64_MAX - 9, 10, 10), -EFBIG);
	CHECK_EQ(parse_read(0, MAX_WRITE), 0);
	CHECK_EQ(parse_read(0, MAX_WRITE + 1), -EINVAL);
	CHECK_EQ(parse_read(INT64_MAX, 0), 0);
	CHECK_EQ(parse_read(INT64_MAX, 1), -EFBIG);
	CHECK_EQ(parse_read(UINT64_MAX, 4096), -EFBIG);

	begin(FUSE_FALLOCATE, &allocate, sizeof(allocate));
	CHECK_EQ(parse_error(), 0);
	allocate.length++;
	begin(FUSE_FALLOCATE, &allocate, sizeof(allocate));
	CHECK_EQ(parse_error(), -EFBIG);
	begin(FUSE_COPY_FILE_RANGE, &copy, sizeof(copy));
	CHECK_EQ(parse_error(), -EFBIG);
	copy.off_out = 0;
	begin(FUSE_COPY_FILE_RANGE, &copy, sizeof(copy));
	CHECK_EQ(parse_error(), 0);
	copy.off_in = 1;
	begin(FUSE_COPY_FILE_RANGE, &copy, sizeof(copy));
	CHECK_EQ(parse_error(), -EFBIG);
}

static int parse_setattr(struct fuse_setattr_in arg)
{
	begin(FUSE_SETATTR, &arg, sizeof(arg));
	return parse_error();
}

static void attributes(void)
{
	typedef struct fuse_setattr_in in;
	uint32_t utime_now = (1u << 30) - 1;

	CHECK_EQ(parse_setattr((in){ .valid = FATTR_SIZE, .size = INT64_MAX }), 0);
	CHECK_EQ(parse_setattr((in){ .valid = FATTR_SIZE, .size = 1ull << 63 }), -EFBIG);
	CHECK_EQ(parse_setattr((in){ .valid = FATTR_MODE, .size = 1ull << 63 }), 0);
	CHECK_EQ(parse_setattr((in){ .valid = FATTR_ATIME, .atimensec = 999999999 }), 0);
	CHECK_EQ(parse_setattr((in){ .valid = FATTR_ATIME, .atimensec = 1000000000 }), -EINVAL);
	CHECK_EQ(parse_setattr((in){ .valid = FATTR_MTIME, .mtimensec = utime_now }), -EINVAL);
	CHECK_EQ(parse_setattr(
			 (in){ .valid = FATTR_MTIME | FATTR_MTIME_NOW, .mtimensec = utime_now }),
		 0);
}

static void counted_data(void)
{
	struct fuse_forget_one ones[3] = { { 1, 1 }, { 2, 2 }, { 3, 3 } };
	struct fuse_batch_forget_in forgets = { .count = 3 };
	struct fuse_ioctl_in ioctl_in = { .in_size = 4 };
	struct call call;

	begin(FUSE_BATCH_FORGET, &forgets, sizeof(forgets));
	add(ones, sizeof(ones));
	CHECK_EQ(parse(&call), 0);
	CHECK_EQ(call.data_len, sizeof(ones));
	CHECK_MEM(call.data, ones, sizeof(ones));
	/* 2^28 times 16 is 0 in 32 bits */
	for (uint64_t count = 0; count < 1ull << 32; count += 1ull << 28) {
		forgets.count = (uint32_t)count;
		begin(FUSE_BATCH_FORGET, &forgets, sizeof(forgets));
		CHECK_EQ(parse_error(), count ? -EINVAL : 0);
		add(ones, sizeof(ones));
		CHECK_EQ(parse_error(), -EINVAL);
	}
	begin(FUSE_IOCTL, &ioctl_in, sizeof(ioctl_in));
	add("abcd", 4);
	CHECK_EQ(parse(&call), 0);
	CHECK_EQ(call.data_len, 4u);
	add("e", 1);
	CHECK_EQ(parse_error(), -EINVAL);
}

struct groups_ext {
	struct caisson_fuse_ext_header header;
	uint32_t count, group;
};

/* A MKDIR of "d" with EXTENSIONS, which UNITS of 8 bytes are said to be. */
static int parse_extended(const void *extensions, size_t len, uint16_t units, struct call *ret_call)
{
	begin(FUSE_MKDIR, &(struct fuse_mkdir_in){ .mode = 0755 }, sizeof(struct fuse_mkdir_in));
	add_string("d"); /* so what follows is aligned to nothing */
	add(extensions, len);
	header()->total_extlen = units;
	return parse(ret_call);
}

static void extensions(void)
{
	struct groups_ext two[2] = {
		{ { sizeof(*two), CAISSON_FUSE_EXT_GROUPS }, 1, 4242 },
		{ { sizeof(*two), 7 }, 0xdead, 0xbeef }, /* a kind that we don't know */
	};
	struct call call;

	CHECK_EQ(parse_extended(two, 0, 0, &call), 0);
	CHECK_EQ(call.supp_gid, UINT32_MAX);
	CHECK_EQ(parse_extended(two, sizeof(*two), 2, &call), 0);
	CHECK_EQ(call.supp_gid, 4242u);
	check_copied(&call);
	CHECK_STR(call.name[0], "d");
	CHECK_EQ(call.data_len, 0u);
	CHECK_EQ(parse_extended(two, sizeof(two), 4, &call), 0);
	CHECK_EQ(call.supp_gid, 4242u);
	CHECK_EQ(parse_extended(&two[1], sizeof(*two), 2, &call), 0);
	CHECK_EQ(call.supp_gid, UINT32_MAX);

	/* lengths that lie */
	CHECK_EQ(parse_extended(two, sizeof(*two), 1, &call), -EINVAL);
	CHECK_EQ(parse_extended(two, sizeof(*two), 3, &call), -EINVAL);
	CHECK_EQ(parse_extended(two, sizeof(*two), UINT16_MAX, &call), -EINVAL);
	CHECK_EQ(parse_extended(two, sizeof(two), 2, &call), -EINVAL);
	for (uint32_t size = 0; size <= 40; size++) {
		two[0].header.size = size;
		CHECK_EQ(parse_extended(two, sizeof(*two), 2, &call), size == 16 ? 0 : -EINVAL);
	}
	two[0].header.size = UINT32_MAX & ~7u;
	CHECK_EQ(parse_extended(two, sizeof(*two), 2, &call), -EINVAL);
	two[0].header.size = sizeof(*two);

	/* counts that lie */
	two[0].count = 0;
	CHECK_EQ(parse_extended(two, sizeof(*two), 2, &call), 0);
	CHECK_EQ(call.supp_gid, UINT32_MAX);
	two[0].count = 2;
	CHECK_EQ(parse_extended(two, sizeof(*two), 2, &call), -EINVAL);
	two[0].count = UINT32_MAX;
	CHECK_EQ(parse_extended(two, sizeof(*two), 2, &call), -EINVAL);
	two[0].count = 1;
	two[1] = two[0];
	CHECK_EQ(parse_extended(two, sizeof(two), 4, &call), -EINVAL);
	two[0].header.size = 8; /* no room for a count */
	CHECK_EQ(parse_extended(two, 8, 1, &call), -EINVAL);
}

int main(void)
{
	make_room();
	RUN(every_opcode);
	RUN(classes);
	RUN(headers);
	RUN(components);
	RUN(symlink_targets);
	RUN(xattrs);
	RUN(data_ranges);
	RUN(attributes);
	RUN(counted_data);
	RUN(extensions);
	return test_result();
}
