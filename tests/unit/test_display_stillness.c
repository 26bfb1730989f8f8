/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_stillness.c - since when a screen has stood still, and what of it only blinks.
 *
 * Wraps calloc and mmap, to fail.
 */
#include "tests/unit/unit.h"

#include <sys/mman.h>

#include "display/stillness.h"
#include "lib/clock.h"

#define TILES 8u /* 4 columns, 2 rows */
#define WIDTH (4 * TILE_WIDTH)
#define HEIGHT (2 * TILE_HEIGHT)
#define BEGUN (1000 * NS_PER_MS)

static int allocations_left = -1;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);

static bool may_allocate(void)
{
	bool may = allocations_left != 0;

	allocations_left -= allocations_left > 0;
	return may;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	return may_allocate() ? __real_mmap(at, size, prot, flags, fd, offset) : MAP_FAILED;
}

struct bed {
	struct stillness *still;
	uint64_t hashes[TILES], now;
};

static void begin(struct bed *bed, const struct rectangle *area)
{
	struct grid grid = grid_of(WIDTH, HEIGHT);

	bed->now = BEGUN;
	for (unsigned i = 0; i < TILES; i++)
		bed->hashes[i] = 'A';
	assert_int_equal(stillness_create(&grid, area, BEGUN, bed->hashes, &bed->still), 0);
}

/* After @ms the tiles in @tiles (bits) have the picture @hash. */
static void after(struct bed *bed, unsigned ms, unsigned tiles, uint64_t hash)
{
	uint8_t changed[TILES];

	bed->now += ms * NS_PER_MS;
	for (unsigned i = 0; i < TILES; i++) {
		changed[i] = tiles >> i & 1;
		bed->hashes[i] = changed[i] ? hash : bed->hashes[i];
	}
	stillness_note(bed->still, bed->now, changed, bed->hashes);
}

/* For how long nothing has changed that counts. */
static unsigned still_ms(const struct bed *bed)
{
	return (unsigned)((bed->now - stillness_since(bed->still)) / NS_PER_MS);
}

static size_t periodic(struct bed *bed)
{
	struct rectangle found[TILES];

	return stillness_periodic(bed->still, found, TILES);
}

static void test_changes_count(void **state)
{
	struct bed bed;

	(void)state;
	begin(&bed, NULL);
	assert_true(stillness_since(bed.still) == BEGUN);
	after(&bed, 300, 1 << 3, 'B');
	assert_int_equal(still_ms(&bed), 0);
	after(&bed, 250, 0, 0);
	assert_int_equal(still_ms(&bed), 250);
	after(&bed, 100, 1 << 4, 'C');
	assert_int_equal(still_ms(&bed), 0);
	assert_true(stillness_hashes(bed.still)[4] == 'C');
	assert_true(stillness_hashes(bed.still)[3] == 'B');
	assert_int_equal(periodic(&bed), 0);
	stillness_destroy(bed.still);
}

/* Marked, but as it was: a whole frame after another of the same. */
static void test_marks_alone_are_no_change(void **state)
{
	struct bed bed;

	(void)state;
	begin(&bed, NULL);
	after(&bed, 300, 0xff, 'A');
	assert_int_equal(still_ms(&bed), 300);
	stillness_destroy(bed.still);
}

static void test_area(void **state)
{
	struct bed bed;

	(void)state;
	/* Tiles 1 and 2. */
	begin(&bed, &(struct rectangle){ TILE_WIDTH + 5, 3, TILE_WIDTH, 2 });
	after(&bed, 100, 0xf9, 'B');
	assert_int_equal(still_ms(&bed), 100);
	assert_true(stillness_hashes(bed.still)[0] == 'B');
	after(&bed, 100, 1 << 2, 'B');
	assert_int_equal(still_ms(&bed), 0);
	stillness_destroy(bed.still);
}

