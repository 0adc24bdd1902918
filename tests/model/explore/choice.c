/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "explore.h"

#define CHOICES_MAX 4096

static struct {
	uint16_t taken, count;
} path[CHOICES_MAX];
static uint32_t at, len;
static bool begun, only;

uint32_t choose(uint32_t count)
{
	assert(count >= 1 && count <= UINT16_MAX);
	if (count == 1)
		return 0;
	if (at == len) {
		if (len == CHOICES_MAX)
			explore_fail("a run without end");
		path[len].taken = 0;
		path[len].count = (uint16_t)count;
		len++;
	}
	if (only)
		path[at].count = (uint16_t)count;
	if (path[at].count != count || path[at].taken >= count)
		explore_fail(
			"the same choices led elsewhere: the explorer itself isn't deterministic");
	return path[at++].taken;
}

bool choice_is_known(void)
{
	return at < len;
}

bool choice_next(void)
{
	at = 0;
	if (!begun) {
		begun = true;
		return true;
	}
	if (only)
		return false;
	while (len && path[len - 1].taken + 1 == path[len - 1].count)
		len--;
	if (!len)
		return begun = false;
	path[len - 1].taken++;
	return true;
}

/* --- states that were seen --- */

#define SEEN_LOG2 22

/* By hash, with 1 + the preemptions that were left in the lowest bits; 0: none. */
static uint64_t seen[1u << SEEN_LOG2];
static uint32_t seen_count;
#define LEFT_MASK 7u

uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes_len)
{
	const uint8_t *bytes = data;
	uint64_t word;

	for (; bytes_len; bytes_len -= MIN(bytes_len, sizeof(word)), bytes += sizeof(word)) {
		word = 0;
		memcpy(&word, bytes, MIN(bytes_len, sizeof(word)));
		hash = mix_bits(hash + word + 0x9e3779b97f4a7c15ull);
	}
	return hash;
}

bool seen_before(uint64_t hash, uint32_t left)
{
	uint32_t i = (uint32_t)(hash >> 32) & ((1u << SEEN_LOG2) - 1);

	assert(left < LEFT_MASK);
	hash &= ~(uint64_t)LEFT_MASK;
	while (seen[i] && (seen[i] & ~(uint64_t)LEFT_MASK) != hash)
		i = (i + 1) & ((1u << SEEN_LOG2) - 1);
	if (seen[i] && (seen[i] & LEFT_MASK) > left)
		return true;
	seen_count += !seen[i];
	if (seen_count > (3u << SEEN_LOG2) / 4)
		explore_fail("more states than there is room for");
	seen[i] = hash | (left + 1);
	return false;
}

uint32_t seen_forget(void)
{
	uint32_t count = seen_count;

	memset(seen, 0, sizeof(seen));
	seen_count = 0;
	return count;
}

void choice_print(void)
{
	for (uint32_t i = 0; i < at; i++)
		printf("%s%u", i ? "," : "", path[i].taken);
	printf("\n");
}

void choice_only(const char *choices)
{
	char *end;

	for (len = 0; *choices && len < CHOICES_MAX; len++) {
		path[len].taken = (uint16_t)strtoul(choices, &end, 10);
		choices = *end ? end + 1 : end;
	}
	only = true;
}
