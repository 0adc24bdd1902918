/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Geometry: what zloop takes, the names of its files, the mark and what isn't one. */
#include "store/zone-mark.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

#include "base/macro.h"
#include "test.h"

#define MIB (1ull << 20)

static struct zone_geometry sound(void)
{
	return (struct zone_geometry){
		.zone_len = 64 * MIB,
		.capacity_len = 63 * MIB,
		.zones = 32,
		.conventional = 8,
	};
}

static void geometry_is_one_that_zloop_takes(void)
{
	struct zone_geometry geometry = sound();
	const uint64_t bad_lens[] = { 0, 1, 4096, MIB / 2, 3 * MIB, 63 * MIB, 32768 * MIB };

	CHECK(zone_geometry_fault(&geometry) == NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad_lens); i++) {
		geometry = sound();
		geometry.zone_len = bad_lens[i];
		CHECK(zone_geometry_fault(&geometry) != NULL);
	}
	geometry = sound();
	geometry.zone_len = geometry.capacity_len = 16384 * MIB;
	CHECK(zone_geometry_fault(&geometry) == NULL);
	geometry = sound();
	geometry.capacity_len = 65 * MIB;
	CHECK(zone_geometry_fault(&geometry) != NULL);
	geometry.capacity_len = 0;
	CHECK(zone_geometry_fault(&geometry) != NULL);
	geometry.capacity_len = 63 * MIB + 4096;
	CHECK(zone_geometry_fault(&geometry) != NULL);
	geometry = sound();
	geometry.conventional = 31;
	CHECK(zone_geometry_fault(&geometry) == NULL);
	geometry.conventional = 32;
	CHECK(zone_geometry_fault(&geometry) != NULL);
	geometry = (struct zone_geometry){ .zone_len = MIB, .capacity_len = MIB, .zones = 1 };
	CHECK(zone_geometry_fault(&geometry) != NULL);
	geometry.zones = ZONES_MAX;
	CHECK(zone_geometry_fault(&geometry) == NULL);
	geometry.zones++;
	CHECK(zone_geometry_fault(&geometry) != NULL);
}

static void names_are_those_of_zloop(void)
{
	static const char *const others[] = { "cnv-000008", "seq-000007",  "seq-000032",  "seq-8",
					      "seq-00008",  "seq-0000008", "seq-000008 ", "seq-",
					      "SEQ-000008", "seq-+00008",  "xyz-000008",  "" };
	struct zone_geometry geometry = sound();
	char name[ZONE_NAME_LEN];
	uint32_t number;

	for (uint32_t i = 0; i < geometry.zones; i++) {
		zone_name(&geometry, i, name);
		CHECK(zone_name_is_likely(name));
		CHECK(zone_name_parse(&geometry, name, &number));
		CHECK_EQ(number, i);
	}
	zone_name(&geometry, 7, name);
	CHECK_STR(name, "cnv-000007");
	zone_name(&geometry, 8, name);
	CHECK_STR(name, "seq-000008");
	geometry.zones = ZONES_MAX;
	zone_name(&geometry, ZONES_MAX - 1, name);
	CHECK_STR(name, "seq-999999");
	geometry = sound();
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		CHECK(!zone_name_parse(&geometry, others[i], &number));
}

static void check_same(const struct zone_geometry *a, const struct zone_geometry *b)
{
	CHECK_EQ(a->zone_len, b->zone_len);
	CHECK_EQ(a->capacity_len, b->capacity_len);
	CHECK_EQ(a->zones, b->zones);
	CHECK_EQ(a->conventional, b->conventional);
}

static void mark_says_it_all(void)
{
	struct zone_geometry geometry = sound(), parsed;
	char text[ZONE_MARK_LEN];
	uint64_t len;

	zone_mark_print(&geometry, text);
	CHECK_STR(text, "1 zone_size=67108864 zone_capacity=66060288 conventional=8 zones=32");
	len = strlen(text);
	CHECK_EQ(zone_mark_parse(text, len, &parsed), 0);
	check_same(&parsed, &geometry);

	/* no byte may be missing, added, or another */
	for (uint64_t i = 0; i < len - 1; i++)
		CHECK_EQ(zone_mark_parse(text, i, &parsed), -EBADMSG);
	CHECK_EQ(zone_mark_parse(text, len + 1, &parsed), -EBADMSG); /* its NUL */
	for (uint64_t i = 0; i < len; i++) {
		char other = text[i];

		text[i] = 'x';
		CHECK_EQ(zone_mark_parse(text, len, &parsed), -EBADMSG);
		text[i] = other;
	}
}

static int parse(const char *text)
{
	struct zone_geometry geometry;

	return zone_mark_parse(text, strlen(text), &geometry);
}

static void mark_is_not_believed_blindly(void)
{
	CHECK_EQ(parse("1 zone_size=1048576 zone_capacity=1048576 conventional=0 zones=2"), 0);
	CHECK_EQ(parse("2 zone_size=1048576 zone_capacity=1048576 conventional=0 zones=2"),
		 -EBADMSG);
	CHECK_EQ(parse("1 zone_size=1048576 zone_capacity=2097152 conventional=0 zones=2"),
		 -EBADMSG);
	CHECK_EQ(parse("1 zone_size=1048576 zone_capacity=1048576 conventional=2 zones=2"),
		 -EBADMSG);
	CHECK_EQ(parse("1 zone_size=1048576 zone_capacity=1048576 conventional=0 zones=4294967297"),
		 -EBADMSG);
	CHECK_EQ(parse("1 zone_size=18446744073710600192 zone_capacity=1048576 conventional=0 "
		       "zones=2"),
		 -EBADMSG);
	CHECK_EQ(parse(""), -EBADMSG);
}

static void mark_stays_on_the_directory(void)
{
	struct zone_geometry geometry = sound(), parsed;
	char path[] = "/var/tmp/caisson-test-XXXXXX";
	int fd, path_fd;

	CHECK(mkdtemp(path) != NULL);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	CHECK(fd >= 0 && path_fd >= 0);
	CHECK_EQ(zone_mark_read(path_fd, &parsed), -ENODATA);
	if (zone_mark_write(fd, &geometry) == -EOPNOTSUPP) {
		SKIP("a filesystem with extended attributes below /var/tmp");
	} else {
		CHECK_EQ(zone_mark_read(fd, &parsed), 0);
		check_same(&parsed, &geometry);
		memset(&parsed, 0, sizeof(parsed));
		CHECK_EQ(zone_mark_read(path_fd, &parsed), 0);
		check_same(&parsed, &geometry);
		CHECK(fsetxattr(fd, ZONE_MARK_NAME, "nonsense", 8, 0) == 0);
		CHECK_EQ(zone_mark_read(path_fd, &parsed), -EBADMSG);
		CHECK(fsetxattr(fd, ZONE_MARK_NAME, (char[ZONE_MARK_LEN + 1]){ 0 },
				ZONE_MARK_LEN + 1, 0) == 0);
		CHECK_EQ(zone_mark_read(path_fd, &parsed), -EBADMSG);
	}
	CHECK(close(fd) == 0 && close(path_fd) == 0);
	CHECK(rmdir(path) == 0);
}

int main(void)
{
	RUN(geometry_is_one_that_zloop_takes);
	RUN(names_are_those_of_zloop);
	RUN(mark_says_it_all);
	RUN(mark_is_not_believed_blindly);
	RUN(mark_stays_on_the_directory);
	return test_result();
}