/* Pictures of one tile: each after so many ms; and what is known in the end. */
static void test_rounds(void **state)
{
	static const struct {
		const char *name, *pictures;
		unsigned ms[16], tiles;
		unsigned still; /* ms */
		bool periodic;
	} rows[] = {
		{ "caret: back once", "BA", { 400, 500 }, 1, 900, true },
		{ "caret: twice", "BABA", { 400, 500, 500, 500 }, 1, 1900, true },
		{ "caret: jitter", "BABA", { 400, 470, 533, 500 }, 1, 1903, true },
		{ "caret, begins to blink", "BCB", { 100, 530, 500 }, 1, 1030, true },
		{ "typed, then blinks",
		  "BABACDC",
		  { 9, 500, 500, 500, 200, 500, 500 },
		  1,
		  1000,
		  true },
		{ "too short for a caret", "BA", { 400, 100 }, 1, 0, false },
		{ "too large for a caret", "BA", { 400, 500 }, 0x1f, 0, false },
		{ "large, second round", "BAB", { 400, 500, 500 }, 0xff, 1400, true },
		{ "fast, second round", "BAB", { 400, 66, 66 }, 1, 532, true },
		{ "three steps", "BCABC", { 50, 100, 100, 100, 100 }, 0xff, 450, true },
		{ "four steps", "BCDABCD", { 9, 100, 100, 100, 100, 100, 100 }, 0xff, 609, true },
		{ "five steps",
		  "BCDEABCDEABCDE",
		  { 9, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99 },
		  0xff,
		  0,
		  false },
		{ "uneven, its first round", "BAB", { 400, 900, 300 }, 0xff, 0, false },
		{ "uneven, all lengths known", "BABA", { 400, 900, 300, 900 }, 0xff, 2100, true },
		{ "out of time", "BABABA", { 400, 500, 500, 500, 500, 60 }, 0xff, 0, false },
		{ "out of turn", "BABABC", { 400, 500, 500, 500, 500, 500 }, 1, 0, false },
		{ "always something new",
		  "BACADAEA",
		  { 9, 300, 300, 300, 300, 300, 300, 300 },
		  1,
		  0,
		  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bed bed;

		begin(&bed, NULL);
		for (unsigned k = 0; rows[i].pictures[k]; k++)
			after(&bed, rows[i].ms[k], rows[i].tiles, (uint64_t)rows[i].pictures[k]);
		assert_row(rows[i].name, (periodic(&bed) > 0) == rows[i].periodic);
		if (still_ms(&bed) != rows[i].still)
			print_message("%s: %u ms\n", rows[i].name, still_ms(&bed));
		assert_row(rows[i].name, still_ms(&bed) == rows[i].still);
		stillness_destroy(bed.still);
	}
}

/* A caret in one place doesn't hide news in another. */
static void test_caret_and_news(void **state)
{
	struct bed bed;
	struct rectangle found[TILES];

	(void)state;
	begin(&bed, NULL);
	for (unsigned i = 0; i < 20; i++)
		after(&bed, 500, 1 << 6, i % 2 ? 'A' : 'B');
	assert_int_equal(still_ms(&bed), 10000);
	assert_int_equal(stillness_periodic(bed.still, found, TILES), 1);
	assert_int_equal(found[0].x, 2 * TILE_WIDTH);
	assert_int_equal(found[0].y, TILE_HEIGHT);
	after(&bed, 100, 1 << 0, 'N');
	assert_int_equal(still_ms(&bed), 0);
	after(&bed, 400, 1 << 6, 'B');
	assert_int_equal(still_ms(&bed), 400);
	stillness_destroy(bed.still);
}

static void test_no_memory(void **state)
{
	struct grid grid = grid_of(WIDTH, HEIGHT);
	uint64_t hashes[TILES] = { 0 };
	struct stillness *still = NULL;

	(void)state;
	for (int n = 0; n < 2; n++) {
		allocations_left = n;
		assert_int_equal(stillness_create(&grid, NULL, BEGUN, hashes, &still), -ENOMEM);
		assert_null(still);
	}
	allocations_left = -1;
	stillness_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_count),
		cmocka_unit_test(test_marks_alone_are_no_change),
		cmocka_unit_test(test_area),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_caret_and_news),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("display_stillness", tests, NULL, NULL);
}
