/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_tiles.c - the grid and its rectangles, what a scan says has changed, its copy and its hashes.
 *
 * Wraps mmap: no memory for the copy.
 */
#include "tests/unit/xwd_fixture.h"

#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "display/hash.h"
#include "display/tiles.h"

/* Neither a multiple of a tile: 6 columns, the last one 1 wide; 4 rows, the last one 27 high. */
#define WIDTH 321u
#define HEIGHT 123u
#define COLUMNS 6u
#define ROWS 4u

static bool no_memory;

void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	if (no_memory) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(at, size, prot, flags, fd, offset);
}

struct bed {
	struct xwd_fixture file;
	struct framebuffer *fb;
	struct tiles *tiles;
};

static int open_bed(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	/* Rows longer than their pixels, so that pages end everywhere. */
	xwd_fixture_open(&bed->file, WIDTH, HEIGHT, 160, 256, 4 * WIDTH + 12);
	assert_int_equal(framebuffer_create(bed->file.pages, bed->file.count, WIDTH, HEIGHT,
	                                    &bed->fb, NULL),
	                 0);
	assert_int_equal(tiles_create(WIDTH, HEIGHT, &bed->tiles), 0);
	*state = bed;
	return 0;
}

static int close_bed(void **state)
{
	struct bed *bed = *state;

	tiles_destroy(bed->tiles);
	framebuffer_destroy(bed->fb);
	xwd_fixture_close(&bed->file);
	free(bed);
	return 0;
}

/* One byte of the pixel at (x, y): 0 is blue, 3 is none. */
static void spoil(struct bed *bed, unsigned x, unsigned y, unsigned byte)
{
	*xwd_byte(&bed->file, bed->file.offset + (size_t)y * bed->file.stride + 4 * x + byte) ^= 1;
}

static unsigned marked_count(const struct tiles *tiles)
{
	unsigned count = 0;

	for (unsigned i = 0; i < tiles_count(tiles); i++)
		count += tiles_changed(tiles)[i];
	return count;
}

static void test_first_scan(void **state)
{
	struct bed *bed = *state;
	const struct grid *grid = tiles_grid(bed->tiles);

	assert_int_equal(tiles_columns(bed->tiles), COLUMNS);
	assert_int_equal(tiles_rows(bed->tiles), ROWS);
	assert_int_equal(tiles_count(bed->tiles), COLUMNS * ROWS);
	assert_int_equal(tiles_scan(bed->tiles, bed->fb), COLUMNS * ROWS);
	assert_int_equal(marked_count(bed->tiles), COLUMNS * ROWS);
	for (uint32_t y = 0; y < HEIGHT; y++)
		for (uint32_t x = 0; x < WIDTH; x++)
			assert_int_equal(tiles_pixels(bed->tiles)[y * WIDTH + x], xwd_color(x, y));
	for (unsigned i = 0; i < tiles_count(bed->tiles); i++) {
		struct rectangle area = grid_tile(grid, i);
		uint32_t packed[TILE_WIDTH * TILE_HEIGHT];

		for (unsigned y = 0; y < area.height; y++)
			for (unsigned x = 0; x < area.width; x++)
				packed[y * area.width + x] = xwd_color(area.x + x, area.y + y);
		assert_true(tiles_hashes(bed->tiles)[i] ==
		            XXH3_64bits(packed, (size_t)4 * area.width * area.height));
	}
}

/* A black screen is no different: its first scan says that all is new. */
static void test_black_screen(void **state)
{
	struct bed *bed = *state;

	for (unsigned y = 0; y < HEIGHT; y++)
		for (unsigned x = 0; x < 4 * WIDTH; x++)
			*xwd_byte(&bed->file, bed->file.offset + (size_t)y * bed->file.stride + x) =
				0;
	assert_int_equal(tiles_scan(bed->tiles, bed->fb), COLUMNS * ROWS);
	assert_int_equal(tiles_scan(bed->tiles, bed->fb), 0);
}

