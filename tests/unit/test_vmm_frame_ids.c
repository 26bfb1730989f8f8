/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_frame_ids.c - names of screens: who gets a new one, what is found by it, what is forgotten.
 *
 * Wraps malloc and getrandom, to fail.
 */
#include "tests/unit/unit.h"

#include <sys/random.h>

#include "vmm/frame_ids.h"

#define TILES 4u

static bool no_memory, no_random;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
ssize_t __real_getrandom(void *buffer, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags);

void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags)
{
	if (no_random) {
		errno = ENOSYS;
		return -1;
	}
	return __real_getrandom(buffer, size, flags);
}

static const struct grid grid = { 128, 64, 2, 2 };

static void give(struct frame_ids *ids, uint64_t first, char out_id[FRAME_ID_SIZE])
{
	const uint64_t hashes[TILES] = { first, 2, 3, 4 };

	assert_int_equal(frame_ids_give(ids, &grid, hashes, out_id), 0);
}

static int find(struct frame_ids *ids, const char *id, uint64_t *out_first)
{
	struct grid found;
	uint64_t *hashes;
	int ret = frame_ids_find(ids, id, &found, &hashes);

	if (ret)
		return ret;
	assert_int_equal(found.width, 128);
	assert_int_equal(found.height, 64);
	assert_true(hashes[3] == 4);
	*out_first = hashes[0];
	free(hashes);
	return 0;
}

static void test_names(void **state)
{
	struct frame_ids *ids;
	char first[FRAME_ID_SIZE], again[FRAME_ID_SIZE], second[FRAME_ID_SIZE];
	uint64_t hash;

	(void)state;
	assert_int_equal(frame_ids_create(&ids), 0);
	give(ids, 10, first);
	give(ids, 10, again);
	give(ids, 20, second);
	assert_string_equal(first, again);
	assert_string_not_equal(first, second);
	assert_int_equal(find(ids, first, &hash), 0);
	assert_int_equal(hash, 10);
	assert_int_equal(find(ids, second, &hash), 0);
	assert_int_equal(hash, 20);
	/* As it was before, yet another moment. */
	give(ids, 10, again);
	assert_string_not_equal(first, again);
	frame_ids_destroy(ids);
	frame_ids_destroy(NULL);
}

/* The same hashes on a screen of another shape. */
static void test_shape(void **state)
{
	const struct grid other = { 64, 128, 1, 4 };
	const uint64_t hashes[TILES] = { 1, 2, 3, 4 };
	struct frame_ids *ids;
	char first[FRAME_ID_SIZE], second[FRAME_ID_SIZE];

	(void)state;
	assert_int_equal(frame_ids_create(&ids), 0);
	assert_int_equal(frame_ids_give(ids, &grid, hashes, first), 0);
	assert_int_equal(frame_ids_give(ids, &other, hashes, second), 0);
	assert_string_not_equal(first, second);
	frame_ids_destroy(ids);
}

static void test_forgotten(void **state)
{
	struct frame_ids *ids;
	char names[FRAME_IDS_KEPT + 3][FRAME_ID_SIZE];
	uint64_t hash;

	(void)state;
	assert_int_equal(frame_ids_create(&ids), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		give(ids, 100 + i, names[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(find(ids, names[i], &hash), i < 3 ? -ENOENT : 0);
		if (i >= 3)
			assert_int_equal(hash, 100 + i);
	}
	frame_ids_destroy(ids);
}

static void test_no_names(void **state)
{
	struct frame_ids *ids, *other;
	char name[FRAME_ID_SIZE], changed[FRAME_ID_SIZE + 1];
	uint64_t hash;

	(void)state;
	assert_int_equal(frame_ids_create(&ids), 0);
	assert_int_equal(frame_ids_create(&other), 0);
	assert_int_equal(find(ids, "", &hash), -ENOENT);
	give(ids, 1, name);
	assert_int_equal(find(ids, "", &hash), -ENOENT);
	/* Any other letter, one too few, one too many. */
	for (size_t i = 0; i < strlen(name); i++) {
		strcpy(changed, name);
		changed[i]++;
		assert_int_equal(find(ids, changed, &hash), -ENOENT);
		changed[i] = '\0';
		assert_int_equal(find(ids, changed, &hash), -ENOENT);
	}
	snprintf(changed, sizeof(changed), "%s0", name);
	assert_int_equal(find(ids, changed, &hash), -ENOENT);
	/* Another VMM's. */
	give(other, 1, changed);
	assert_string_not_equal(changed, name);
	assert_int_equal(find(other, name, &hash), -ENOENT);
	frame_ids_destroy(other);
	frame_ids_destroy(ids);
}

static void test_hard_times(void **state)
{
	const uint64_t hashes[TILES] = { 9 };
	struct frame_ids *ids = NULL;
	char name[FRAME_ID_SIZE], other[FRAME_ID_SIZE];
	uint64_t hash;

	(void)state;
	no_random = true;
	assert_int_equal(frame_ids_create(&ids), -ENOSYS);
	no_random = false;
	assert_null(ids);
	assert_int_equal(frame_ids_create(&ids), 0);
	give(ids, 1, name);
	no_memory = true;
	assert_int_equal(frame_ids_give(ids, &grid, hashes, other), -ENOMEM);
	assert_int_equal(find(ids, name, &hash), -ENOMEM);
	no_memory = false;
	assert_int_equal(find(ids, name, &hash), 0);
	frame_ids_destroy(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),      cmocka_unit_test(test_shape),
		cmocka_unit_test(test_forgotten),  cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_hard_times),
	};

	return cmocka_run_group_tests_name("vmm_frame_ids", tests, NULL, NULL);
}