static void test_what_has_changed(void **state)
{
	static const struct {
		const char *name;
		unsigned x, y, byte, tile;
		bool changes;
	} rows[] = {
		{ "first pixel", 0, 0, 0, 0, true },
		{ "last of the first tile", 63, 31, 1, 0, true },
		{ "right of it", 64, 31, 2, 1, true },
		{ "below it", 63, 32, 0, COLUMNS, true },
		{ "narrow tile", 320, 95, 0, 3 * COLUMNS - 1, true },
		{ "last pixel", 320, 122, 2, 4 * COLUMNS - 1, true },
		{ "a byte that is no colour", 100, 100, 3, 0, false },
	};
	struct bed *bed = *state;

	tiles_scan(bed->tiles, bed->fb);
	assert_int_equal(tiles_scan(bed->tiles, bed->fb), 0);
	assert_int_equal(marked_count(bed->tiles), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = tiles_hashes(bed->tiles)[rows[i].tile];

		spoil(bed, rows[i].x, rows[i].y, rows[i].byte);
		assert_row(rows[i].name, tiles_scan(bed->tiles, bed->fb) == rows[i].changes);
		assert_row(rows[i].name, marked_count(bed->tiles) == rows[i].changes);
		assert_row(rows[i].name,
		           tiles_changed(bed->tiles)[rows[i].tile] == rows[i].changes);
		assert_row(rows[i].name,
		           (tiles_hashes(bed->tiles)[rows[i].tile] != before) == rows[i].changes);
		uint32_t flipped = rows[i].changes ? 1u << (8 * rows[i].byte) : 0;
		assert_row(rows[i].name, tiles_pixels(bed->tiles)[rows[i].y * WIDTH + rows[i].x] ==
		                                 (xwd_color(rows[i].x, rows[i].y) ^ flipped));
		assert_row(rows[i].name, tiles_scan(bed->tiles, bed->fb) == 0);
	}
	tiles_mark_all(bed->tiles);
	assert_int_equal(marked_count(bed->tiles), COLUMNS * ROWS);
	assert_int_equal(tiles_scan(bed->tiles, bed->fb), 0);
	assert_int_equal(marked_count(bed->tiles), 0);
}

/* Pictures of 6 x 4 tiles: '#' is marked. */
static void mark(const char *picture, uint8_t *marked)
{
	for (unsigned i = 0; i < COLUMNS * ROWS; i++)
		marked[i] = picture[i + i / COLUMNS] == '#';
}

static void test_rectangles(void **state)
{
	static const struct {
		const char *name, *picture;
		size_t count, max;
	} rows[] = {
		{ "none", "......|......|......|......", 0, 8 },
		{ "all", "######|######|######|######", 1, 8 },
		{ "one", "......|..#...|......|......", 1, 8 },
		{ "last column", ".....#|.....#|.....#|.....#", 1, 8 },
		{ "last row", "......|......|......|######", 1, 8 },
		{ "two", "#.....|......|......|.....#", 2, 8 },
		{ "a cross", "..#...|######|..#...|......", 3, 8 },
		{ "an L", "#.....|#.....|#.....|####..", 2, 8 },
		{ "a ring", "######|#....#|#....#|######", 4, 8 },
		{ "high before wide", "##....|#.....|#.....|#.....", 2, 8 },
		{ "chess", "#.#.#.|.#.#.#|#.#.#.|.#.#.#", 12, 16 },
		{ "chess, eight", "#.#.#.|.#.#.#|#.#.#.|.#.#.#", 8, 8 },
		{ "two in one", "....#.|......|.#....|......", 1, 1 },
		{ "third in second", "#.....|......|....#.|..#...", 2, 2 },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t marked[COLUMNS * ROWS], covered[COLUMNS * ROWS] = { 0 };
		struct rectangle found[16];

		mark(rows[i].picture, marked);
		size_t count = tiles_rectangles(bed->tiles, marked, found, rows[i].max);
		assert_row(rows[i].name, count == rows[i].count);
		for (size_t k = 0; k < count; k++) {
			assert_row(rows[i].name, rectangle_is_within(&found[k], WIDTH, HEIGHT));
			grid_mark(tiles_grid(bed->tiles), &found[k], covered);
		}
		for (unsigned k = 0; k < COLUMNS * ROWS; k++) {
			assert_row(rows[i].name, !marked[k] || covered[k]);
			/* What there is room for is covered exactly. */
			assert_row(rows[i].name, marked[k] || !covered[k] || count == rows[i].max);
		}
	}
}

static void test_rectangles_are_of_the_screen(void **state)
{
	struct bed *bed = *state;
	uint8_t marked[COLUMNS * ROWS];
	struct rectangle found[2];

	mark("......|......|......|.....#", marked);
	assert_int_equal(tiles_rectangles(bed->tiles, marked, found, 2), 1);
	assert_int_equal(found[0].x, 320);
	assert_int_equal(found[0].y, 96);
	assert_int_equal(found[0].width, 1);
	assert_int_equal(found[0].height, 27);
	mark("#.....|......|....#.|..#...", marked);
	assert_int_equal(tiles_rectangles(bed->tiles, marked, found, 2), 2);
	assert_int_equal(found[1].x, 128);
	assert_int_equal(found[1].y, 64);
	assert_int_equal(found[1].width, 3 * 64);
	assert_int_equal(found[1].height, HEIGHT - 64);
}

static void test_mark(void **state)
{
	struct bed *bed = *state;
	const struct grid *grid = tiles_grid(bed->tiles);
	uint8_t marked[COLUMNS * ROWS] = { 0 }, expected[COLUMNS * ROWS];

	grid_mark(grid, &(struct rectangle){ 63, 31, 2, 2 }, marked);
	mark("##....|##....|......|......", expected);
	assert_memory_equal(marked, expected, sizeof(marked));
	grid_mark(grid, &(struct rectangle){ 320, 122, 1, 1 }, marked);
	mark("##....|##....|......|.....#", expected);
	assert_memory_equal(marked, expected, sizeof(marked));
}

static void test_within(void **state)
{
	static const struct {
		const char *name;
		struct rectangle area;
		bool within;
	} rows[] = {
		{ "all", { 0, 0, 100, 50 }, true },
		{ "last pixel", { 99, 49, 1, 1 }, true },
		{ "no width", { 0, 0, 0, 50 }, false },
		{ "no height", { 0, 0, 100, 0 }, false },
		{ "too wide", { 1, 0, 100, 50 }, false },
		{ "too high", { 0, 1, 100, 50 }, false },
		{ "beyond", { 100, 0, 1, 1 }, false },
		{ "wraps", { UINT32_MAX, 0, 2, 1 }, false },
		{ "wraps the other way", { 2, 0, UINT32_MAX, 1 }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_row(rows[i].name,
		           rectangle_is_within(&rows[i].area, 100, 50) == rows[i].within);
}

/* Whether the kernel leaves the mapping at @at out of forked children: "dc" in smaps, proc(5). */
static bool is_left_out_of_forks(uintptr_t at)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false, found = false;

	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = at >= start && at < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, " dc") != NULL;
	}
	fclose(file);
	return found;
}

/* Each way to it gives the same hash, of any size. */
static void test_hash(void **state)
{
	uint8_t bytes[3 * TILE_WIDTH * TILE_HEIGHT];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	for (size_t size = 0; size <= sizeof(bytes); size += size < 600 ? 1 : 97) {
		assert_true(hash_pixels(bytes, size) == XXH3_64bits(bytes, size));
		/* Not aligned either. */
		if (size > 0)
			assert_true(hash_pixels(bytes + 1, size - 1) ==
			            XXH3_64bits(bytes + 1, size - 1));
	}
}

/* One look without keeping it says the same. */
static void test_read_rgb(void **state)
{
	struct bed *bed = *state;
	uint64_t hashes[COLUMNS * ROWS];
	uint8_t *rgb = malloc((size_t)3 * WIDTH * HEIGHT), *expected = xwd_expected_rgb(&bed->file);

	assert_non_null(rgb);
	tiles_scan(bed->tiles, bed->fb);
	tiles_read_rgb(bed->fb, hashes, rgb);
	assert_memory_equal(hashes, tiles_hashes(bed->tiles), sizeof(hashes));
	assert_memory_equal(rgb, expected, (size_t)3 * WIDTH * HEIGHT);
	free(rgb);
	free(expected);
}

/* A forked child hasn't got the copy: what the original scans doesn't become the child's memory. */
static void test_fork_leaves_it(void **state)
{
	struct bed *bed = *state;
	int here = 0;

	tiles_scan(bed->tiles, bed->fb);
	assert_true(is_left_out_of_forks((uintptr_t)tiles_pixels(bed->tiles)));
	assert_false(is_left_out_of_forks((uintptr_t)&here));
}

static void test_no_memory(void **state)
{
	struct tiles *tiles = NULL;

	(void)state;
	no_memory = true;
	assert_int_equal(tiles_create(WIDTH, HEIGHT, &tiles), -ENOMEM);
	no_memory = false;
	assert_null(tiles);
	tiles_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_scan, open_bed, close_bed),
		cmocka_unit_test_setup_teardown(test_black_screen, open_bed, close_bed),
		cmocka_unit_test_setup_teardown(test_what_has_changed, open_bed, close_bed),
		cmocka_unit_test_setup_teardown(test_rectangles, open_bed, close_bed),
		cmocka_unit_test_setup_teardown(test_rectangles_are_of_the_screen, open_bed,
		                                close_bed),
		cmocka_unit_test_setup_teardown(test_mark, open_bed, close_bed),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_hash),
		cmocka_unit_test_setup_teardown(test_read_rgb, open_bed, close_bed),
		cmocka_unit_test_setup_teardown(test_fork_leaves_it, open_bed, close_bed),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("display_tiles", tests, NULL, NULL);
}
